"""The account against the ideal customer profile."""

from functools import partial

from features.catalogue.entry import Entry, Matches, Quotient, Reading, one_of
from features.domains import FREE_MAIL

_entry = partial(Entry, "icp", missing="unknown")
_IN_DOLLARS = one_of("annual_revenue_currency", "USD")
_REVENUE = Quotient(Reading("account", "annual_revenue_minor", where=(_IN_DOLLARS,)), 100)
_INTEGRATED = (
    "asana", "aws", "azure", "bigquery", "dynamics", "github", "hubspot", "jira", "marketo", "microsoft teams",
    "netsuite", "okta", "outreach", "pipedrive", "quickbooks", "salesforce", "sap", "servicenow", "shopify", "slack",
    "snowflake", "stripe", "tableau", "workday", "zapier", "zendesk",
)  # fmt: skip
"""Technologies that integrations of ours and our partners speak with, in lower case."""

ENTRIES = (
    _entry(
        "employees",
        Reading("account", "employees"),
        unit="people",
        description="Employees of the account.",
        sentence="{value} employees",
        absent="Number of employees unknown",
    ),
    _entry(
        "annual_revenue_usd",
        _REVENUE,
        unit="US dollars",
        description="Annual revenue of the account where stated in US dollars.",
        sentence="Annual revenue of {value} US dollars",
        absent="Annual revenue in US dollars unknown",
    ),
    _entry(
        "revenue_per_employee_usd",
        Quotient(_REVENUE, Reading("account", "employees")),
        unit="US dollars",
        description="Annual revenue of the account per employee, where stated in US dollars.",
        sentence="Annual revenue per employee of {value} US dollars",
        absent="Annual revenue per employee unknown",
    ),
    _entry(
        "industry",
        Reading("account", "industry"),
        unit="name",
        kind="category",
        description="Industry of the account.",
        sentence="Industry: {value}",
        absent="Industry unknown",
    ),
    _entry(
        "country",
        Reading("account", "country"),
        unit="ISO 3166 code",
        kind="category",
        description="Country of the account.",
        sentence="Country: {value}",
        absent="Country unknown",
    ),
    _entry(
        "technology_matches",
        Matches(Reading("account", "technologies"), _INTEGRATED),
        unit="technologies",
        direction=1,
        description="How many of the account's technologies integrations of ours and our partners speak with.",
        sentence="Technologies in use that our integrations speak with: {value}",
        absent="No technology known that our integrations speak with",
    ),
    _entry(
        "competitor",
        Reading("account", "competitor"),
        unit="yes (1) or no (0)",
        direction=-1,
        description="Whether the account competes with us.",
        sentence="The account is a competitor",
        absent="The account is no competitor, as far as known",
    ),
    _entry(
        "free_mail",
        Matches(Reading("lead", "email_domain"), tuple(sorted(FREE_MAIL))),
        unit="yes (1) or no (0)",
        direction=-1,
        description="Whether the lead's e-mail address is at a free-mail provider.",
        sentence="The e-mail address is a free one",
        absent="The e-mail address is not a free one, or unknown",
    ),
)
