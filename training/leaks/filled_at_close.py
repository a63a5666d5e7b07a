"""A column that is blank while a lead is open and filled in once it is closed: the close filled it in."""

from training.data.attribute_fill import AttributeFill
from training.evaluation.leak_findings import Evidence

MIN_LEADS = 10
"""Open and closed leads from which on the comparison says something."""
MAX_EXCEPTIONS = 0.01
"""The share of open leads with a value, and of closed leads without one, that counts as an error of entry."""


def evidence(fill: AttributeFill) -> list[Evidence]:
    """The evidence that the close fills a column in."""
    if min(fill.open_leads, fill.closed_leads) < MIN_LEADS:
        return []
    open_share, closed_share = fill.filled_open / fill.open_leads, fill.filled_closed / fill.closed_leads
    if open_share > MAX_EXCEPTIONS or closed_share < 1 - MAX_EXCEPTIONS:
        return []
    words = (
        f"is filled in for {fill.filled_closed:,} of {fill.closed_leads:,} closed leads and for {fill.filled_open:,} "
        f"of {fill.open_leads:,} open ones, so the close fills it in"
    )
    figures = {"filled_open": open_share, "filled_closed": closed_share}
    return [Evidence(kind="missing", words=words, strength=closed_share - open_share, decisive=True, figures=figures)]
