"""The versions of records: they are added, and never changed or removed.

Every write runs inside the caller's transaction (`engine.begin()`), so records, scores and side effects commit
together. A write that depends on a read needs `lock_records` before the read.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    RowMapping,
    Select,
    Subquery,
    delete,
    func,
    select,
    text,
    true,
    update,
)
from sqlalchemy import column as result_column

from features.batched import batched
from features.outcomes import closed_leads_sql, first_closes_sql
from features.provenance import ATTRIBUTE_PREFIX
from features.records import KINDS, Kind, Row, Stored
from serving.records import emails
from serving.records.tables import RECORDS, ingest_counter

_BATCH = 10_000
_MAX_IDS = 1_000
"""Ids that one query names at most."""
_COLUMNS = {name: tuple(map(str, table.c.keys())) for name, table in RECORDS.items()}
"""The column names of each kind's table as plain `str`, which SQLAlchemy's names are not."""
_SQLGLOT = {"sqlite": "sqlite", "postgresql": "postgres"}
"""The names that sqlglot gives the two dialects."""
_EVENTS = RECORDS["lead_events"]
_ALWAYS = -1
"""The time of a record without one, which was always known: before every instant."""


def lock_records(connection: Connection) -> None:
    """Waits until no other transaction writes records, and blocks other writers until this transaction ends.

    So the records that a write transaction reads afterwards do not change until it commits.
    """
    # SQLite ignores FOR UPDATE and needs no such lock, because its write transactions hold the lock of the file.
    connection.execute(select(ingest_counter.c.last).with_for_update()).scalar_one()


def add(connection: Connection, records: Iterable[Stored]) -> int:
    """Adds versions of records in the given order, all or none, and returns their number.

    Raises:
        Exception: whatever iterating `records` raises; then none of them is added.
    """
    added = 0
    with connection.begin_nested():
        for batch in batched(records, _BATCH):
            _insert(connection, [(record.kind.name, _columns(record)) for record in batch])
            emails.note(connection, batch)
            added += len(batch)
    return added


def replace_derived(connection: Connection, derived: Mapping[Kind, Iterable[Row]]) -> None:
    """Replaces the whole table of each derived kind by these rows."""
    lock_records(connection)
    with connection.begin_nested():
        for kind, rows in derived.items():
            connection.execute(delete(RECORDS[kind.name]))
            for batch in batched(rows, _BATCH):
                _insert(connection, [(kind.name, _plain(kind, row)) for row in batch])


def last_ingest(connection: Connection) -> int:
    """The ingest number of the newest version. All versions up to it are committed and never change."""
    last: int = connection.execute(select(ingest_counter.c.last)).scalar_one()
    return last


def last_recorded(connection: Connection) -> int:
    """The last recording time of any version, microseconds; before every instant where no version has one."""
    moments = (connection.execute(select(func.max(RECORDS[name].c.recorded_at))).scalar_one() for name in KINDS)
    return max((moment for moment in moments if moment is not None), default=_ALWAYS)


def count(connection: Connection) -> dict[str, int]:
    """The number of records of each kind; all versions of a record count as one."""
    return {
        name: connection.execute(select(func.count(RECORDS[name].c[kind.id].distinct()))).scalar_one()
        for name, kind in KINDS.items()
    }


def versions(connection: Connection, kind: Kind, up_to: int | None = None) -> Iterator[Row]:
    """Every version of every record of a kind as flat columns, in the order of ingest, read in batches.

    Args:
        connection: the store's.
        kind: the kind.
        up_to: the newest ingest number that counts; by default all count.
    """
    table = RECORDS[kind.name]
    counting = () if up_to is None else (table.c.ingest <= up_to,)
    rows = connection.execute(
        select(table).where(*counting).order_by(table.c.ingest).execution_options(yield_per=_BATCH)
    )
    return (flat(kind.name, row) for row in rows.mappings())


def latest_versions(connection: Connection, kind: Kind, ids: Iterable[str], as_of: int) -> dict[str, Row]:
    """The current version of each of these records at `as_of`, by id; of a removed record its tombstone."""
    table, current = RECORDS[kind.name], dict[str, Row]()
    for chunk in batched(ids, _MAX_IDS):
        known = _by_age(kind.name, as_of, table.c[kind.id].in_(chunk))
        newest = select(*(known.c[column.name] for column in table.c)).where(known.c.version == 1)
        current |= {row[kind.id]: flat(kind.name, row) for row in connection.execute(newest).mappings()}
    return current


def recorded_at(connection: Connection, kind: Kind, moments: Iterable[tuple[str, int]]) -> Iterator[Row]:
    """The versions that were recorded at exactly these moments; each moment is a record's id and microseconds."""
    wanted, table = {*moments}, RECORDS[kind.name]
    for chunk in batched(sorted({identity for identity, _ in wanted}), _MAX_IDS):
        versions_of_chunk = select(table).where(table.c[kind.id].in_(chunk)).order_by(table.c.ingest)
        for row in connection.execute(versions_of_chunk).mappings():
            if (row[kind.id], row["recorded_at"]) in wanted:
                yield flat(kind.name, row)


