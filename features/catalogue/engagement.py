"""First-party engagement: our own visits, e-books and webinars. Lists from trade shows are not engagement."""

from features.catalogue.entry import Aggregate, Condition, Entry, one_of
from features.records import OWN_CHANNELS, PARTNER_CHANNELS

_OWN = (
    Condition("partner_id", "absent"),
    one_of("channel", *(channel for channel in (*PARTNER_CHANNELS, *OWN_CHANNELS) if channel != "trade_show")),
)

ENTRIES = (
    Entry(
        "own_touches_30d",
        "engagement",
        Aggregate("count", "touchpoints", where=_OWN, days=30),
        unit="touches",
        direction=1,
        missing="none",
        description="First-party touches in the last 30 days.",
        sentence="Visits or downloads in the last 30 days: {value}",
        absent="No visit or download in the last 30 days",
    ),
    Entry(
        "own_touches",
        "engagement",
        Aggregate("count", "touchpoints", where=_OWN),
        unit="touches",
        direction=1,
        missing="none",
        description="First-party touches, ever.",
        sentence="Visits or downloads in all: {value}",
        absent="No visit or download of ours",
    ),
    Entry(
        "own_touch_recency_days",
        "engagement",
        Aggregate("days_since_last", "touchpoints", where=_OWN),
        unit="days",
        direction=0,
        missing="unknown",
        description="Days since the last first-party touch.",
        sentence="Last visit or download {value} days ago",
        absent="No visit or download of ours",
    ),
)
