"""Mandatory fields of a partner lead: following it up, paying for it and proving it each need them."""

from features.records import Row
from models.verdict import is_partner_lead

MANDATORY = ("source_partner_id", "programme_tier", "referral_date")
"""The fields of a complete record of a partner lead."""


def missing_fields(lead: Row) -> tuple[str, ...]:
    """The mandatory fields that a lead lacks, in order; a first-party lead lacks none."""
    if not is_partner_lead(lead):
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
    return tuple(name for name in missing_fields(lead) if name not in waived)
