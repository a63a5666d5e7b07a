"""The lead itself: its origin, its age, its region and product line, and the season."""

from functools import partial

from features.catalogue.entry import DaysSince, Entry, Given, LeadChannel, Month, Reading

_entry = partial(Entry, "lead", missing="unknown")

ENTRIES = (
    _entry(
        "lead_age_days",
        DaysSince(Reading("lead", "created_at")),
        unit="days",
        description="Days since the lead was created.",
        sentence="Days since the lead was created: {value}",
        absent="The lead is new",
    ),
    _entry(
        "own_channel",
        LeadChannel("own"),
        unit="name",
        kind="category",
        description="The channel of a lead that did not come through a partner.",
        sentence="Came through {value}",
        absent="Did not come through a channel of our own",
    ),
    _entry(
        "partner_channel",
        LeadChannel("partner"),
        unit="name",
        kind="category",
        partner=True,
        description="The channel of a lead that came through a partner.",
        sentence="Came through {value}",
        absent="Did not come through a partner channel",
    ),
    _entry(
        "region",
        Reading("lead", "region"),
        unit="name",
        kind="category",
        description="The sales region of the lead.",
        sentence="Region: {value}",
        absent="Region unknown",
    ),
    _entry(
        "product_line",
        Reading("lead", "product_line"),
        unit="name",
        kind="category",
        description="The product line the lead asks for.",
        sentence="Product line: {value}",
        absent="Product line unknown",
    ),
    _entry(
        "opted_out",
        Reading("lead", "opted_out"),
        unit="yes (1) or no (0)",
        direction=-1,
        description="Whether the lead does not want to hear from us.",
        sentence="Has opted out",
        absent="Has not opted out, as far as known",
    ),
    _entry(
        "known_duplicate",
        Given(Reading("lead", "duplicate_of")),
        unit="yes (1) or no (0)",
        direction=-1,
        missing="none",
        description="Whether the lead is known to duplicate another.",
        sentence="Is a duplicate of another lead",
        absent="Is not known to be a duplicate",
    ),
    _entry(
        "month",
        Month(),
        unit="month, 1 to 12",
        description="The calendar month of the moment (UTC): the season.",
        sentence="Month of the year: {value}",
        absent="Month unknown",
    ),
)
