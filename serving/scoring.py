"""Deciding and keeping it: leads sent along with a request, and leads of the store."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, TypeAlias

from sqlalchemy import Connection

from features.direct import Facts, evaluate
from features.records import DERIVED, PARTNER_HISTORY, TIER_HISTORY, Row
from features.values import rfc3339
from models.scorer import Scorer
from serving.access import TokenSource
from serving.api.schemas import ScoreRequest
from serving.basis import Basis, History, features_text
from serving.canonical import Content, canonical
from serving.service import Service
from serving.store import decisions, outbox, policies, records
from serving.store.database import reading
from serving.store.decisions import CurrentScore, StoredDecision
from serving.store.facts import derived_of, facts_of_many, tiers_of
from serving.store.outbox import Event

_CHUNK = 500
_SALT_BYTES = 32
Made: TypeAlias = tuple[Content, StoredDecision]
"""A decision as it is answered, and as it is kept."""
Sent: TypeAlias = tuple[ScoreRequest, Mapping[str, Any], int]
"""A lead sent along with its facts: the request, the JSON it was sent as, and the moment to decide as of."""


def decide_requests(service: Service, scorer: Scorer, requests: Sequence[Sent]) -> list[Made]:
    """The decisions on leads sent along, as answered and as to be kept."""
    facts = [request.facts() for request, _, _ in requests]
    with reading(service.engine) as connection:
        histories = [
            _history(connection, scorer, each, as_of) for each, (_, _, as_of) in zip(facts, requests, strict=True)
        ]
    bases = [
        sent_basis(scorer, request, each, history, as_of, canonical(sent))
        for each, history, (request, sent, as_of) in zip(facts, histories, requests, strict=True)
    ]
    return decide(scorer, bases, service.tokens, service.clock())


def decide_together(service: Service, scorer: Scorer, request: Sent) -> Made:
    """The same for one request, at the same time as for others that wait for a decision: many cost less than each."""
    made: Made = service.deciding.do(partial(_decide_waiting, service), (scorer, request))
    return made


def _decide_waiting(service: Service, waiting: Sequence[tuple[Scorer, Sent]]) -> list[Made]:
    # Between two of them the champion may have changed.
    return [
        made
        for scorer, group in groupby(waiting, itemgetter(0))
        for made in decide_requests(service, scorer, [request for _, request in group])
    ]


def tell(service: Service, made: Sequence[Made]) -> None:
    """Counts decisions that are kept by now, and lets the challenger score them some time later."""
    service.metrics.decided(content["qualification"] for content, _ in made)
    if service.shadow is not None:
        service.shadow.offer(kept for _, kept in made)


def sent_basis(
    scorer: Scorer, request: ScoreRequest, facts: Facts, history: History, as_of: int, sent: str | None
) -> Basis:
    """What a decision on a lead sent along is made from: its facts and the history of its partner."""
    evaluation = evaluate(scorer.catalogue, {**facts, **history.rows}, as_of)
    return Basis(request.lead.lead_id, as_of, evaluation, history, request=sent)


def decide(scorer: Scorer, bases: Sequence[Basis], tokens: TokenSource, now: int) -> list[Made]:
    """The decision on each of these, as it is answered and as it is to be kept."""
    decided = scorer.decide_all([(basis.lead_id, basis.as_of, basis.evaluation) for basis in bases])
    return [_kept(decision.to_dict(), basis, tokens, now) for decision, basis in zip(decided, bases, strict=True)]


def _kept(decided: Content, basis: Basis, tokens: TokenSource, now: int) -> Made:
    decision_id = decisions.new_id(tokens)
    content = identified(decided, decision_id, basis.history, now)
    kept = StoredDecision(
        decision_id=decision_id,
        lead_id=basis.lead_id,
        stored=basis.ingest is not None,
        as_of=basis.as_of,
        created_at=now,
        content=canonical(content),
        request=basis.request,
        salt=tokens(_SALT_BYTES).hex(),
        features=features_text(basis.evaluation),
        ingest=basis.ingest,
        history=basis.history.to_json(),
    )
    return content, kept


def identified(decided: Content, decision_id: str, history: History, now: int) -> Content:
    """What was decided, as the API answers it: with the decision's id, when it was made, and the history's source."""
    return {"decision_id": decision_id, **decided, "partner_history": history.source, "created_at": rfc3339(now)}


def _history(connection: Connection, scorer: Scorer, facts: Facts, as_of: int) -> History:
    """What bears on the lead's source partner from the store, or where the store has none from the bundle's copy."""
    partners = _named(facts["leads"])
    if not partners:
        return History()
    keys = {PARTNER_HISTORY: partners, TIER_HISTORY: tiers_of(facts["partners"])}
    found = {kind.name: derived_of(connection, kind, keys[kind], as_of) for kind in DERIVED}
    if any(found.values()):
        return History("store", found)
    copied = scorer.served.bundle.history if scorer.served else {}
    rows = {kind.name: [row for row in copied.get(kind.name, ()) if row[kind.id] in keys[kind]] for kind in DERIVED}
    return History("bundle", rows) if copied else History()


def _named(leads: Iterable[Row]) -> list[str]:
    """The source partners that versions of a lead name."""
    return sorted({row["source_partner_id"] for row in leads} - {None})


def stored_bases(
    connection: Connection, scorer: Scorer, lead_ids: Iterable[str], as_of: int
) -> Iterator[tuple[Basis, Facts]]:
    """What decisions on leads of the store as of a moment are made from, and the facts behind it, in the order given.

    Args:
        connection: the store's, from `reading`: the facts and the ingest number must be of one state of the store.
        scorer: what will decide.
        lead_ids: the leads; one the store does not know has an evaluation without a lead.
        as_of: the moment, microseconds.
    """
    ingest = records.last_ingest(connection)
    for lead_id, facts in facts_of_many(connection, lead_ids, as_of):
        yield stored_basis(scorer, lead_id, facts, as_of, ingest), facts


def stored_basis(scorer: Scorer, lead_id: str, facts: Facts, as_of: int, ingest: int) -> Basis:
    """What a decision on a lead of the store is made from, `facts` being all that was ingested up to a number."""
    evaluation = evaluate(scorer.catalogue, facts, as_of)
    partner = evaluation.lead.get("source_partner_id")
    history = History() if partner is None else History("store", _bearing_on(partner, facts))
    return Basis(lead_id, as_of, evaluation, history, ingest)


def _bearing_on(partner: str, facts: Facts) -> Facts:
    """The derived rows among the facts that a lead of this partner rests on."""
    own = [row for row in facts[PARTNER_HISTORY.name] if row[PARTNER_HISTORY.id] == partner]
    return {PARTNER_HISTORY.name: own, TIER_HISTORY.name: list(facts[TIER_HISTORY.name])}


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
        bases = [basis for basis, _ in stored_bases(connection, scorer, lead_ids, now)]
    keep_current(service, scorer, [basis for basis in bases if basis.evaluation.lead], now)
    # Removed, or merged into another one, while it was due.
    if gone := [basis.lead_id for basis in bases if not basis.evaluation.lead]:
        with service.engine.begin() as connection:
            decisions.unset_current(connection, gone)


def score_within(service: Service, scorer: Scorer, connection: Connection, lead_id: str, now: int) -> Made:
    """Decide on a lead in a write transaction, which sees what that transaction itself wrote of it."""
    bases = [basis for basis, _ in stored_bases(connection, scorer, [lead_id], now)]
    policies.keep(connection, scorer.policy, now)
    made = decide(scorer, bases, service.tokens, now)
    _keep(service, connection, made, bases, now)
    return made[0]


def keep_current(service: Service, scorer: Scorer, bases: Sequence[Basis], now: int) -> list[StoredDecision]:
    """Decide on leads of the store as of now; keep the decisions as their current ones, and tell of what changed."""
    made = decide(scorer, bases, service.tokens, now)
    service.archive.keep(service.engine, scorer.policy, now)
    with service.engine.begin() as connection:
        kept = _keep(service, connection, made, bases, now)
    tell(service, made)
    return kept


def _keep(
    service: Service,
    connection: Connection,
    made: Sequence[Made],
    bases: Sequence[Basis],
    now: int,
) -> list[StoredDecision]:
    scores = [_current(content, _partner(basis), now) for (content, _), basis in zip(made, bases, strict=True)]
    kept = [each for _, each in made]
    before = {score.lead_id: score for score in decisions.of_leads(connection, [score.lead_id for score in scores])}
    decisions.add(connection, kept)
    decisions.set_current(connection, scores)
    changed = [score for score in scores if _standing(before.get(score.lead_id)) != _standing(score)]
    outbox.add(connection, [_scored(score, service.tokens) for score in changed])
    return kept


def _partner(basis: Basis) -> str | None:
    partner: str | None = basis.evaluation.lead.get("source_partner_id")
    return partner


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
