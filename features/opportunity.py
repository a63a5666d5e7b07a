"""The amount of a lead's open opportunity, as it was known at a moment.

An amount is never a feature: sales sets it while it works the lead, so it tells of the outcome. It only says what a win
would be worth.
"""

from collections.abc import Iterable
from operator import itemgetter
from typing import NamedTuple

from features.currencies import minor_digits
from features.outcomes import CLOSES
from features.records import KINDS, Row
from features.versions import recorded, undated_first

_EVENT_ID, _RATE_ID = KINDS["lead_events"].id, KINDS["exchange_rates"].id


class Amount(NamedTuple):
    """An amount in integer minor units of an ISO 4217 currency."""

    minor: int
    currency: str


def open_amount(events: Iterable[Row], as_of: int) -> Amount | None:
    """The last amount of a lead's sales process before a close, by what was recorded by `as_of`; None without one.

    Args:
        events: the versions of the lead's `lead_events`, in the order of ingest.
        as_of: the moment, microseconds.
    """
    named = [row for row in _known(events, _EVENT_ID, as_of) if row["event"] not in CLOSES]
    given = [row for row in named if row["amount_minor"] is not None and row["amount_currency"] is not None]
    return Amount(given[-1]["amount_minor"], given[-1]["amount_currency"]) if given else None


def converted(amount: Amount, currency: str, rates: Iterable[Row], as_of: int) -> Amount:
    """The amount in another currency at the rate of `as_of`; without a rate the amount as it is.

    Args:
        amount: the amount.
        currency: the wanted currency.
        rates: the versions of `exchange_rates`, in the order of ingest.
        as_of: the moment, microseconds.
    """
    if amount.currency == currency:
        return amount
    factors = [
        row["rate"] if row["base"] == amount.currency else 1 / row["rate"]
        for row in _known(rates, _RATE_ID, as_of)
        if {row["base"], row["quote"]} == {amount.currency, currency}
    ]
    if not factors:
        return amount
    digits = minor_digits(currency) - minor_digits(amount.currency)
    return Amount(round(amount.minor * factors[-1] * 10.0**digits), currency)


def _known(versions: Iterable[Row], identity: str, as_of: int) -> list[Row]:
    """The current version at `as_of` of each record that happened by then, in the order in which they happened."""
    seen = sorted((row for row in versions if recorded(row) <= as_of), key=recorded)
    last = {row[identity]: (rank, row) for rank, row in enumerate(seen)}
    kept = [
        (undated_first(row["occurred_at"]), rank, row)
        for rank, row in last.values()
        if not row["deleted"] and undated_first(row["occurred_at"]) <= as_of
    ]
    return [row for *_, row in sorted(kept, key=itemgetter(0, 1))]
