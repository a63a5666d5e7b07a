"""The view of a partner: the state of its own leads and their missing data, without model and other partners."""

from typing import Any

from sqlalchemy import Connection

from features.domains import FREE_MAIL
from features.records import Row
from features.value_types import rfc3339
from models.decision import Decision
from models.policy import EQL_GATES
from serving.decisions import current_scores
from serving.decisions.issued import IssuedDecision
from serving.decisions.stored_decisions import StoredDecision
from serving.identity import Principal

_OUR_WORD = frozenset(("vendor_fit_confirmations", "vendor_intent_confirmations"))
"""The evidence of rules that only our own side can fill."""


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
        "missing": missing(decision),
        "created_at": rfc3339(issued.created_at),
    }


def missing(decision: Decision) -> list[str]:
    """The questions that the partner can answer, while the lead is pending; those about our own word are left out."""
    asked = [each for each in decision.rules if each.outcome == "unknown" and each.gate in EQL_GATES]
    # A rule on the probability comes last, and has no question.
    questions = zip(asked, decision.missing, strict=False)
    ours = {text for rule, text in questions if not _OUR_WORD.isdisjoint(rule.evidence)}
    return [text for text in decision.missing if decision.pending and text not in ours]


def lead_name(lead: Row) -> str:
    """The name of a lead on the pages of its partner: the domain of its address, else its id.

    The names of accounts are ours. A partner that sends addresses must not learn which of our accounts they match.
    """
    domain: str | None = lead.get("email_domain")
    return str(lead["lead_id"]) if domain is None or domain in FREE_MAIL else domain
