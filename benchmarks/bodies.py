"""The request body of the serving benchmarks: a referral by a certified partner, with all its facts."""

import json
from typing import Any

from features.value_types import DAY, rfc3339

_AS_OF = 20_700 * DAY


def body() -> bytes:
    """A body of /v1/score with 20 facts."""
    return json.dumps(content()).encode()


def content() -> dict[str, Any]:
    """The body as JSON types."""
    return {
        "as_of": rfc3339(_AS_OF),
        "lead": {
            "lead_id": "L-1",
            "email": "cto@acme-widgets.example",
            "created_at": _days_before(12),
            "channel": "partner_referral",
            "source_partner_id": "P-1",
            "programme_tier": "gold",
            "referral_date": _days_before(12)[:10],
            "region": "EMEA",
        },
        "account": {
            "account_id": "A-1",
            "domain": "acme-widgets.example",
            "employees": 400,
            "industry": "software",
            "country": "DE",
            "technologies": ["salesforce", "slack"],
        },
        "partners": [{"partner_id": "P-1", "kind": "implementation", "tier": "gold", "certified": True}],
        "referrals": [{"partner_id": "P-1", "occurred_at": _days_before(12)}],
        "confirmations": [
            {"side": side, "partner_id": "P-1", "subjects": ["fit", "intent"], "occurred_at": _days_before(11)}
            for side in ("partner", "vendor")
        ],
        "integration_usage": [
            {
                "integration": "slack",
                "partner_id": "P-1",
                "day": _days_before(day)[:10],
                "calls": 100 + day,
                "active_users": 9,
            }
            for day in range(2, 14)
        ],
        "shared_customers": [{"partner_id": "P-1", "relationship": "customer", "since": _days_before(600)[:10]}],
        "touchpoints": [{"channel": "webinar", "kind": "visit", "partner_id": "P-1", "occurred_at": _days_before(20)}],
        "buying_signals": [{"kind": "budget_confirmed", "occurred_at": _days_before(6)}],
    }


def _days_before(days: int) -> str:
    return rfc3339(_AS_OF - days * DAY)
