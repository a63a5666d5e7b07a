"""The view of a partner: the state of its own leads and their missing data, without model and other partners."""

from typing import Any

from sqlalchemy import Connection

from features.value_types import rfc3339
from serving.decisions import current_scores
from serving.decisions.issued import IssuedDecision
from serving.decisions.stored_decisions import StoredDecision
from serving.identity import Principal


def may_see(connection: Connection, caller: Principal, decision: StoredDecision) -> bool:
    """Whether the caller may see a decision. A partner may see decisions on stored leads that it is the source of."""
    return caller.role != "partner" or (decision.stored and may_see_lead(connection, caller, decision.lead_id))


def may_see_lead(connection: Connection, caller: Principal, lead_id: str | None) -> bool:
    """Whether the caller may see a lead. A partner may see leads that it is the source of by their current score."""
    if caller.role != "partner":
        return True
    score = None if lead_id is None else current_scores.get(connection, lead_id)
    return score is not None and score.source_partner_id == caller.partner_id


def partner_view(issued: IssuedDecision) -> dict[str, Any]:
    """The part of a decision that its source partner sees.

    Rules with their evidence, the probability and its reasons are left out, because they use facts of other partners.
    """
    decision = issued.decision
    return {
        "decision_id": issued.decision_id,
        "lead_id": decision.lead_id,
        "as_of": rfc3339(decision.as_of),
        "qualification": decision.qualification,
        "pending": decision.pending,
        "missing": list(decision.missing) if decision.pending else [],
        "created_at": rfc3339(issued.created_at),
    }
