"""How often each attribute is filled in, of open and of closed leads: a column that the close fills was known later."""

from collections.abc import Sequence
from dataclasses import dataclass

from features.engines.duckdb import POSITION, DuckDBEngine
from features.outcomes import first_closes_sql
from features.provenance import ATTRIBUTE_PREFIX, Attribute


@dataclass(frozen=True)
class AttributeFill:
    """The leads that have a value of one attribute.

    Attributes:
        name: the attribute.
        open_leads, closed_leads: the leads without and with a close.
        filled_open, filled_closed: those among them that have a value.
    """

    name: str
    open_leads: int
    closed_leads: int
    filled_open: int
    filled_closed: int


def attribute_fills(engine: DuckDBEngine, attributes: Sequence[Attribute]) -> tuple[AttributeFill, ...]:
    """The fill of each attribute that is declared as known at creation, by the leads' last versions."""
    names = [attribute.name for attribute in attributes if attribute.known == "at_creation"]
    if not names:
        return ()
    states = ("NOT closed", "closed")
    counts = ", ".join(f"count({_column(name)}) FILTER ({state})" for name in names for state in states)
    closes = first_closes_sql("duckdb", None, POSITION)
    query = f"""
        WITH current AS (
            SELECT leads.*, closes.lead_id IS NOT NULL AS closed
            FROM leads LEFT JOIN ({closes}) AS closes ON closes.lead_id = leads.lead_id
            WHERE superseded_at IS NULL AND NOT deleted
        )
        SELECT count(*) FILTER (NOT closed), count(*) FILTER (closed), {counts} FROM current
    """
    open_leads, closed, *filled = list(engine.sql(query).to_pylist()[0].values())
    pairs = zip(names, filled[::2], filled[1::2], strict=True)
    return tuple(AttributeFill(name, open_leads, closed, of_open, of_closed) for name, of_open, of_closed in pairs)


def _column(name: str) -> str:
    return '"' + f"{ATTRIBUTE_PREFIX}{name}".replace('"', '""') + '"'
