"""The decision on a stored lead at a moment: the current one while it is valid, else a new one."""

from collections.abc import Iterable

from sqlalchemy import Connection

from features.engines.python import Facts
from features.outcomes import closed_leads
from features.records import Row
from features.value_types import DAY
from models.scorer import Scorer
from serving.decisions import current_decisions, current_scores, stored_decisions
from serving.decisions.stored_decisions import StoredDecision
from serving.records import aliases
from serving.scoring.decide import decide_and_issue, keep
from serving.scoring.inputs import from_store
from serving.scoring.scoring import Scoring
from serving.scoring.stored_leads import decide_current
from serving.store.database import reading

VALID_FOR = DAY
"""Microseconds after which a decision is made again, because features depend on the time."""


def decision_as_of(scoring: Scoring, lead_id: str, as_of: int | None) -> tuple[StoredDecision, Row | None] | None:
    """The decision on a stored lead.

    Args:
        scoring: what decides.
        lead_id: the lead, by any of its ids.
        as_of: a moment that is not in the future, microseconds: the facts recorded by then are decided on, and the
            decision is kept beside the current one; None for now.

    Returns:
        The decision, and the event that closed the lead by the moment, if any. Of a lead that is closed now, the
        decision is the last one that was made while it was open. None where the lead was unknown at the moment.
    """
    scorer, now, engine = scoring.champion.scorer(), scoring.store.clock(), scoring.store.engine
    with reading(engine) as connection:
        lead_id = aliases.resolve(connection, lead_id, as_of)
        ((inputs, facts),) = from_store(connection, scorer, [lead_id], now if as_of is None else as_of)
        if not inputs.evaluation.lead:
            return None
        closed = closed_leads(facts["lead_events"], now if as_of is None else as_of).get(lead_id)
        current = _current(connection, lead_id, closed=closed is not None) if as_of is None else None
    if current is not None and (closed is not None or _valid(current, scorer, facts, now)):
        return current, closed
    if as_of is None and closed is None:
        return decide_current(scoring, scorer, [inputs], now)[0], None
    (decision,) = decide_and_issue(scorer, [inputs], scoring.store.tokens, now)
    scoring.keep_policy(scorer, now)
    with engine.begin() as connection:
        keep(connection, [decision])
    return decision.stored, closed


def _current(connection: Connection, lead_id: str, *, closed: bool) -> StoredDecision | None:
    """The current decision on a lead; of a closed lead that has no current score, the last one on it."""
    score = current_scores.get(connection, lead_id)
    kept = None if score is None else current_decisions.get(connection, score)
    if kept is not None:
        return kept
    return next(iter(stored_decisions.of_lead(connection, lead_id, 1)), None) if closed else None


def _valid(current: StoredDecision, scorer: Scorer, facts: Facts, now: int) -> bool:
    """Whether a new decision would be the same, apart from the hours since."""
    decision = current.issued.decision
    model = scorer.served and scorer.served.bundle.sha256
    made_with = (decision.model and decision.model.sha256, decision.policy.sha256, decision.catalogue.sha256)
    unchanged = made_with == (model, scorer.policy.sha256, scorer.catalogue.sha256)
    return unchanged and now - current.as_of < VALID_FOR and not any(_newer(r, current, now) for r in facts.values())


def _newer(rows: Iterable[Row], current: StoredDecision, now: int) -> bool:
    """Whether any of these rows was recorded, or became visible, after a decision was made."""
    if current.ingest is None:
        return True
    return any(row["ingest"] > current.ingest or current.as_of < (row["recorded_at"] or 0) <= now for row in rows)
