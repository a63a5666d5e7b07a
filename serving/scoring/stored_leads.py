"""Decisions on stored leads: made again, kept, and set as the leads' current scores."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection

from features.batched import batched
from features.outcomes import closed_leads
from models.scorer import Scorer
from serving.champion import policies
from serving.decisions import current_scores
from serving.decisions.current_scores import CurrentScore
from serving.decisions.stored_decisions import StoredDecision
from serving.records import closes
from serving.scoring.decide import NewDecision, decide_and_issue, keep
from serving.scoring.inputs import DecisionInputs, from_store
from serving.scoring.scoring import Scoring
from serving.store import outbox
from serving.store.database import reading

_BATCH = 500
_SCORED = ("lead_id", "decision_id", "qualification", "pending", "close_probability", "grade", "source_partner_id")
"""The data of the events `lead.scored` and `lead.created`."""


def rescore(scoring: Scoring, lead_ids: Iterable[str]) -> Iterator[int]:
    """Decides again on stored leads and keeps decisions and current scores; yields how many leads are done."""
    done = 0
    for batch in batched(lead_ids, _BATCH):
        _rescore(scoring, batch)
        done += len(batch)
        yield done


def _rescore(scoring: Scoring, lead_ids: Sequence[str]) -> None:
    scorer, now = scoring.champion.scorer(), scoring.store.clock()
    with reading(scoring.store.engine) as connection:
        found = [*from_store(connection, scorer, lead_ids, now)]
    # A closed lead keeps its last decision: nobody works it any more.
    closed = {each.lead_id for each, facts in found if each.lead_id in closed_leads(facts["lead_events"], now)}
    inputs = [each for each, _ in found if each.lead_id not in closed]
    decide_current(scoring, scorer, [each for each in inputs if each.evaluation.lead], now)
    # A lead may have been removed, or merged into another one, while it waited.
    gone = [each.lead_id for each in inputs if not each.evaluation.lead]
    if closed or gone:
        with scoring.store.engine.begin() as connection:
            # A lead's first score may have been kept by another process while its close was recorded.
            closes.refresh(connection, closed, now, scoring.store.tokens)
            current_scores.remove(connection, gone, now)


def decide_within(
    scoring: Scoring,
    scorer: Scorer,
    connection: Connection,
    lead_id: str,
    now: int,
    *,
    created: Mapping[str, Any] | None = None,
) -> NewDecision:
    """Decides on a lead inside a write transaction, which sees what the transaction itself wrote of the lead.

    Args:
        scoring: the parts to decide with.
        scorer: the scorer that decides.
        connection: the write transaction.
        lead_id: the lead.
        now: the present moment, microseconds.
        created: where the transaction creates the lead, the data of the event `lead.created` beside the decision.
    """
    inputs = [each for each, _ in from_store(connection, scorer, [lead_id], now)]
    policies.keep(connection, scorer.policy, now)
    decisions = decide_and_issue(scorer, inputs, scoring.store.tokens, now)
    if created is not None:
        score = CurrentScore.of(decisions[0].issued, inputs[0].source_partner_id, now)
        outbox.add(connection, [_event("lead.created", score, scoring, created)])
    _keep(scoring, connection, decisions, inputs, now)
    return decisions[0]


def decide_current(
    scoring: Scoring, scorer: Scorer, inputs: Sequence[DecisionInputs], now: int
) -> list[StoredDecision]:
    """Decides on stored leads as of now, and keeps the decisions as the leads' current ones."""
    decisions = decide_and_issue(scorer, inputs, scoring.store.tokens, now)
    scoring.keep_policy(scorer, now)
    with scoring.store.engine.begin() as connection:
        _keep(scoring, connection, decisions, inputs, now)
    scoring.report_decisions(decisions)
    return [each.stored for each in decisions]


def _keep(
    scoring: Scoring,
    connection: Connection,
    decisions: Sequence[NewDecision],
    inputs: Sequence[DecisionInputs],
    now: int,
) -> None:
    scores = [
        CurrentScore.of(decision.issued, each.source_partner_id, now)
        for decision, each in zip(decisions, inputs, strict=True)
    ]
    before = {score.lead_id: score for score in current_scores.of_leads(connection, [s.lead_id for s in scores])}
    keep(connection, decisions)
    current_scores.save(connection, scores)
    changed = [s for s in scores if s.lead_id not in before or before[s.lead_id].standing != s.standing]
    outbox.add(connection, [_event("lead.scored", score, scoring) for score in changed])
    # The events of a lead may have closed it before it had a score, and an event of a later moment may reopen it.
    unsure = [s.lead_id for s in scores if s.lead_id not in before or before[s.lead_id].closed is not None]
    closes.refresh(connection, unsure, now, scoring.store.tokens)


def _event(
    kind: outbox.EventKind, score: CurrentScore, scoring: Scoring, more: Mapping[str, Any] = MappingProxyType({})
) -> outbox.Event:
    data = {**{name: getattr(score, name) for name in _SCORED}, **more}
    return outbox.event(kind, score.lead_id, data, at=score.scored_at, tokens=scoring.store.tokens)
