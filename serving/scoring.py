"""Deciding and keeping it: leads sent along with a request, and leads of the store."""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from sqlalchemy import Connection

from features.direct import Facts, evaluate
from features.records import DERIVED, PARTNER_HISTORY, TIER_HISTORY
from features.values import rfc3339
from models.decision import Content, Scorer
from serving.access import TokenSource
from serving.api.schemas import ScoreRequest
from serving.service import Service
from serving.store import decisions, outbox
from serving.store.database import reading
from serving.store.decisions import CurrentScore, StoredDecision
from serving.store.facts import derived_of, facts_of_many, tiers_of
from serving.store.outbox import Event

_CHUNK = 500


def canonical(content: Mapping[str, Any]) -> str:
    """JSON text that is the same for equal content: sorted keys, no spaces, shortest round-trip numbers."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def score_requests(
    service: Service, scorer: Scorer, requests: Sequence[tuple[ScoreRequest, Mapping[str, Any], int]]
) -> list[Content]:
    """Decide on leads sent along, each with its JSON and moment, and keep the decisions; no lead is created."""
    facts = [request.facts() for request, _, _ in requests]
    with reading(service.engine) as connection:
        histories = [
            _history(connection, scorer, each, as_of) for each, (_, _, as_of) in zip(facts, requests, strict=True)
        ]
    leads = [
        (request.lead.lead_id, as_of, evaluate(scorer.catalogue, {**each, **history.rows}, as_of))
        for each, history, (request, _, as_of) in zip(facts, histories, requests, strict=True)
    ]
    now = service.clock()
    contents = [
        _identified(content, history.source, service.tokens, now)
        for content, history in zip(scorer.decide_all(leads), histories, strict=True)
    ]
    kept = [
        StoredDecision(
            content["decision_id"], content["lead_id"], False, as_of, now, canonical(content), canonical(sent)
        )
        for content, (_, sent, as_of) in zip(contents, requests, strict=True)
    ]
    with service.engine.begin() as connection:
        decisions.add(connection, kept)
    service.metrics.decided(content["qualification"] for content in contents)
    return contents


@dataclass(frozen=True)
class _History:
    """The partners' history a decision rests on, by derived kind, and where it is from; a lead may need none."""

    source: Literal["store", "bundle"] | None
    rows: Facts


def _history(connection: Connection, scorer: Scorer, facts: Facts, as_of: int) -> _History:
    """What bears on the lead's source partner from the store, or where the store has none from the bundle's copy."""
    partners = sorted({row["source_partner_id"] for row in facts["leads"]} - {None})
    if not partners:
        return _History(None, {})
    keys = {PARTNER_HISTORY: partners, TIER_HISTORY: tiers_of(facts["partners"])}
    found = {kind.name: derived_of(connection, kind, keys[kind], as_of) for kind in DERIVED}
    if any(found.values()):
        return _History("store", found)
    copied = scorer.served.bundle.history if scorer.served else {}
    return _History("bundle" if copied else None, copied)


def _identified(content: Content, history: str | None, tokens: TokenSource, now: int) -> Content:
    decision_id = str(uuid.UUID(bytes=tokens(16), version=4))
    return {"decision_id": decision_id, **content, "partner_history": history, "created_at": rfc3339(now)}


def rescore(service: Service, lead_ids: Iterable[str]) -> Iterator[int]:
    """Decide anew on leads of the store as of now, keep the decisions and the current scores; yields leads done."""
    remaining, done = iter(lead_ids), 0
    while chunk := list(islice(remaining, _CHUNK)):
        _rescore(service, chunk)
        done += len(chunk)
        yield done


def _rescore(service: Service, lead_ids: Sequence[str]) -> None:
    scorer, now = service.champion.scorer(), service.clock()
    with reading(service.engine) as connection:
        known = facts_of_many(connection, lead_ids, now)
        found = [(i, now, evaluate(scorer.catalogue, facts, now)) for i, facts in known]
    partners = [evaluation.lead.get("source_partner_id") for _, _, evaluation in found]
    contents = [
        _identified(content, None if partner is None else "store", service.tokens, now)
        for content, partner in zip(scorer.decide_all(found), partners, strict=True)
    ]
    made = [StoredDecision(c["decision_id"], c["lead_id"], True, now, now, canonical(c)) for c in contents]
    scores = [_current(c, partner, now) for c, partner in zip(contents, partners, strict=True)]
    with service.engine.begin() as connection:
        before = {score.lead_id: score for score in decisions.of_leads(connection, lead_ids)}
        decisions.add(connection, made)
        decisions.set_current(connection, scores)
        changed = [score for score in scores if _standing(before.get(score.lead_id)) != _standing(score)]
        outbox.add(connection, [_scored(score, service.tokens) for score in changed])
    service.metrics.decided(score.qualification for score in scores)


def _current(content: Content, source_partner_id: str | None, now: int) -> CurrentScore:
    probability, value = content["close_probability"], content["expected_value"]
    return CurrentScore(
        lead_id=content["lead_id"],
        decision_id=content["decision_id"],
        qualification=content["qualification"],
        pending=content["pending"],
        close_probability=probability and probability["value"],
        grade=content["grade"],
        expected_value_minor=value and value["minor"],
        expected_value_currency=value and value["currency"],
        source_partner_id=source_partner_id,
        scored_at=now,
    )


def _standing(score: CurrentScore | None) -> tuple[str, bool, str | None] | None:
    """What others act on; a probability alone moves with every fact."""
    return None if score is None else (score.qualification, score.pending, score.grade)


def _scored(score: CurrentScore, tokens: TokenSource) -> Event:
    told = ("lead_id", "decision_id", "qualification", "pending", "close_probability", "grade", "source_partner_id")
    return outbox.event(
        "lead.scored", score.lead_id, {name: getattr(score, name) for name in told}, at=score.scored_at, tokens=tokens
    )
