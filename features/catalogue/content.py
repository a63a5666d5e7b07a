"""Content made or hosted with a partner: webinars, case studies, backlinks, marketplace listings."""

from functools import partial

from features.catalogue.entry import SOURCE_PARTNER, Aggregate, Condition, Entry, one_of

_entry = partial(Entry, "partner_content", partner=True)
_WITH_PARTNER = Condition("partner_id", "given")


def _touches(days: int, *where: Condition) -> Aggregate:
    return Aggregate("count", "touchpoints", where=(_WITH_PARTNER, *where), days=days)


ENTRIES = (
    _entry(
        "partner_touches_90d",
        _touches(90),
        unit="touches",
        direction=1,
        description="Touches of content with a partner in the last 90 days.",
        sentence="Touches of partner content in the last 90 days: {value}",
        absent="No touch of partner content in the last 90 days",
    ),
    _entry(
        "source_partner_touches_90d",
        _touches(90, SOURCE_PARTNER),
        unit="touches",
        direction=1,
        description="Touches of content with the source partner in the last 90 days.",
        sentence="Touches of the source partner's content in the last 90 days: {value}",
        absent="No touch of the source partner's content in the last 90 days",
    ),
    _entry(
        "partner_tagged_visits_90d",
        _touches(90, one_of("url_tagged", True)),
        unit="visits",
        direction=1,
        description="Visits through a partner's link with a UTM source in the last 90 days.",
        sentence="Visits through a partner's tagged link in the last 90 days: {value}",
        absent="No visit through a partner's tagged link in the last 90 days",
    ),
    _entry(
        "partner_backlink_visits_90d",
        _touches(90, one_of("channel", "backlink")),
        unit="visits",
        direction=1,
        description="Visits through a partner's backlink in the last 90 days.",
        sentence="Visits through a partner's backlink in the last 90 days: {value}",
        absent="No visit through a partner's backlink in the last 90 days",
    ),
    _entry(
        "marketplace_visits_90d",
        _touches(90, one_of("channel", "integration_marketplace")),
        unit="visits",
        direction=1,
        description="Visits through a partner's marketplace listing in the last 90 days.",
        sentence="Visits through a marketplace listing in the last 90 days: {value}",
        absent="No visit through a marketplace listing in the last 90 days",
    ),
    _entry(
        "partner_webinars_180d",
        _touches(180, one_of("channel", "webinar")),
        unit="webinars",
        direction=1,
        description="Webinars with a partner attended in the last 180 days.",
        sentence="Partner webinars attended in the last 180 days: {value}",
        absent="Attended no partner webinar in the last 180 days",
    ),
    _entry(
        "partner_case_studies_180d",
        _touches(180, one_of("channel", "case_study")),
        unit="case studies",
        direction=1,
        description="Case studies with a partner read in the last 180 days.",
        sentence="Partner case studies read in the last 180 days: {value}",
        absent="Read no partner case study in the last 180 days",
    ),
    _entry(
        "co_created_assets_180d",
        _touches(180, one_of("channel", "co_created_content")),
        unit="assets",
        direction=1,
        description="Assets made with a partner that the lead used in the last 180 days.",
        sentence="Assets made with a partner used in the last 180 days: {value}",
        absent="Used no asset made with a partner in the last 180 days",
    ),
    _entry(
        "partner_content_kinds",
        Aggregate("distinct", "touchpoints", "channel", where=(_WITH_PARTNER,)),
        unit="channels",
        direction=1,
        description="Distinct channels of partner content the lead touched.",
        sentence="Channels of partner content touched: {value}",
        absent="Never touched partner content",
    ),
    _entry(
        "partner_touch_recency_days",
        Aggregate("days_since_last", "touchpoints", where=(_WITH_PARTNER,)),
        unit="days",
        missing="unknown",
        description="Days since the last touch of partner content.",
        sentence="Last touched partner content {value} days ago",
        absent="Never touched partner content, or just now",
    ),
    _entry(
        "partner_first_touch_days",
        Aggregate("days_since_first", "touchpoints", where=(_WITH_PARTNER,)),
        unit="days",
        missing="unknown",
        description="Days since the first touch of partner content.",
        sentence="First touched partner content {value} days ago",
        absent="Never touched partner content, or first just now",
    ),
)
