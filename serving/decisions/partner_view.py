"""The view of a partner: the state of its own leads and their missing data, without model and other partners."""

from functools import cache
from typing import Any

from sqlalchemy import Connection

from features.catalogue import CATALOGUE
from features.delivery import kinds_read
from features.domains import FREE_MAIL
from features.records import Row
from features.value_types import rfc3339
from models.decision import Decision
from models.policy import EQL_GATES
from serving.decisions import current_scores
from serving.decisions.issued import IssuedDecision
from serving.decisions.partner_standings import PartnerStanding
from serving.decisions.stored_decisions import StoredDecision
from serving.identity import Principal

_SENT_BY_PARTNERS = frozenset(("referrals", "confirmations"))
"""The kinds of facts that a partner may send."""


@cache
def _ours() -> frozenset[str]:
    """The evidence that only our own side can fill; `partner_lead` needs none of either side."""
    read = {entry.name: kinds_read(entry.value) for entry in CATALOGUE.entries}
    counted = {name for name, kinds in read.items() if kinds and kinds.isdisjoint(_SENT_BY_PARTNERS)}
    return frozenset(("partner_lead", "vendor_fit_confirmations", "vendor_intent_confirmations", *counted))


def may_see(connection: Connection, caller: Principal, decision: StoredDecision) -> bool:
    """Whether the caller may see a decision. A partner may see decisions on stored leads that it is the source of."""
    return caller.role != "partner" or (decision.stored and may_see_lead(connection, caller, decision.lead_id))


def may_see_lead(connection: Connection, caller: Principal, lead_id: str | None) -> bool:
    """Whether the caller may see a lead. A partner may see leads that it is the source of by their current score."""
    if caller.role != "partner":
        return True
    score = None if lead_id is None else current_scores.get(connection, lead_id)
    return score is not None and score.source_partner_id == caller.partner_id


def shown(issued: IssuedDecision, standing: PartnerStanding | None) -> PartnerStanding:
    """What the partner sees of a decision: `standing` where the lead stands otherwise for it, else the decision."""
    decision = issued.decision
    return standing or PartnerStanding(
        decision_id=issued.decision_id,
        lead_id=decision.lead_id,
        qualification=decision.qualification,
        pending=decision.pending,
        missing=tuple(missing(decision)),
    )


def partner_view(issued: IssuedDecision, standing: PartnerStanding | None) -> dict[str, Any]:
    """The part of a decision that its source partner sees.

    Rules with their evidence, the probability and its reasons are left out, because they use facts of other partners.
    """
    decision, seen = issued.decision, shown(issued, standing)
    return {
        "decision_id": issued.decision_id,
        "lead_id": decision.lead_id,
        "as_of": rfc3339(decision.as_of),
        "qualification": seen.qualification,
        "pending": seen.pending,
        "missing": [*seen.missing],
        "created_at": rfc3339(issued.created_at),
    }


def missing(decision: Decision) -> list[str]:
    """The questions that the partner can answer, while the lead is pending; those that only we can are left out."""
    asked = [each for each in decision.rules if each.outcome == "unknown" and each.gate in EQL_GATES]
    # A rule on the probability comes last, and has no question.
    questions = zip(asked, decision.missing, strict=False)
    ours = {text for rule, text in questions if _ours().issuperset(rule.evidence)}
    return [text for text in decision.missing if decision.pending and text not in ours]


def lead_name(lead: Row) -> str:
    """The name of a lead on the pages of its partner: the domain of its address, else its id.

    The names of accounts are ours. A partner that sends addresses must not learn which of our accounts they match.
    """
    domain: str | None = lead.get("email_domain")
    return str(lead["lead_id"]) if domain is None or domain in FREE_MAIL else domain
