"""The partner history that a decision uses: the store's, else the copy in the served bundle."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from features.engines.python import Facts
from features.records import DERIVED, PARTNER_HISTORY, TIER_HISTORY, Row
from models.scorer import Scorer
from serving.decisions.issued import HistorySource
from serving.records.facts import derived_of, tiers_of
from serving.store.canonical_json import canonical


@dataclass(frozen=True)
class PartnerHistoryUsed:
    """The partner history behind a decision. It is kept with the decision, because the history changes each day.

    Attributes:
        source: where the rows came from; None where the lead has no source partner, or no history is known.
        rows: the rows about that partner and its tier, by derived kind.
    """

    source: HistorySource | None = None
    rows: Facts = field(default_factory=dict)

    def to_json(self) -> str | None:
        """Canonical JSON text; None without history."""
        return None if self == NO_HISTORY else canonical({"source": self.source, "rows": self.rows})

    @classmethod
    def from_json(cls, text: str | None) -> "PartnerHistoryUsed":
        """The history that `to_json` wrote."""
        return NO_HISTORY if text is None else cls(**json.loads(text))


NO_HISTORY = PartnerHistoryUsed()


def of_sent_facts(connection: Connection, scorer: Scorer, facts: Facts, as_of: int) -> PartnerHistoryUsed:
    """The history of the source partners that a sent lead names: the store's, or where it has none the bundle's."""
    partners = _source_partners(facts["leads"])
    if not partners:
        return NO_HISTORY
    keys = {PARTNER_HISTORY: partners, TIER_HISTORY: tiers_of(facts["partners"])}
    stored = {kind.name: derived_of(connection, kind, keys[kind], as_of) for kind in DERIVED}
    if any(stored.values()):
        return PartnerHistoryUsed("store", stored)
    copied = scorer.served.bundle.history if scorer.served else {}
    rows = {kind.name: [row for row in copied.get(kind.name, ()) if row[kind.id] in keys[kind]] for kind in DERIVED}
    return PartnerHistoryUsed("bundle", rows) if copied else NO_HISTORY


def of_stored_facts(partner: str | None, facts: Facts) -> PartnerHistoryUsed:
    """The history of a source partner among the facts of a stored lead."""
    if partner is None:
        return NO_HISTORY
    own = [row for row in facts[PARTNER_HISTORY.name] if row[PARTNER_HISTORY.id] == partner]
    return PartnerHistoryUsed("store", {PARTNER_HISTORY.name: own, TIER_HISTORY.name: list(facts[TIER_HISTORY.name])})


def _source_partners(leads: Iterable[Row]) -> list[str]:
    """The source partners that the versions of a lead name."""
    return sorted({row["source_partner_id"] for row in leads} - {None})
