"""Partners that also have the account. Overlap supports a lead but never qualifies it alone.

An overlap with confidence 0 is marked as wrong (see features.overlap.shared_customers) and never counts.
"""

from functools import partial

from features.catalogue.entry import SOURCE_PARTNER, Aggregate, Condition, Entry, none_of, one_of

_entry = partial(Entry, "shared_customers", partner=True, direction=1)
_RIGHT = none_of("confidence", 0)
_CUSTOMER = one_of("relationship", "customer")
_HALF_LIFE = 365


def _partners(*where: Condition) -> Aggregate:
    return Aggregate("distinct", "shared_customers", "partner_id", where=(_RIGHT, *where))


ENTRIES = (
    _entry(
        "partners_with_customer",
        _partners(_CUSTOMER),
        unit="partners",
        description="Partners that have the account as a customer.",
        sentence="Customer of {value} of our partners",
        absent="Not a customer of any partner we know of",
    ),
    _entry(
        "partners_with_opportunity",
        _partners(one_of("relationship", "opportunity")),
        unit="partners",
        description="Partners that have an open opportunity with the account.",
        sentence="Open opportunity of {value} of our partners",
        absent="No partner has an open opportunity there",
    ),
    _entry(
        "partners_with_prospect",
        _partners(one_of("relationship", "prospect")),
        unit="partners",
        description="Partners that have the account as a prospect.",
        sentence="Prospect of {value} of our partners",
        absent="Not a prospect of any partner we know of",
    ),
    _entry(
        "source_partner_overlaps",
        _partners(SOURCE_PARTNER),
        unit="yes (1) or no (0)",
        description="Whether the source partner has the account as customer, opportunity or prospect.",
        sentence="The source partner knows this account",
        absent="The source partner is not known to have this account",
    ),
    _entry(
        "shared_customer_confidence",
        Aggregate("max", "shared_customers", "confidence", where=(_RIGHT, _CUSTOMER)),
        unit="share",
        missing="unknown",
        description="Highest confidence with which the account is a partner's customer.",
        sentence="Matched to a partner's customer with confidence {value}",
        absent="No match to a partner's customer with a known confidence",
    ),
    _entry(
        "shared_customers_weighted",
        Aggregate("faded", "shared_customers", "confidence", where=(_CUSTOMER,), half_life=_HALF_LIFE),
        unit="partners",
        description="Partners with the account as a customer, each weighed by its confidence, halved for every year "
        "since it was recorded.",
        sentence="Customer of our partners, weighed by confidence and age: {value}",
        absent="Not a customer of any partner we know of",
    ),
)
