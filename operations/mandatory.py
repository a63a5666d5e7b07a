"""Mandatory fields of a partner lead: following it up, paying for it and proving it each need them."""

from features.partner_lead import is_partner_lead
from features.records import Row

MANDATORY = ("source_partner_id", "programme_tier", "referral_date")
"""The fields of a complete record of a partner lead."""


def missing_fields(lead: Row, *, partner_lead: bool) -> tuple[str, ...]:
    """The mandatory fields that a lead lacks, in order; a first-party lead lacks none."""
    if not partner_lead:
        return ()
    return tuple(name for name in MANDATORY if lead.get(name) is None)


def missing_at_intake(lead: Row, *, referred: bool, touched: bool) -> tuple[str, ...]:
    """The mandatory fields that a lead lacks when it arrives together with its facts.

    Args:
        lead: the columns of the lead.
        referred: whether a partner referred the lead.
        touched: whether the lead met partner content. Without a referral, the date of that touchpoint replaces
            `referral_date`.
    """
    waived = {"referral_date"} if touched and not referred else set()
    partner_lead = is_partner_lead(lead, partner_involved=referred or touched)
    return tuple(name for name in missing_fields(lead, partner_lead=partner_lead) if name not in waived)
