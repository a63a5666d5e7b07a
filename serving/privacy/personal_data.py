"""What the store holds about somebody: found, shown and deleted.

It is of two sorts. *Own* rows belong to the leads, and of a domain the accounts, of the person: they go, every version.
*Mentions* are in rows that belong to others, or to nobody: the address of a page, a company's name, the body of a
request that was scored and never kept as a lead. There the columns are emptied that name the person; where the contract
of the record needs them, or the row is a copy of what was said, the row goes.

There is no index for what may stand anywhere in a text, so mentions are found by reading the tables through.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Table, delete, func, select, update

from features.records import DERIVED, KINDS, Kind
from operations.subjects import Subject
from serving.decisions import rescore_queue
from serving.decisions.tables import current_score, decision_payloads, due_scores
from serving.quality.tables import quality_reports
from serving.records import emails
from serving.records.tables import RECORDS, lead_aliases, lead_emails
from serving.shadow.tables import shadow_scores
from serving.store import idempotency
from serving.store.tables import idempotency_keys, outbox
from serving.work_list.tables import exposures

Counts = Counter[str]
"""How many rows, by table."""

_T = TypeVar("_T")
_AT_ONCE = 500
_LEADS, _ACCOUNTS = RECORDS["leads"], RECORDS["accounts"]
_PAYOUTS = RECORDS["payouts"]
_OF_LEADS: Mapping[Table, Column[Any]] = {
    table: table.c.lead_id
    for table in (
        *(RECORDS[kind.name] for kind in KINDS.values() if "lead_id" in (kind.id, kind.parent)),
        *(decision_payloads, current_score, due_scores, outbox, exposures, lead_emails, lead_aliases),
    )
}
_OF_ACCOUNTS: Mapping[Table, Column[Any]] = {
    RECORDS[kind.name]: RECORDS[kind.name].c.account_id
    for kind in KINDS.values()
    if "account_id" in (kind.id, kind.parent)
}
_OWNED = {**_OF_LEADS, **_OF_ACCOUNTS}
_KINDS: Mapping[Table, Kind] = {RECORDS[kind.name]: kind for kind in (*KINDS.values(), *DERIVED)}
_COPIES: Mapping[Table, tuple[str, ...]] = {
    decision_payloads: ("lead_id", "content", "request", "features", "history"),
    outbox: ("lead_id", "content"),
    idempotency_keys: ("location", "body"),
    quality_reports: ("content",),
}
"""What repeats records, with the columns that may name somebody."""


@dataclass(frozen=True)
class Owned:
    """What belongs to somebody: ids of leads, aliases among them, and of accounts."""

    leads: frozenset[str] = field(default_factory=frozenset)
    accounts: frozenset[str] = field(default_factory=frozenset)

    def __or__(self, other: "Owned") -> "Owned":
        return Owned(self.leads | other.leads, self.accounts | other.accounts)

    def has(self, table: Table, row: Mapping[str, Any]) -> bool:
        """Whether a row of a table belongs to it."""
        if table is idempotency_keys:
            return not self.leads.isdisjoint(json.loads(row["lead_ids"] or "[]"))
        column = _OWNED.get(table)
        return column is not None and row[column.name] in (self.leads if table in _OF_LEADS else self.accounts)


@dataclass(frozen=True)
class Mention:
    """A row that is not somebody's own and names them: where it is, and what of it goes.

    Attributes:
        table: whose row it is.
        key: its primary key.
        row: all its columns.
        left: what is left in the columns that name them; empty where the row goes.
    """

    table: Table
    key: Any
    row: Mapping[str, Any]
    left: Mapping[str, Any] = field(default_factory=dict)


def owned(connection: Connection, subject: Subject) -> Owned:
    """The accounts and leads that are somebody's, in any version: by id, address, domain, account or alias."""
    columns = (_ACCOUNTS.c.account_id, _ACCOUNTS.c.domain)
    accounts = frozenset(
        row.account_id
        for row in _all(connection, select(*columns).distinct())
        if subject.named_in(row.account_id) or (row.domain is not None and subject.holds(row.domain))
    )
    found = {} if subject.email is None else dict.fromkeys(emails.leads_with(connection, subject.email))
    for row in _all(connection, select(_LEADS.c.lead_id, _LEADS.c.email, _LEADS.c.account_id).distinct()):
        if row.account_id in accounts or subject.named_in(row.lead_id) or (row.email and subject.has(row.email)):
            found[row.lead_id] = None
    named = (row.alias for row in _all(connection, select(lead_aliases.c.alias)) if subject.named_in(row.alias))
    return replace(with_aliases(connection, [*found, *named]), accounts=accounts)


def with_aliases(connection: Connection, leads: Collection[str]) -> Owned:
    """These leads with all other ids of them; any of their ids may be given."""
    given = frozenset(leads)
    others = [(row.alias, row.lead_id) for row in _all(connection, select(lead_aliases))]
    own = given | {lead for alias, lead in others if alias in given}
    return Owned(frozenset(own | {alias for alias, lead in others if lead in own}))


