"""What a partner may see: how its own leads stand and what is missing; never how the model or others see them."""

from typing import Any

from sqlalchemy import Connection

from serving.decisions import stored_decisions as decisions
from serving.decisions.stored_decisions import StoredDecision
from serving.http.responses import PartnerDecisionAnswer
from serving.identity import Principal

_SHOWN = tuple(PartnerDecisionAnswer.model_fields)


def sees(connection: Connection, caller: Principal, decision: StoredDecision) -> bool:
    """Whether the caller may know of a decision: a partner of those on leads of the store it is the source of."""
    return caller.role != "partner" or (decision.stored and sees_lead(connection, caller, decision.lead_id))


def sees_lead(connection: Connection, caller: Principal, lead_id: str | None) -> bool:
    """Whether the caller may know of a lead: a partner of those it is the source of by their current score."""
    if caller.role != "partner":
        return True
    score = None if lead_id is None else decisions.current(connection, lead_id)
    return score is not None and score.source_partner_id == caller.partner_id


def shown(content: dict[str, Any]) -> dict[str, Any]:
    """What a partner sees of a decision's content.

    Rules and their evidence, the probability and its reasons are ours: they rest on facts of other partners, too.
    """
    missing = content["missing"] if content["pending"] else []
    return {name: content[name] for name in _SHOWN} | {"missing": missing}
