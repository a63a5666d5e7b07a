"""Mandatory fields of a partner lead."""

import pytest

from operations.mandatory import MANDATORY, missing_fields


def test_a_first_party_lead_owes_nothing() -> None:
    assert missing_fields({"channel": "demo_request"}) == ()


@pytest.mark.parametrize("lead", [{"channel": "partner_referral"}, {"channel": "direct", "source_partner_id": "P-1"}])
def test_a_partner_lead_owes_what_it_does_not_state(lead: dict[str, object]) -> None:
    assert missing_fields(lead) == tuple(name for name in MANDATORY if name not in lead)


def test_a_complete_partner_lead_owes_nothing() -> None:
    lead = {"channel": "webinar", "source_partner_id": "P-1", "programme_tier": "gold", "referral_date": 0}
    assert missing_fields(lead) == ()
