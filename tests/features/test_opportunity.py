from typing import Any

from features.opportunity import Amount, converted, open_amount


def event(number: int, at: int | None, minor: int | None, **more: Any) -> dict[str, Any]:
    known: dict[str, Any] = {"lead_event_id": str(number), "lead_id": "L", "event": "stage", "occurred_at": at}
    known |= {"recorded_at": at, "deleted": False, "amount_minor": minor, "amount_currency": minor and "EUR"}
    return known | more


def test_the_last_open_amount_recorded_by_then_counts() -> None:
    events = [event(1, 10, 100), event(2, 20, 200), event(3, 30, None), event(4, 40, 900, event="won")]
    assert [open_amount(events, at) for at in (9, 10, 25, 50)] == [
        None,
        Amount(100, "EUR"),
        Amount(200, "EUR"),
        Amount(200, "EUR"),
    ]
    late = event(5, 22, 300, recorded_at=60)
    assert open_amount([*events, late], 59) == Amount(200, "EUR")
    assert open_amount([*events, late], 60) == Amount(300, "EUR")
    removed = event(2, 20, 200, recorded_at=70, deleted=True)
    assert open_amount([*events, removed], 70) == Amount(100, "EUR")


def rate(number: int, at: int, base: str, quote: str, value: float, **more: Any) -> dict[str, Any]:
    known = {"exchange_rate_id": str(number), "occurred_at": at, "recorded_at": at, "deleted": False}
    return known | {"base": base, "quote": quote, "rate": value} | more


def test_an_amount_is_converted_at_the_rate_of_the_moment_and_stays_without_one() -> None:
    rates = [rate(1, 10, "EUR", "USD", 1.1), rate(2, 20, "EUR", "USD", 1.2), rate(3, 5, "USD", "JPY", 150.0)]
    amount = Amount(10_000, "EUR")
    assert converted(amount, "EUR", rates, 30) == amount
    assert converted(amount, "USD", rates, 9) == amount
    assert converted(amount, "USD", rates, 15) == Amount(11_000, "USD")
    assert converted(amount, "USD", rates, 30) == Amount(12_000, "USD")
    assert converted(Amount(12_000, "USD"), "EUR", rates, 30) == Amount(10_000, "EUR")
    assert converted(Amount(10_000, "USD"), "JPY", rates, 30) == Amount(15_000, "JPY")
    assert converted(amount, "GBP", rates, 30) == amount