def own_rows(connection: Connection, own: Owned) -> Iterator[tuple[Table, Mapping[str, Any]]]:
    """The rows that belong to these leads and accounts, payouts for the leads and the challenger's scores among them.

    Only the answers kept for repeated requests are left out; `mentions` has them.
    """
    for table, condition in _conditions(own):
        for row in connection.execute(select(table).where(condition)).mappings():
            yield table, {**row}


def count_own(connection: Connection, own: Owned) -> Counts:
    """How many rows `own_rows` gives."""
    counts = Counts()
    for table, condition in _conditions(own):
        counts[table.name] += connection.execute(select(func.count()).select_from(table).where(condition)).scalar_one()
    return +counts


def _conditions(own: Owned) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Each table with what its rows of these leads and accounts meet; what hangs on others before them."""
    for chunk in _chunks(sorted(own.leads)):
        payloads = select(decision_payloads.c.decision_id).where(decision_payloads.c.lead_id.in_(chunk))
        yield shadow_scores, shadow_scores.c.decision_id.in_(payloads)
        yield _PAYOUTS, _PAYOUTS.c.lead_id.in_(chunk)
        yield from ((table, column.in_(chunk)) for table, column in _OF_LEADS.items())
    for chunk in _chunks(sorted(own.accounts)):
        yield from ((table, column.in_(chunk)) for table, column in _OF_ACCOUNTS.items())


def delete_own(connection: Connection, own: Owned) -> Counts:
    """Deletes what belongs to these leads and accounts, in a write transaction; returns how many rows.

    Of decisions their ids and commitments stay, so the chain of seals still verifies. Payouts stay, for they are
    somebody else's accounts, and no longer say for which lead.
    """
    counts = Counts()
    for table, condition in _conditions(own):
        gone = update(table).values(lead_id=None) if table is _PAYOUTS else delete(table)
        counts[table.name] += connection.execute(gone.where(condition)).rowcount
    counts[idempotency_keys.name] += idempotency.forget(connection, own.leads)
    return +counts


def mentions(connection: Connection, subject: Subject, own: Owned) -> Iterator[Mention]:
    """The rows that name somebody, or answered requests about their leads, without those that are `own`."""
    for table in (*_KINDS, *_COPIES):
        (key,) = table.primary_key
        for row in _all(connection, select(table)):
            if own.has(table, row._mapping):
                if table is idempotency_keys:
                    yield Mention(table, row._mapping[key], row._mapping)
            elif found := _naming(subject, table, row._mapping):
                yield Mention(table, row._mapping[key], row._mapping, _left(subject, table, found))


def _naming(subject: Subject, table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that name somebody."""
    texts = {name: row[name] for name in _COPIES.get(table, row.keys()) if isinstance(row[name], str | bytes | dict)}
    plain = {name: _plain(value) for name, value in texts.items()}
    # Nearly all rows name nobody, and one long text is searched faster than many short ones.
    if not subject.named_in("\0".join(plain.values())):
        return {}
    return {name: texts[name] for name, text in plain.items() if subject.named_in(text)}


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _left(subject: Subject, table: Table, naming: Mapping[str, Any]) -> dict[str, Any]:
    """What is left in the columns that name somebody; empty where the row has to go."""
    kind = _KINDS.get(table)
    if kind is None or kind in DERIVED:
        return {}
    fields = kind.model.model_fields
    if any(name in (kind.id, kind.parent) or (name in fields and fields[name].is_required()) for name in naming):
        return {}
    return {name: _spared(subject, value) if isinstance(value, dict) else None for name, value in naming.items()}


def _spared(subject: Subject, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if not subject.named_in(f"{name} {value}")}


def delete_mentions(connection: Connection, found: Iterable[Mention], now: int) -> Counts:
    """Deletes or empties these, in a write transaction; returns how many rows.

    A decision goes with what the challenger said of it and, if it is a lead's current one, that score; such a lead is
    due for another.
    """
    counts = Counts()
    for mention in found:
        (key,) = mention.table.primary_key
        if mention.table is decision_payloads:
            counts += _unscore(connection, mention.key, now)
        change = update(mention.table).values(mention.left) if mention.left else delete(mention.table)
        counts[mention.table.name] += connection.execute(change.where(key == mention.key)).rowcount
    return counts


def _unscore(connection: Connection, decision_id: str, now: int) -> Counts:
    challenger = delete(shadow_scores).where(shadow_scores.c.decision_id == decision_id)
    current = delete(current_score).where(current_score.c.decision_id == decision_id)
    scored = connection.execute(current.returning(current_score.c.lead_id)).scalars().all()
    rescore_queue.enqueue(connection, scored, now)
    return +Counts({shadow_scores.name: connection.execute(challenger).rowcount, current_score.name: len(scored)})


def _all(connection: Connection, statement: Any) -> Iterator[Any]:
    """The rows, read as it goes."""
    with connection.execute(statement.execution_options(yield_per=_AT_ONCE)) as rows:
        yield from rows


def _chunks(items: Iterable[_T]) -> Iterator[list[_T]]:
    remaining = iter(items)
    while chunk := list(islice(remaining, _AT_ONCE)):
        yield chunk