def page(
    connection: Connection,
    kind: Kind,
    *,
    as_of: int,
    after: str,
    limit: int,
    where: Mapping[str, str],
    among: Iterable[Select[Any]] = (),
) -> list[Row]:
    """The first `limit` records after an id, in the order of ids, in their current version at `as_of`.

    Args:
        connection: the store's.
        kind: the kind of the records.
        as_of: the moment, microseconds.
        after: the id before the first record; empty for the first page.
        limit: the number of records at most.
        where: the values that columns must have; the columns should be indexed, or `among` narrow the search.
        among: queries of ids; a record's id must be in every one.
    """
    table, found = RECORDS[kind.name], list[Row]()
    key = table.c[kind.id]
    # Any version with the value narrows the search; the current version is checked below.
    ever = [*(table.c[column] == value for column, value in where.items()), *(key.in_(ids) for ids in among)]
    while len(found) < limit:
        candidates = select(key).where(key > after, *ever).distinct().order_by(key).limit(limit)
        ids = list(connection.execute(candidates).scalars())
        rows = latest_versions(connection, kind, ids, as_of)
        visible = (rows[identity] for identity in ids if identity in rows and not rows[identity]["deleted"])
        found += [row for row in visible if all(row[column] == value for column, value in where.items())]
        if len(ids) < limit:
            break
        after = ids[-1]
    return found[:limit]


def leads_naming(
    connection: Connection, column: str, values: Iterable[str], as_of: int, limit: int | None = None
) -> set[str]:
    """The ids of leads whose current version at `as_of` has one of `values` in an indexed column.

    With a limit, only that many leads are read for each thousand values.
    """
    kind, table, found = KINDS["leads"], RECORDS["leads"], set[str]()
    for chunk in batched(values, _MAX_IDS):
        ever = select(table.c.lead_id).where(table.c[column].in_(chunk)).distinct()
        ids = connection.execute(ever.order_by(table.c.lead_id).limit(limit)).scalars().all()
        rows = latest_versions(connection, kind, ids, as_of)
        found |= {i for i, row in rows.items() if not row["deleted"] and row[column] in chunk}
    return found


def open_leads(connection: Connection, as_of: int) -> list[str]:
    """The ids, in order, of the leads created by `as_of` that are open then (see `features.outcomes`).

    A lead without any time was always known.
    """
    lead, closed = visible_versions("leads", as_of), _closed_leads(connection, as_of)
    created = func.coalesce(lead.c.occurred_at, _ALWAYS) <= as_of
    still_open = select(lead.c.lead_id).where(created, lead.c.lead_id.not_in(select(closed.c.lead_id)))
    return list(connection.execute(still_open.order_by(lead.c.lead_id)).scalars())


