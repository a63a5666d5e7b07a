"""Mandatory fields of a partner lead: without them nobody can follow it up, pay for it or prove it."""

from features.records import Row
from models.verdict import is_partner_lead

MANDATORY = ("source_partner_id", "programme_tier", "referral_date")
"""What a partner lead must state (DESIGN: complete record)."""


def missing_fields(lead: Row) -> tuple[str, ...]:
    """The mandatory fields a lead lacks, in order; none for a first-party lead."""
    if not is_partner_lead(lead):
        return ()
    return tuple(name for name in MANDATORY if lead.get(name) is None)


def missing_at_intake(lead: Row, *, referred: bool, touched: bool) -> tuple[str, ...]:
    """`missing_fields` of a lead that comes with its facts.

    Args:
        lead: its columns.
        referred: whether a partner referred it.
        touched: whether partner content touched it; the date of that stands for the referral's where there was none.
    """
    waived = {"referral_date"} if touched and not referred else set()
    return tuple(name for name in missing_fields(lead) if name not in waived)
