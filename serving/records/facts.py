"""Everything the store knows about a lead, in the shape the direct engine reads."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, cast

from sqlalchemy import Connection, Select, bindparam, select

from features.engines.python import Facts
from features.records import DERIVED, EVERYONE, KINDS, PARTNER_HISTORY, TIER_HISTORY, Kind, Row
from serving.records.tables import RECORDS
from serving.records.versions import flat

_LEAD_FACTS = tuple(kind for kind in KINDS.values() if kind.parent == "lead_id")
_ACCOUNT_FACTS = tuple(kind for kind in KINDS.values() if kind.parent == "account_id")
_LEADS_AT_ONCE = 500


def _holding(kind: Kind) -> Select[Any]:
    """The row of a derived kind that holds for a key at a moment.

    A query for each key, for the index leads straight to its row; ranking all the days of all keys is far slower.
    """
    table = RECORDS[kind.name]
    return (
        select(table)
        .where(table.c[kind.id] == bindparam("key"), table.c.recorded_at <= bindparam("as_of"))
        .order_by(table.c.recorded_at.desc(), table.c.ingest.desc())
        .limit(1)
    )


_HOLDING = {kind: _holding(kind) for kind in DERIVED}


def facts_of(connection: Connection, lead_id: str, as_of: int, *, up_to: int | None = None) -> Facts:
    """All versions of the lead, its accounts, its facts and the partners these name; the history that holds at `as_of`.

    By the plural name of the kind, each in the order of ingest; a lead the store does not know has no rows. A record
    that once spoke of the lead, or of an account it once had, comes with all its versions: which one holds at a moment,
    and of what it then speaks (`lead_id`, `account_id`), is for the reader to tell.

    Args:
        connection: the store's.
        lead_id: the lead.
        as_of: the moment of the history, microseconds.
        up_to: the newest ingest number that counts, to see again what a decision saw; by default all do. The history
            is derived anew from time to time, so it is not of then: a decision keeps its own.
    """
    return next(facts_of_many(connection, [lead_id], as_of, up_to=up_to))[1]


def facts_of_many(
    connection: Connection, lead_ids: Iterable[str], as_of: int, *, up_to: int | None = None
) -> Iterator[tuple[str, Facts]]:
    """`facts_of` each lead, with its id and in the order given, in few queries and little memory."""
    remaining = iter(lead_ids)
    while chunk := list(islice(remaining, _LEADS_AT_ONCE)):
        gathered = _Gathered(connection, chunk, as_of, up_to)
        for lead_id in chunk:
            yield lead_id, gathered.of(lead_id)


def derived_of(connection: Connection, kind: Kind, keys: Collection[str], as_of: int) -> list[Row]:
    """The row of a derived kind that holds at `as_of` (microseconds) for each of these keys that has one."""
    wanted = ({"key": key, "as_of": as_of} for key in sorted({*keys}))
    found = [connection.execute(_HOLDING[kind], values).mappings().first() for values in wanted]
    return [flat(kind.name, row) for row in found if row is not None]


class _Rows:
    """The versions of some records of one kind, and which of them ever named a value in a column."""

    def __init__(
        self, connection: Connection, kind: Kind, column: str, values: Collection[str], up_to: int | None
    ) -> None:
        table = RECORDS[kind.name]
        counting = () if up_to is None else (table.c.ingest <= up_to,)
        naming = select(table.c[kind.id]).where(table.c[column].in_(values), *counting)
        found = select(table).where(table.c[kind.id].in_(naming), *counting).order_by(table.c.ingest)
        self._versions: dict[str, list[Row]] = {}
        self._naming: dict[str, dict[str, None]] = {}
        for row in connection.execute(found).mappings():
            self._versions.setdefault(row[kind.id], []).append(flat(kind.name, row))
            self._naming.setdefault(row[column], {})[row[kind.id]] = None

    def of(self, values: Iterable[str]) -> list[Row]:
        ids = {identity: None for value in values for identity in self._naming.get(value, ())}
        rows = [row for identity in ids for row in self._versions[identity]]
        return sorted(rows, key=_ingest) if len(ids) > 1 else rows

    def all(self) -> Iterator[Row]:
        return (row for versions in self._versions.values() for row in versions)


class _Gathered:
    """The rows around several leads, read kind by kind."""

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
    """The tiers some partners ever had, and that of everyone."""
    return [*_named(partners, "tier"), EVERYONE]


def _named(rows: Iterable[Row], column: str) -> list[str]:
    return sorted({str(row[column]) for row in rows if row[column] is not None})


def _ingest(row: Row) -> int:
    return cast(int, row["ingest"])
