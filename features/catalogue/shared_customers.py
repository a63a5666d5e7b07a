"""Partners that have the account too: overlap supports a lead but never qualifies it alone."""

from features.catalogue.entry import Aggregate, Entry, one_of


def _partners(relationship: str) -> Aggregate:
    return Aggregate("distinct", "shared_customers", "partner_id", where=(one_of("relationship", relationship),))


ENTRIES = (
    Entry(
        "partners_with_customer",
        "shared_customers",
        _partners("customer"),
        unit="partners",
        direction=1,
        missing="none",
        description="Partners that have the account as a customer.",
        sentence="Customer of {value} of our partners",
        absent="Not a customer of any partner we know of",
        partner=True,
        neutral=0,
    ),
    Entry(
        "partners_with_opportunity",
        "shared_customers",
        _partners("opportunity"),
        unit="partners",
        direction=1,
        missing="none",
        description="Partners that have an open opportunity with the account.",
        sentence="Open opportunity of {value} of our partners",
        absent="No partner has an open opportunity there",
        partner=True,
        neutral=0,
    ),
    Entry(
        "shared_customer_confidence",
        "shared_customers",
        Aggregate("max", "shared_customers", "confidence", where=(one_of("relationship", "customer"),)),
        unit="share",
        direction=1,
        missing="unknown",
        description="Highest confidence with which the account is a partner's customer.",
        sentence="Matched to a partner's customer with confidence {value}",
        absent="No match to a partner's customer with a known confidence",
        partner=True,
        neutral=None,
    ),
)
