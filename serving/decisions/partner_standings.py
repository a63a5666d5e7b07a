"""How leads stand for their partners, where that is not how they stand for the vendor.

A lead that joined an account of the vendor has two decisions: the vendor's, which is kept whole, and the one that the
partner would get without that account, of which these parts are kept. Every view of a partner shows the second.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, insert, select

from serving.decisions.tables import partner_standings as table


@dataclass(frozen=True, kw_only=True)
class PartnerStanding:
    """The parts of a decision that a partner sees.

    Attributes:
        decision_id: the vendor's decision in whose place they stand.
        lead_id: the lead.
        qualification: the label that the policy gives.
        pending: whether the lead is not yet an EQL although no gate has failed.
        missing: the questions that the partner can answer.
    """

    decision_id: str
    lead_id: str
    qualification: str
    pending: bool
    missing: tuple[str, ...]


def add(connection: Connection, standings: Iterable[PartnerStanding]) -> None:
    """Keeps standings; their decisions must be stored already."""
    if rows := [asdict(standing) for standing in standings]:
        connection.execute(insert(table), rows)


def of_decisions(connection: Connection, decision_ids: Collection[str]) -> Mapping[str, PartnerStanding]:
    """The standing of each of these decisions that has one, by decision."""
    rows = connection.execute(select(table).where(table.c.decision_id.in_(decision_ids))).mappings()
    return {row["decision_id"]: PartnerStanding(**{**row, "missing": tuple(row["missing"])}) for row in rows}
