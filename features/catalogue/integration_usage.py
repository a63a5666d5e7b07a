"""The account's use of integrations with our product: the strongest ecosystem signal."""

from functools import partial

from features.catalogue.entry import SOURCE_PARTNER, Aggregate, Difference, Entry

_entry = partial(Entry, "integration_usage", partner=True)


def _days(days: int, skip: int = 0) -> Aggregate:
    return Aggregate("distinct", "integration_usage", "day", days=days, skip=skip)


def _calls(days: int, skip: int = 0) -> Aggregate:
    return Aggregate("sum", "integration_usage", "calls", days=days, skip=skip)


ENTRIES = (
    _entry(
        "integration_active_days_7d",
        _days(7),
        unit="days",
        direction=1,
        description="Distinct days with integration use in the last 7 days.",
        sentence="Used an integration on {value} of the last 7 days",
        absent="No integration use in the last 7 days",
    ),
    _entry(
        "integration_active_days_30d",
        _days(30),
        unit="days",
        direction=1,
        description="Distinct days with integration use in the last 30 days.",
        sentence="Used an integration on {value} of the last 30 days",
        absent="No integration use in the last 30 days",
    ),
    _entry(
        "integration_active_days_90d",
        _days(90),
        unit="days",
        direction=1,
        description="Distinct days with integration use in the last 90 days.",
        sentence="Used an integration on {value} of the last 90 days",
        absent="No integration use in the last 90 days",
    ),
    _entry(
        "integration_active_days_trend",
        Difference(_days(30), _days(30, skip=30)),
        unit="days",
        description="Active integration days of the last 30 days less those of the 30 days before.",
        sentence="Days of integration use changed by {value} against the month before",
        absent="Integration use is as it was the month before",
    ),
    _entry(
        "integration_calls_7d",
        _calls(7),
        unit="calls",
        direction=1,
        description="Integration calls in the last 7 days.",
        sentence="Integration calls in the last 7 days: {value}",
        absent="No integration calls in the last 7 days",
    ),
    _entry(
        "integration_calls_30d",
        _calls(30),
        unit="calls",
        direction=1,
        description="Integration calls in the last 30 days.",
        sentence="Integration calls in the last 30 days: {value}",
        absent="No integration calls in the last 30 days",
    ),
    _entry(
        "integration_calls_90d",
        _calls(90),
        unit="calls",
        direction=1,
        description="Integration calls in the last 90 days.",
        sentence="Integration calls in the last 90 days: {value}",
        absent="No integration calls in the last 90 days",
    ),
    _entry(
        "integration_calls_trend",
        Difference(_calls(30), _calls(30, skip=30)),
        unit="calls",
        description="Integration calls of the last 30 days less those of the 30 days before.",
        sentence="Integration calls changed by {value} against the month before",
        absent="Integration calls are as they were the month before",
    ),
    _entry(
        "integrations_used_90d",
        Aggregate("distinct", "integration_usage", "integration", days=90),
        unit="integrations",
        direction=1,
        description="Distinct integrations used in the last 90 days.",
        sentence="Integrations used in the last 90 days: {value}",
        absent="No integration used in the last 90 days",
    ),
    _entry(
        "integration_users_max_30d",
        Aggregate("max", "integration_usage", "active_users", days=30),
        unit="users",
        direction=1,
        description="Most active users of an integration on a day of the last 30 days.",
        sentence="Most people using an integration on one day: {value}",
        absent="No active users of an integration in the last 30 days",
    ),
    _entry(
        "source_partner_active_days_30d",
        Aggregate("distinct", "integration_usage", "day", where=(SOURCE_PARTNER,), days=30),
        unit="days",
        direction=1,
        description="Distinct days of the last 30 on which an integration of the source partner was used.",
        sentence="Used the source partner's integration on {value} of the last 30 days",
        absent="No use of an integration of the source partner in the last 30 days",
    ),
    _entry(
        "integration_recency_days",
        Aggregate("days_since_last", "integration_usage"),
        unit="days",
        missing="unknown",
        description="Days since the last use of any integration.",
        sentence="Last used an integration {value} days ago",
        absent="Has never used an integration, or did today",
    ),
    _entry(
        "integration_first_use_days",
        Aggregate("days_since_first", "integration_usage"),
        unit="days",
        missing="unknown",
        description="Days since the first use of any integration.",
        sentence="First used an integration {value} days ago",
        absent="Has never used an integration, or did so first today",
    ),
)
