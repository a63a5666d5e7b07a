"""The catalogue of features: every entry, family by family."""

from features.catalogue import (
    buying_signals,
    content,
    engagement,
    history,
    icp,
    integration_usage,
    lead,
    partner_referral,
    shared_customers,
)
from features.catalogue.catalogue import Catalogue

CATALOGUE = Catalogue(
    (
        *integration_usage.ENTRIES,
        *partner_referral.ENTRIES,
        *shared_customers.ENTRIES,
        *content.ENTRIES,
        *engagement.ENTRIES,
        *buying_signals.ENTRIES,
        *icp.ENTRIES,
        *history.ENTRIES,
        *lead.ENTRIES,
    )
)
"""The catalogue without the attributes of an import (see `Catalogue.with_attributes`)."""
