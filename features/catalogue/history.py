"""The outcomes of the mature leads of the source partner, its tier and all partners (see features.partner_history)."""

from functools import partial

from features.catalogue.entry import Entry, Quotient, Reading, ShrunkRate

_entry = partial(Entry, "partner_history", partner=True)
_ALL = Quotient(Reading("all_history", "wins"), Reading("all_history", "leads"))
_TIER = ShrunkRate(
    Reading("tier_history", "wins"),
    Reading("tier_history", "leads"),
    prior=_ALL,
    strength=Reading("all_history", "tier_strength"),
)

ENTRIES = (
    _entry(
        "partner_win_rate",
        ShrunkRate(
            Reading("partner_history", "wins"),
            Reading("partner_history", "leads"),
            prior=_TIER,
            strength=Reading("all_history", "partner_strength"),
        ),
        unit="share",
        direction=1,
        missing="unknown",
        description="Share of the source partner's matured leads that were won, shrunk to that of its tier (which is "
        "shrunk to that of all partners); of a partner without matured leads its tier's.",
        sentence="Leads like this partner's were won at a rate of {value}",
        absent="No earlier leads of partners to judge by",
    ),
    _entry(
        "tier_win_rate",
        _TIER,
        unit="share",
        direction=1,
        missing="unknown",
        description="Share of the matured leads of the source partner's tier that were won, shrunk to that of all "
        "partners.",
        sentence="Leads of partners of this tier were won at a rate of {value}",
        absent="No earlier leads of partners to judge by",
    ),
    _entry(
        "partner_matured_leads",
        Reading("partner_history", "leads"),
        unit="leads",
        description="Leads of the source partner old enough to be judged.",
        sentence="Earlier leads of this partner to judge by: {value}",
        absent="No earlier leads of a source partner to judge by",
    ),
    _entry(
        "partner_days_to_close",
        Reading("partner_history", "days_to_close"),
        unit="days",
        direction=-1,
        missing="unknown",
        description="Geometric mean (from the mean of the logarithms) of the days the source partner's wins took.",
        sentence="The partner's wins closed after {value} days",
        absent="No earlier wins of a source partner to judge by",
    ),
)
