"""Making a decision again from what was kept of it, to see that it comes out the same, byte for byte.

From its features it shows that model, policy and software decide as they did. From the facts it shows besides that the
features are what the facts recorded by then come to, whatever was added, corrected or derived since.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from features.records import DERIVED
from models.scorer import Scorer
from serving.api.schemas import ScoreRequest
from serving.archive import Archive, Unavailable
from serving.basis import Basis, History, Origin, evaluation_of, features_text
from serving.canonical import canonical
from serving.scoring import identified, sent_basis, stored_basis
from serving.store import decisions
from serving.store.database import reading
from serving.store.decisions import StoredDecision
from serving.store.facts import facts_of

_AT_ONCE = 200


@dataclass(frozen=True)
class Replay:
    """What making a decision again came to.

    Attributes:
        origin: what it was made from.
        differences: where the outcome differs from what is kept, as JSON pointers (RFC 6901) into the decision, or
            below `/features` into what features and rules saw; never the values.
    """

    origin: Origin
    differences: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether the decision came out as it is kept, byte for byte."""
        return not self.differences


def replay(connection: Connection, archive: Archive, kept: StoredDecision, origin: Origin) -> Replay:
    """Makes a decision again.

    Args:
        connection: the store's, from `reading`, and the one the decision was read with.
        archive: where its policy and its model are.
        kept: the decision.
        origin: what to make it from.

    Raises:
        Unavailable: what it was made with or from is not to be had, or this software has another catalogue.
    """
    if kept.features is None:
        raise Unavailable("it was made by a version of the software that did not keep what decisions are made from")
    try:
        return _replay(connection, archive, kept, kept.features, origin)
    except Unavailable:
        raise
    except (KeyError, TypeError, ValueError):
        raise Unavailable("what is kept of it cannot be read; `eql seals verify` says whether it was altered") from None


def replay_all(engine: Engine, archive: Archive, origin: Origin) -> Iterator[tuple[str, Replay | None]]:
    """`replay` of every decision that was not erased, in the order of their ids; None where it cannot be made again."""
    after = ""
    while True:
        with reading(engine) as connection:
            found = decisions.ids(connection, after, _AT_ONCE)
            kept = [decision for name in found if (decision := decisions.get(connection, name)) is not None]
            yield from [(each.decision_id, _or_none(connection, archive, each, origin)) for each in kept]
        if not found:
            return
        after = found[-1]


def _or_none(connection: Connection, archive: Archive, kept: StoredDecision, origin: Origin) -> Replay | None:
    try:
        return replay(connection, archive, kept, origin)
    except Unavailable:
        return None


def _replay(connection: Connection, archive: Archive, kept: StoredDecision, features: str, origin: Origin) -> Replay:
    content = json.loads(kept.content)
    scorer = archive.scorer(connection, content)
    if content["catalogue"]["sha256"] != scorer.catalogue.sha256:
        raise Unavailable("it was made with another catalogue of features than this version of the software has")
    basis = _from_features(kept, features) if origin == "features" else _from_facts(connection, scorer, kept)
    decided = scorer.decide(basis.lead_id, basis.as_of, basis.evaluation).to_dict()
    again = canonical(identified(decided, kept.decision_id, basis.history, kept.created_at))
    seen = features_text(basis.evaluation)
    return Replay(origin, (*_differences(kept.content, again), *_differences(features, seen, "/features")))


def _from_features(kept: StoredDecision, features: str) -> Basis:
    history = History.from_json(kept.history)
    return Basis(str(kept.lead_id), kept.as_of, evaluation_of(features), history, kept.ingest, kept.request)


def _from_facts(connection: Connection, scorer: Scorer, kept: StoredDecision) -> Basis:
    history = History.from_json(kept.history)
    if kept.request is not None:
        request = ScoreRequest.model_validate_json(kept.request)
        return sent_basis(scorer, request, request.facts(), history, kept.as_of, kept.request)
    if kept.ingest is None:
        raise Unavailable("it does not say which facts were there when it was made")
    facts = facts_of(connection, str(kept.lead_id), kept.as_of, up_to=kept.ingest)
    of_then = {kind.name: history.rows.get(kind.name, ()) for kind in DERIVED}
    return stored_basis(scorer, str(kept.lead_id), {**facts, **of_then}, kept.as_of, kept.ingest)


def _differences(one: str, other: str, below: str = "") -> list[str]:
    """Where a canonical text that was kept and a new one differ; the whole of it where only their spelling does."""
    if one in (other, _spelt_before(other)):
        return []
    return list(_places(json.loads(one), json.loads(other), below)) or [below]


def _spelt_before(text: str) -> str:
    """A canonical text as Python's own encoder wrote it for earlier versions: 1e-05 for what is 0.00001 now."""
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
