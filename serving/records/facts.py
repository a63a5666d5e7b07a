"""All stored facts about a lead, in the form that the Python engine reads."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Select, bindparam, select

from features.batched import batched
from features.engines.python import Facts
from features.folding import fold
from features.records import DERIVED, EVERYONE, KINDS, PARTNER_HISTORY, TIER_HISTORY, Kind, Row
from serving.records.tables import RECORDS
from serving.records.versions import flat

_LEAD_FACTS = tuple(kind for kind in KINDS.values() if kind.parent == "lead_id")
_ACCOUNT_FACTS = tuple(kind for kind in KINDS.values() if kind.parent == "account_id")
_BATCH = 500


def _row_query(kind: Kind) -> Select[Any]:
    """The query of the row of a derived kind that is valid for a key at a moment.

    Each key has a query of its own, because the index finds its row directly. Ranking the rows of all keys is slower.
    """
    table = RECORDS[kind.name]
    return (
        select(table)
        .where(table.c[kind.id] == bindparam("key"), table.c.recorded_at <= bindparam("as_of"))
        .order_by(table.c.recorded_at.desc(), table.c.ingest.desc())
        .limit(1)
    )


_ROW_QUERIES = {kind: _row_query(kind) for kind in DERIVED}


def facts_of(connection: Connection, lead_id: str, as_of: int, *, up_to: int | None = None) -> Facts:
    """All versions of the lead, its accounts, its facts and their partners, with the partner history valid at `as_of`.

    The rows are keyed by the plural name of their kind, each list in the order of ingest. An unknown lead has no rows.
    A record that was ever about the lead, or about an account that the lead ever had, comes with all its versions. The
    caller chooses the version that is current at a moment, with its `lead_id` or `account_id`.

    Args:
        connection: the store's.
        lead_id: the lead.
        as_of: the moment of the history, microseconds.
        up_to: the newest ingest number that counts, to repeat a decision; by default all count. The partner history is
            replaced from time to time and not limited by it; a decision stores its own history.
    """
    return next(facts_of_many(connection, [lead_id], as_of, up_to=up_to))[1]


def facts_of_many(
    connection: Connection, lead_ids: Iterable[str], as_of: int, *, up_to: int | None = None
) -> Iterator[tuple[str, Facts]]:
    """`facts_of` for each lead, with its id and in the given order, read in batches."""
    for batch in batched(lead_ids, _BATCH):
        gathered = _Gathered(connection, batch, as_of, up_to)
        for lead_id in batch:
            yield lead_id, gathered.of(lead_id)


def facts_about_account(connection: Connection, account_id: str) -> Facts:
    """All versions of an account and of the facts about it, by the plural name of their kind."""
    kinds = (KINDS["accounts"], *_ACCOUNT_FACTS)
    return {k.name: _Rows(connection, k, "account_id", [account_id], None).of([account_id]) for k in kinds}


def derived_of(connection: Connection, kind: Kind, keys: Collection[str], as_of: int) -> list[Row]:
    """The row of a derived kind that is valid at `as_of` (microseconds), for each of these keys that has one."""
    parameters = ({"key": key, "as_of": as_of} for key in sorted({*keys}))
    rows = [connection.execute(_ROW_QUERIES[kind], values).mappings().first() for values in parameters]
    return [flat(kind.name, row) for row in rows if row is not None]


class _Rows:
    """The versions of records of one kind, by the values that a column of any version had."""

    def __init__(
        self, connection: Connection, kind: Kind, column: str, values: Collection[str], up_to: int | None
    ) -> None:
        table = RECORDS[kind.name]
        counting = () if up_to is None else (table.c.ingest <= up_to,)
        naming = select(table.c[kind.id]).where(table.c[column].in_(values), *counting)
        wanted = select(table).where(table.c[kind.id].in_(naming), *counting).order_by(table.c.ingest)
        self._versions: dict[str, list[Row]] = {}
        self._naming: dict[str, dict[str, None]] = {}
        for row in connection.execute(wanted).mappings():
            self._versions.setdefault(row[kind.id], []).append(flat(kind.name, row))
            self._naming.setdefault(row[column], {})[row[kind.id]] = None

    def of(self, values: Iterable[str]) -> list[Row]:
        ids = {identity: None for value in values for identity in self._naming.get(value, ())}
        rows = [row for identity in ids for row in self._versions[identity]]
        return sorted(rows, key=_ingest) if len(ids) > 1 else rows

    def all(self) -> Iterator[Row]:
        return (row for versions in self._versions.values() for row in versions)


class _Gathered:
    """The rows about several leads, read kind by kind."""

    def __init__(self, connection: Connection, lead_ids: Sequence[str], as_of: int, up_to: int | None) -> None:
        def read(kind: Kind, column: str, values: Collection[str]) -> _Rows:
            return _Rows(connection, kind, column, values, up_to)

        leads = read(KINDS["leads"], "lead_id", lead_ids)
        accounts = _named(leads.all(), "account_id")
        self._by_lead = {"leads": leads} | {k.name: read(k, "lead_id", lead_ids) for k in _LEAD_FACTS}
        about = (KINDS["accounts"], *_ACCOUNT_FACTS)
        self._by_account = {k.name: read(k, "account_id", accounts) for k in about}
        around = (*self._by_lead.values(), *self._by_account.values())
        partners = _partners(row for rows in around for row in rows.all())
        self._partners = read(KINDS["partners"], "partner_id", partners)
        keys = {PARTNER_HISTORY: partners, TIER_HISTORY: tiers_of(self._partners.all())}
        self._history = {kind: derived_of(connection, kind, keys[kind], as_of) for kind in DERIVED}

    def of(self, lead_id: str) -> Facts:
        facts = {name: rows.of([lead_id]) for name, rows in self._by_lead.items()}
        accounts = _named(facts["leads"], "account_id")
        facts |= {name: rows.of(accounts) for name, rows in self._by_account.items()}
        partners = _partners(row for rows in facts.values() for row in rows)
        facts["partners"] = self._partners.of(partners)
        keys = {PARTNER_HISTORY: partners, TIER_HISTORY: tiers_of(facts["partners"])}
        return facts | {
            kind.name: [row for row in rows if row[kind.id] in keys[kind]] for kind, rows in self._history.items()
        }


def _partners(rows: Iterable[Row]) -> list[str]:
    return sorted({str(row[c]) for row in rows for c in ("source_partner_id", "partner_id") if row.get(c) is not None})


def tiers_of(partners: Iterable[Row]) -> list[str]:
    """The keys of the history of the tiers that partners ever had, and of all partners.

    The keys are folded. A history that was derived before texts were folded has the tiers as sent.
    """
    sent = _named(partners, "tier")
    return sorted({*sent, *map(fold, sent), EVERYONE})


def _named(rows: Iterable[Row], column: str) -> list[str]:
    return sorted({str(row[column]) for row in rows if row[column] is not None})


def _ingest(row: Row) -> int:
    return cast(int, row["ingest"])
