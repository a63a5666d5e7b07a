"""Mandatory fields of a partner lead."""

import pytest

from operations.mandatory import MANDATORY, missing_at_intake, missing_fields


def test_a_first_party_lead_owes_nothing() -> None:
    assert missing_fields({"channel": "demo_request"}, partner_lead=False) == ()
    assert missing_at_intake({"channel": "webinar"}, referred=False, touched=False) == ()


@pytest.mark.parametrize("lead", [{"channel": "partner_referral"}, {"channel": "direct", "source_partner_id": "P-1"}])
def test_a_partner_lead_owes_what_it_does_not_state(lead: dict[str, object]) -> None:
    assert missing_fields(lead, partner_lead=True) == tuple(name for name in MANDATORY if name not in lead)


def test_a_complete_partner_lead_owes_nothing() -> None:
    lead = {"channel": "webinar", "source_partner_id": "P-1", "programme_tier": "gold", "referral_date": 0}
    assert missing_fields(lead, partner_lead=True) == ()


def test_where_nobody_referred_a_lead_the_first_partner_touch_dates_it() -> None:
    undated = {"channel": "webinar", "source_partner_id": "P-1", "programme_tier": "gold"}
    assert missing_at_intake(undated, referred=False, touched=True) == ()
    assert missing_at_intake(undated, referred=True, touched=True) == ("referral_date",)
    assert missing_at_intake(undated, referred=False, touched=False) == ("referral_date",)
    assert missing_at_intake({"channel": "webinar"}, referred=False, touched=True) == MANDATORY[:2]
