"""Signs of intent recorded in the CRM; budget, authority, need and timeline are BANT."""

from functools import partial

from features.catalogue.entry import Aggregate, Condition, Entry, one_of

_entry = partial(Entry, "buying_signals")
_BANT = one_of("kind", "budget_confirmed", "authority_confirmed", "use_case_stated", "timeline_stated")


def _signals(*where: Condition, days: int | None = None) -> Aggregate:
    return Aggregate("count", "buying_signals", where=where, days=days)


ENTRIES = (
    _entry(
        "buying_signals",
        _signals(),
        unit="signals",
        direction=1,
        description="Buying signals recorded, ever.",
        sentence="Buying signals recorded: {value}",
        absent="No buying signal recorded",
    ),
    _entry(
        "buying_signals_30d",
        _signals(days=30),
        unit="signals",
        direction=1,
        description="Buying signals of the last 30 days.",
        sentence="Buying signals in the last 30 days: {value}",
        absent="No buying signal in the last 30 days",
    ),
    _entry(
        "buying_signal_kinds",
        Aggregate("distinct", "buying_signals", "kind"),
        unit="kinds",
        direction=1,
        description="Distinct kinds of buying signals.",
        sentence="Different kinds of buying signals: {value}",
        absent="No buying signal recorded",
    ),
    _entry(
        "bant_coverage",
        Aggregate("distinct", "buying_signals", "kind", where=(_BANT,)),
        unit="of 4",
        direction=1,
        description="How many of budget, authority, need (a stated use case) and timeline are known.",
        sentence="Of budget, authority, need and timeline known: {value} of 4",
        absent="Neither budget, authority, need nor timeline is known",
    ),
    _entry(
        "demo_requests",
        _signals(one_of("kind", "demo_request")),
        unit="requests",
        direction=1,
        description="Demos requested.",
        sentence="Requested a demo ({value})",
        absent="Requested no demo",
    ),
    _entry(
        "budget_confirmations",
        _signals(one_of("kind", "budget_confirmed")),
        unit="confirmations",
        direction=1,
        description="Times a budget was confirmed.",
        sentence="Budget confirmed",
        absent="Budget not confirmed",
    ),
    _entry(
        "authority_confirmations",
        _signals(one_of("kind", "authority_confirmed")),
        unit="confirmations",
        direction=1,
        description="Times it was confirmed that the contact decides.",
        sentence="In touch with who decides",
        absent="Not known whether the contact decides",
    ),
    _entry(
        "use_cases_stated",
        _signals(one_of("kind", "use_case_stated")),
        unit="use cases",
        direction=1,
        description="Times a use case was stated.",
        sentence="Stated a use case ({value})",
        absent="Stated no use case",
    ),
    _entry(
        "timelines_stated",
        _signals(one_of("kind", "timeline_stated")),
        unit="timelines",
        direction=1,
        description="Times a timeline was stated.",
        sentence="Stated a timeline",
        absent="Stated no timeline",
    ),
    _entry(
        "buying_signal_recency_days",
        Aggregate("days_since_last", "buying_signals"),
        unit="days",
        missing="unknown",
        description="Days since the last buying signal.",
        sentence="Last buying signal {value} days ago",
        absent="No buying signal recorded, or one just now",
    ),
)
