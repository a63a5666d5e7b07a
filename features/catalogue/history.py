"""What the source partner's matured leads came to, as of the moment (see features.partner_history)."""

from features.catalogue.entry import Entry, Reading, ShrunkRate

STRENGTH = 20.0
"""Leads at which a partner's own rate weighs as much as that of all partners."""

ENTRIES = (
    Entry(
        "partner_win_rate",
        "partner_history",
        ShrunkRate(
            Reading("history", "wins"),
            Reading("history", "leads"),
            Reading("history", "all_wins"),
            Reading("history", "all_leads"),
            STRENGTH,
        ),
        unit="share",
        direction=1,
        missing="unknown",
        description="Share of the source partner's matured leads that were won, shrunk to that of all partners.",
        sentence="The partner's earlier leads were won at a rate of {value}",
        absent="No earlier leads of a source partner to judge by",
        partner=True,
        neutral=None,
    ),
    Entry(
        "partner_matured_leads",
        "partner_history",
        Reading("history", "leads"),
        unit="leads",
        direction=0,
        missing="none",
        description="Leads of the source partner old enough to be judged.",
        sentence="Earlier leads of this partner to judge by: {value}",
        absent="No earlier leads of a source partner to judge by",
        partner=True,
        neutral=0,
    ),
    Entry(
        "partner_days_to_close",
        "partner_history",
        Reading("history", "days_to_close"),
        unit="days",
        direction=-1,
        missing="unknown",
        description="Geometric mean of the days the source partner's wins took.",
        sentence="The partner's wins closed after {value} days",
        absent="No earlier wins of a source partner to judge by",
        partner=True,
        neutral=None,
    ),
)
