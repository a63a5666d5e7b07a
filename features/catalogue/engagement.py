"""First-party engagement: our own visits, e-books and webinars. Lists from trade shows are not engagement."""

from functools import partial

from features.catalogue.entry import Aggregate, Condition, Difference, Entry, none_of

_entry = partial(Entry, "engagement")
_OWN = (Condition("partner_id", "absent"), none_of("channel", "trade_show"))
_LAST_30_DAYS = Aggregate("count", "touchpoints", where=_OWN, days=30)

ENTRIES = (
    _entry(
        "own_touches_30d",
        _LAST_30_DAYS,
        unit="touches",
        direction=1,
        description="First-party touches in the last 30 days.",
        sentence="Visits or downloads in the last 30 days: {value}",
        absent="No visit or download in the last 30 days",
    ),
    _entry(
        "own_touches",
        Aggregate("count", "touchpoints", where=_OWN),
        unit="touches",
        direction=1,
        description="First-party touches, ever.",
        sentence="Visits or downloads in all: {value}",
        absent="No visit or download of ours",
    ),
    _entry(
        "own_touches_trend",
        Difference(_LAST_30_DAYS, Aggregate("count", "touchpoints", where=_OWN, days=30, skip=30)),
        unit="touches",
        description="First-party touches of the last 30 days less those of the 30 days before.",
        sentence="Visits or downloads changed by {value} against the month before",
        absent="Visits and downloads are as they were the month before",
    ),
    _entry(
        "own_touch_channels",
        Aggregate("distinct", "touchpoints", "channel", where=_OWN),
        unit="channels",
        direction=1,
        description="Distinct channels of first-party touches.",
        sentence="Channels of ours it came through: {value}",
        absent="No visit or download of ours",
    ),
    _entry(
        "own_touch_recency_days",
        Aggregate("days_since_last", "touchpoints", where=_OWN),
        unit="days",
        missing="unknown",
        description="Days since the last first-party touch.",
        sentence="Last visit or download {value} days ago",
        absent="No visit or download of ours, or one just now",
    ),
)
