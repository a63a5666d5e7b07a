"""The account against the ideal customer profile."""

from features.catalogue.entry import Entry, Quotient, Reading, one_of

ENTRIES = (
    Entry(
        "employees",
        "icp",
        Reading("account", "employees"),
        unit="people",
        direction=0,
        missing="unknown",
        description="Employees of the account.",
        sentence="{value} employees",
        absent="Number of employees unknown",
    ),
    Entry(
        "annual_revenue_usd",
        "icp",
        Quotient(Reading("account", "annual_revenue_minor", where=(one_of("annual_revenue_currency", "USD"),)), 100),
        unit="US dollars",
        direction=0,
        missing="unknown",
        description="Annual revenue of the account where stated in US dollars.",
        sentence="Annual revenue of {value} US dollars",
        absent="Annual revenue in US dollars unknown",
    ),
    Entry(
        "industry",
        "icp",
        Reading("account", "industry"),
        unit="name",
        direction=0,
        missing="unknown",
        description="Industry of the account.",
        sentence="Industry: {value}",
        absent="Industry unknown",
        kind="category",
    ),
    Entry(
        "country",
        "icp",
        Reading("account", "country"),
        unit="ISO 3166 code",
        direction=0,
        missing="unknown",
        description="Country of the account.",
        sentence="Country: {value}",
        absent="Country unknown",
        kind="category",
    ),
)