def _closed_leads(connection: Connection, as_of: int) -> Subquery:
    """The leads that are won or lost at `as_of`, by `lead_id`."""
    statement = text(_closed_leads_sql(connection.dialect.name)).bindparams(as_of=as_of)
    return statement.columns(_EVENTS.c.lead_id).subquery()


def first_closes(connection: Connection, as_of: int) -> Subquery:
    """For labels: of each lead that was ever won or lost, as known at `as_of`, its first close and its first win.

    The columns are `lead_id`, `known_closed_at` (when the first close was recorded), `won_at` (null where there is no
    win) and `undated`, the number of closes without a date.
    """
    statement = text(_first_closes_sql(connection.dialect.name)).bindparams(as_of=as_of)
    moments = (result_column(name, _EVENTS.c.occurred_at.type) for name in ("known_closed_at", "won_at"))
    return statement.columns(_EVENTS.c.lead_id, *moments, result_column("undated", Integer)).subquery()


@cache
def _closed_leads_sql(dialect: str) -> str:
    return closed_leads_sql(_SQLGLOT[dialect], ":as_of", "ingest")


@cache
def _first_closes_sql(dialect: str) -> str:
    return first_closes_sql(_SQLGLOT[dialect], ":as_of", "ingest")


def visible_versions(name: str, as_of: int) -> Subquery:
    """The current version of each record of kind `name` at `as_of`, without tombstones."""
    known = _by_age(name, as_of)
    return select(known).where(known.c.version == 1, known.c.deleted != true()).subquery()


def _by_age(name: str, as_of: int, *only: ColumnElement[bool]) -> Subquery:
    """The versions known at `as_of`, with a column `version` that numbers those of a record, the newest as 1."""
    table = RECORDS[name]
    number = func.row_number().over(partition_by=table.c[KINDS[name].id], order_by=_newest(table)).label("version")
    return select(table, number).where(func.coalesce(table.c.recorded_at, _ALWAYS) <= as_of, *only).subquery()


def _newest(table: Any) -> tuple[Any, ...]:
    return func.coalesce(table.c.recorded_at, _ALWAYS).desc(), table.c.ingest.desc()


def _columns(record: Stored) -> dict[str, Any]:
    row: dict[str, Any] = record.row()
    if record.kind.name != "leads":
        return row
    return {**_plain(record.kind, row), "attributes": dict(record.attributes)}


def _plain(kind: Kind, row: Row) -> dict[str, Any]:
    return {column.name: row[column.name] for column in kind.columns}


def _insert(connection: Connection, rows: list[tuple[str, dict[str, Any]]]) -> None:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for number, (name, row) in enumerate(rows, _allot(connection, len(rows))):
        row["ingest"] = number
        grouped.setdefault(name, []).append(row)
    for name, group in grouped.items():
        connection.execute(RECORDS[name].insert(), group)


def _allot(connection: Connection, numbers: int) -> int:
    """The first of `numbers` new ingest numbers.

    The numbers come from a counter whose row the transaction locks, and not from a sequence of the database. So they
    appear in the order of commits, and no version ever appears below a number that a decision has stored.
    """
    counted = update(ingest_counter).values(last=ingest_counter.c.last + numbers).returning(ingest_counter.c.last)
    last: int = connection.execute(counted).scalar_one()
    return last - numbers + 1


def flat(name: str, row: RowMapping) -> Row:
    """A row of the table of kind `name` as flat columns: the attributes of a lead are columns `attributes.<name>`."""
    columns: dict[str, Any] = dict(zip(_COLUMNS[name], row.values(), strict=True))
    attributes = columns.pop("attributes", {}) if name == "leads" else {}
    return {**columns, **{f"{ATTRIBUTE_PREFIX}{key}": value for key, value in attributes.items()}}
