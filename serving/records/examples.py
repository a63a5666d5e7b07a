"""An example of each kind of record, entities without their id; OpenAPI shows them."""

from collections.abc import Mapping
from typing import Any

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "accounts": {"domain": "acme.example", "name": "Acme", "employees": 400, "industry": "software", "country": "DE"},
    "partners": {"name": "Integrators Ltd", "kind": "implementation", "tier": "gold", "certified": True},
    "leads": {
        "account_id": "A-1",
        "email": "cto@acme.example",
        "created_at": "2026-10-20T09:00:00Z",
        "channel": "partner_referral",
        "source_partner_id": "P-1",
        "programme_tier": "gold",
        "referral_date": "2026-10-20",
        "region": "EMEA",
    },
    "referrals": {"lead_id": "L-1", "partner_id": "P-1", "occurred_at": "2026-10-20T09:00:00Z"},
    "confirmations": {
        "lead_id": "L-1",
        "side": "partner",
        "partner_id": "P-1",
        "subjects": ["fit", "intent"],
        "occurred_at": "2026-10-20T09:00:00Z",
    },
    "shared_customers": {
        "account_id": "A-1",
        "partner_id": "P-1",
        "relationship": "customer",
        "since": "2025-03-01",
        "confidence": 0.9,
    },
    "integration_usage": {
        "account_id": "A-1",
        "integration": "slack",
        "partner_id": "P-2",
        "day": "2026-10-30",
        "calls": 120,
        "active_users": 9,
    },
    "touchpoints": {
        "lead_id": "L-1",
        "occurred_at": "2026-10-10T10:00:00Z",
        "channel": "backlink",
        "kind": "visit",
        "partner_id": "P-3",
        "url": "https://vendor.example/tour?utm_source=p3&utm_medium=referral",
    },
    "buying_signals": {"lead_id": "L-1", "kind": "budget_confirmed", "occurred_at": "2026-10-25T10:00:00Z"},
    "lead_events": {
        "lead_id": "L-1",
        "event": "won",
        "occurred_at": "2026-11-10T15:00:00Z",
        "amount": {"minor": 1200000, "currency": "USD"},
    },
    "spend": {
        "occurred_at": "2026-10-01T00:00:00Z",
        "channel": "webinar",
        "partner_id": "P-3",
        "amount": {"minor": 250000, "currency": "USD"},
    },
    "agreements": {
        "occurred_at": "2026-01-01T00:00:00Z",
        "partner_id": "P-1",
        "role": "sourced",
        "share": 0.1,
        "until": "2027-12-31",
    },
    "payouts": {
        "occurred_at": "2026-11-15T00:00:00Z",
        "partner_id": "P-1",
        "lead_id": "L-1",
        "amount": {"minor": 120000, "currency": "USD"},
        "status": "approved",
    },
    "exchange_rates": {"occurred_at": "2026-11-01T00:00:00Z", "base": "EUR", "quote": "USD", "rate": 1.08},
}
