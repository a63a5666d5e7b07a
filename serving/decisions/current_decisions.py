"""The decision behind a lead's current score, which is on that lead and says what the lists show of it.

The chain of seals holds decisions; current scores are outside it and may change. A current score that was altered to
name a decision on another lead leads to nothing, and `error` finds every altered one.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, Row, select

from serving.decisions import stored_decisions
from serving.decisions.current_scores import CurrentScore
from serving.decisions.issued import IssuedDecision
from serving.decisions.stored_decisions import StoredDecision
from serving.decisions.tables import current_score, decision_payloads

_LOG = logging.getLogger(__name__)
_BATCH = 500
ALTERED = "Its current score was altered in the store: run `eql seals verify`."
"""What a list says of a lead whose current score names a decision on another lead."""


def get(connection: Connection, score: CurrentScore) -> StoredDecision | None:
    """The decision of a current score; None, with an error in the log, where it is on another lead."""
    kept = stored_decisions.get(connection, score.decision_id)
    return kept if kept is not None and kept.stored and _is_on_its_lead(score, kept.issued) else None


def issued_of(connection: Connection, scores: Sequence[CurrentScore]) -> Mapping[str, IssuedDecision]:
    """The decisions of current scores by lead, without those that are on other leads, which are errors in the log."""
    issued = stored_decisions.issued(connection, [score.decision_id for score in scores])
    pairs = ((score, issued.get(score.decision_id)) for score in scores)
    return {score.lead_id: found for score, found in pairs if found is not None and _is_on_its_lead(score, found)}


def _is_on_its_lead(score: CurrentScore, issued: IssuedDecision) -> bool:
    if issued.decision.lead_id == score.lead_id:
        return True
    _LOG.error(
        "a current score names decision %s, which is on another lead: the store was altered; run `eql seals verify`",
        score.decision_id,
    )
    return False


def error(connection: Connection) -> str | None:
    """The first current score that differs from its decision, in words that name the decision; None where none does.

    Whether a lead is closed or removed is no part of its decision, and is not compared.
    """
    payload = decision_payloads.c
    columns = (payload.lead_id.label("on"), payload.stored, payload.content, payload.features)
    joined = decision_payloads.c.decision_id == current_score.c.decision_id
    wanted = select(current_score, *columns).join_from(current_score, decision_payloads, joined, isouter=True)
    ordered = wanted.order_by(current_score.c.lead_id).execution_options(yield_per=_BATCH)
    with connection.execute(ordered) as rows:
        return next((found for row in rows if (found := _difference(row)) is not None), None)


def _difference(row: Row[tuple[object, ...]]) -> str | None:
    values = dict(row._mapping)
    lead_id, stored, content, features = (values.pop(name) for name in ("on", "stored", "content", "features"))
    score, named = CurrentScore(**values), f"a current score names decision {values['decision_id']}"
    if content is None:
        return f"{named}, which has no payload"
    if not stored or lead_id != score.lead_id:
        return f"{named}, which is on another lead"
    try:
        partner = score.source_partner_id if features is None else json.loads(features)["lead"]["source_partner_id"]
        decided = CurrentScore.of(IssuedDecision.from_json(content), partner, score.scored_at)
    except (AttributeError, LookupError, TypeError, ValueError):
        return f"{named}, which cannot be read"
    shown = replace(score, closed=None, closed_at=None, removed=False)
    return None if shown == decided else f"{named}, and says something else than the decision"
