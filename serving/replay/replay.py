"""Replay: a kept decision is made again and compared with what is kept, byte for byte.

A replay from the features shows that model, policy and software decide as they did. A replay from the facts also shows
that the features follow from the facts recorded by then, whatever was added, corrected or derived since.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine

from features.records import DERIVED, KINDS
from features.value_types import KEPT
from models.decision import CatalogueReference, ModelReference, PolicyReference
from models.scorer import Scorer
from serving.champion.scorer_cache import ScorerCache, Unavailable
from serving.decisions import stored_decisions
from serving.decisions.evaluations import evaluation_from_json, evaluation_to_json
from serving.decisions.stored_decisions import StoredDecision
from serving.records import versions
from serving.records.facts import facts_of
from serving.replay.requests import Origin
from serving.scoring.decide import decide, issue
from serving.scoring.inputs import DecisionInputs, StoreContext, from_features, from_sent_facts, from_stored_facts
from serving.scoring.partner_history import PartnerHistoryUsed
from serving.scoring.requests import ScoreRequest
from serving.store.canonical_json import canonical
from serving.store.database import reading

_BATCH = 200


@dataclass(frozen=True)
class Replay:
    """The result of making a decision again.

    Attributes:
        origin: what the decision was made from.
        differences: the places where the new decision differs from the kept one, as JSON pointers (RFC 6901) into the
            decision, or below `/features` into the evaluation; never the values.
    """

    origin: Origin
    differences: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether the decision came out as it is kept, byte for byte."""
        return not self.differences


def replay(connection: Connection, scorers: ScorerCache, kept: StoredDecision, origin: Origin) -> Replay:
    """Makes a decision again.

    Args:
        connection: the store's, from `reading`, and the one the decision was read with.
        scorers: gives the policy and the model that it names.
        kept: the decision.
        origin: what to make it from.

    Raises:
        Unavailable: the model, the policy or the facts are missing, or this software has another catalogue.
    """
    if kept.features is None:
        raise Unavailable("it was made by a version of the software that did not keep what decisions are made from")
    try:
        return _replay(connection, scorers, kept, kept.features, origin)
    except Unavailable:
        raise
    except (KeyError, TypeError, ValueError):
        raise Unavailable("what is kept of it cannot be read; `eql seals verify` says whether it was altered") from None


def replay_all(engine: Engine, scorers: ScorerCache, origin: Origin) -> Iterator[tuple[str, Replay | None]]:
    """`replay` of every decision that was not erased, in the order of their ids; None where it cannot be made again."""
    after = ""
    while True:
        with reading(engine) as connection:
            found = stored_decisions.ids(connection, after, _BATCH)
            kept = [decision for name in found if (decision := stored_decisions.get(connection, name)) is not None]
            yield from [(each.decision_id, _or_none(connection, scorers, each, origin)) for each in kept]
        if not found:
            return
        after = found[-1]


def _or_none(connection: Connection, scorers: ScorerCache, kept: StoredDecision, origin: Origin) -> Replay | None:
    try:
        return replay(connection, scorers, kept, origin)
    except Unavailable:
        return None


def _replay(
    connection: Connection, scorers: ScorerCache, kept: StoredDecision, features: str, origin: Origin
) -> Replay:
    # Only the references are read: of a decision that was altered, every other difference is listed below.
    content = json.loads(kept.content)
    model = None if content["model"] is None else ModelReference.from_dict(content["model"])
    catalogue = CatalogueReference.from_dict(content["catalogue"])
    scorer = scorers.scorer(connection, model, PolicyReference.from_dict(content["policy"]), catalogue)
    if catalogue.sha256 != scorer.catalogue.sha256:
        raise Unavailable("it was made with another catalogue of features than this version of the software has")
    inputs = from_features(kept, features) if origin == "features" else _from_facts(connection, scorer, kept, features)
    (decision,) = decide(scorer, [inputs])
    again = canonical(issue(decision, kept.decision_id, inputs, kept.created_at).to_dict())
    evaluation = evaluation_to_json(inputs.evaluation)
    return Replay(origin, (*_differences(kept.content, again), *_differences(features, evaluation, "/features")))


def _from_facts(connection: Connection, scorer: Scorer, kept: StoredDecision, features: str) -> DecisionInputs:
    history = PartnerHistoryUsed.from_json(kept.history)
    if kept.request is not None:
        request = _read(kept.request)
        return from_sent_facts(scorer, request, history, kept.as_of, kept.request)
    if kept.ingest is None:
        raise Unavailable("it does not say which facts were there when it was made")
    facts = facts_of(connection, str(kept.lead_id), kept.as_of, up_to=kept.ingest)
    # The history is derived again each day, so the rows that the decision used are kept with it.
    kept_history = {kind.name: history.rows.get(kind.name, ()) for kind in DERIVED}
    # A kind that was not recorded then may have facts by now that say they were recorded earlier.
    absent = tuple(evaluation_from_json(features).not_recorded)
    known = {**facts, **kept_history}
    rates = partial(versions.versions, connection, KINDS["exchange_rates"], up_to=kept.ingest)
    context = StoreContext(kept.ingest, absent, rates)
    return from_stored_facts(scorer, str(kept.lead_id), known, kept.as_of, context)


def _read(request: str) -> ScoreRequest:
    """A kept request, which an earlier version of the software may have taken in under weaker constraints."""
    return ScoreRequest.model_validate_json(request, context=KEPT)


def _differences(one: str, other: str, below: str = "") -> list[str]:
    """The places where a kept canonical text and a new one differ; the root where only the spelling differs."""
    if one in (other, _spelt_by_json(other)):
        return []
    return list(_places(json.loads(one), json.loads(other), below)) or [below]


def _spelt_by_json(text: str) -> str:
    """A canonical text as the `json` module wrote it for earlier versions: 1e-05 where it is 0.00001 now."""
    return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _places(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            there = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
            if name in one and name in other:
                yield from _places(one[name], other[name], there)
            else:
                yield there
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other, strict=True)):
            yield from _places(*pair, f"{path}/{index}")
    elif type(one) is not type(other) or one != other:
        yield path
