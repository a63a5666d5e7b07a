"""Mandatory fields of a partner lead: without them nobody can follow it up, pay for it or prove it."""

from collections.abc import Iterable, Sequence

from features.records import Row
from models.verdict import is_partner_lead

MANDATORY = ("source_partner_id", "programme_tier", "referral_date")
"""What a partner lead must state (DESIGN: complete record)."""


def missing_fields(lead: Row) -> tuple[str, ...]:
    """The mandatory fields a lead lacks, in order; none for a first-party lead."""
    if not is_partner_lead(lead):
        return ()
    return tuple(name for name in MANDATORY if lead.get(name) is None)


def missing_at_intake(lead: Row, referrals: Sequence[Row], touchpoints: Iterable[Row]) -> tuple[str, ...]:
    """`missing_fields` of a lead that comes with its facts.

    Where nobody referred it, the date of the first touch of a partner stands for the date of the referral.
    """
    touched = not referrals and any(touchpoint.get("partner_id") is not None for touchpoint in touchpoints)
    return tuple(name for name in missing_fields(lead) if not (touched and name == "referral_date"))
