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
