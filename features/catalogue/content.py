"""Content made or hosted with a partner: webinars, case studies, backlinks, marketplace listings."""

from features.catalogue.entry import Aggregate, Condition, Entry, one_of

_WITH_PARTNER = Condition("partner_id", "given")

ENTRIES = (
    Entry(
        "partner_touches_90d",
        "partner_content",
        Aggregate("count", "touchpoints", where=(_WITH_PARTNER,), days=90),
        unit="touches",
        direction=1,
        missing="none",
        description="Touches of content with a partner in the last 90 days.",
        sentence="Touches of partner content in the last 90 days: {value}",
        absent="No touch of partner content in the last 90 days",
        partner=True,
        neutral=0,
    ),
    Entry(
        "partner_webinars_180d",
        "partner_content",
        Aggregate("count", "touchpoints", where=(_WITH_PARTNER, one_of("channel", "webinar")), days=180),
        unit="webinars",
        direction=1,
        missing="none",
        description="Webinars with a partner attended in the last 180 days.",
        sentence="Partner webinars attended in the last 180 days: {value}",
        absent="Attended no partner webinar in the last 180 days",
        partner=True,
        neutral=0,
    ),
    Entry(
        "partner_content_kinds",
        "partner_content",
        Aggregate("distinct", "touchpoints", "channel", where=(_WITH_PARTNER,)),
        unit="channels",
        direction=1,
        missing="none",
        description="Distinct channels of partner content the lead touched.",
        sentence="Channels of partner content touched: {value}",
        absent="Never touched partner content",
        partner=True,
        neutral=0,
    ),
    Entry(
        "partner_first_touch_days",
        "partner_content",
        Aggregate("days_since_first", "touchpoints", where=(_WITH_PARTNER,)),
        unit="days",
        direction=0,
        missing="unknown",
        description="Days since the first touch of partner content.",
        sentence="First touched partner content {value} days ago",
        absent="Never touched partner content",
        partner=True,
        neutral=None,
    ),
)
