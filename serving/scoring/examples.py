"""Examples of the requests to decide on leads; OpenAPI shows them."""

from collections.abc import Mapping
from typing import Any

from serving.records.examples import EXAMPLES


def _of_lead(name: str) -> list[Mapping[str, Any]]:
    """The example of a fact, as it is sent with its lead."""
    return [{field: value for field, value in EXAMPLES[name].items() if field not in ("lead_id", "account_id")}]


LEAD: Mapping[str, Any] = {
    "lead": {"lead_id": "L-1", **EXAMPLES["leads"]},
    "account": {"account_id": "A-1", **EXAMPLES["accounts"]},
    "partners": [{"partner_id": "P-1", **EXAMPLES["partners"]}],
    **{name: _of_lead(name) for name in ("referrals", "confirmations", "touchpoints", "buying_signals")},
    **{name: _of_lead(name) for name in ("shared_customers", "integration_usage")},
}
SCORED: Mapping[str, Any] = {**LEAD, "as_of": "2026-11-01T00:00:00Z"}
