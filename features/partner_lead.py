"""Whether a lead came from a partner: the one definition, for rules, mandatory fields, features and reports.

A lead that names a source partner is a partner lead. So is a lead whose channel only partners have. A webinar, a case
study and a backlink may be our own: such a lead is a partner lead where a partner referred it, or where one of its
touchpoints names a partner.
"""

from collections.abc import Mapping
from typing import Any

from features.records import PARTNER_CHANNELS

SHARED_CHANNELS = ("webinar", "case_study", "backlink")
"""The partner channels that we have too."""

PARTNER_ONLY_CHANNELS = tuple(channel for channel in PARTNER_CHANNELS if channel not in SHARED_CHANNELS)


def is_partner_lead(lead: Mapping[str, Any], *, partner_involved: bool) -> bool:
    """Whether a lead came from a partner.

    Args:
        lead: its columns `channel` and `source_partner_id`.
        partner_involved: whether a referral of the lead, or a touchpoint that names a partner, is known.
    """
    channel = lead.get("channel")
    if lead.get("source_partner_id") is not None or channel in PARTNER_ONLY_CHANNELS:
        return True
    return channel in SHARED_CHANNELS and partner_involved
