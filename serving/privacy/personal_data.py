"""The personal data of a subject in the store: how they are found, listed and deleted.

A subject is a person or a domain. Its data are of two sorts. *Own* rows belong to the leads of the person, or to the
leads and accounts of the domain. An erasure deletes every version of them. *Mentions* are rows without such an owner
that name the subject: the address of a page, a company's name, the body of a scored request that is no stored lead. An
erasure empties the columns that name the subject. Where the record's contract requires such a column, or the row is a
copy of other data, it deletes the row. The tables are those that the store has, so none can be forgotten; `_KEPT` names
those without mentions.

A name may stand anywhere in a text, and no index finds it there. So mentions are found by reading whole tables.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, MetaData, Table, delete, func, select, update

from features.batched import batched
from features.records import DERIVED, KINDS, Kind
from operations.subjects import Subject
from serving.decisions import rescore_queue
from serving.decisions.tables import current_score, decision_payloads, due_scores, partner_standings
from serving.quality.tables import quality_reports
from serving.records import emails
from serving.records.tables import RECORDS, joined_accounts, lead_aliases, lead_emails
from serving.shadow.tables import shadow_scores
from serving.store import idempotency
from serving.store.tables import idempotency_keys, outbox
from serving.work_list.tables import exposures

Counts = Counter[str]
"""How many rows, by table."""

_BATCH = 500
"""Rows that are read at a time, and ids that one query names."""
_LEADS, _ACCOUNTS = RECORDS["leads"], RECORDS["accounts"]
_PAYOUTS = RECORDS["payouts"]
_OF_LEADS: Mapping[Table, Column[Any]] = {
    table: table.c.lead_id
    for table in (
        *(RECORDS[kind.name] for kind in KINDS.values() if "lead_id" in (kind.id, kind.parent)),
        *(decision_payloads, current_score, due_scores, outbox, exposures, lead_emails, lead_aliases),
        *(partner_standings, joined_accounts),
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
"""The tables with copies of records, and their columns that may name a subject."""
_KEPT = frozenset(
    (
        # Ids, hashes and numbers alone.
        *("decisions", "seals", "shadow_scores", "exposures", "lead_emails", "due_scores", "current_score"),
        *("ingest_counter", "score_counter"),
        # What decisions are replayed with. A domain in a list of a policy, or a level of a model, stays.
        *("policies", "bundles", "bundle_files", "provenance"),
        # The log of erasures, whose reasons must not name the subject.
        "erasures",
    )
)
"""The tables whose texts are no mentions."""
_WHOLE = frozenset({"partner_id", "url"})
"""Columns that a row cannot do without: a key of no partner, or a webhook without its address, would be another one."""
ERASED = "erased"
"""The text in the place of one that named a subject and must not be empty."""


@dataclass(frozen=True)
class Owned:
    """The ids of a subject's leads, with their aliases, and of its accounts."""

    leads: frozenset[str] = field(default_factory=frozenset)
    accounts: frozenset[str] = field(default_factory=frozenset)

    def __or__(self, other: "Owned") -> "Owned":
        return Owned(self.leads | other.leads, self.accounts | other.accounts)

    def has(self, table: Table, row: Mapping[str, Any]) -> bool:
        """Whether a row of a table belongs to these leads and accounts."""
        if table is idempotency_keys:
            return not self.leads.isdisjoint(json.loads(row["lead_ids"] or "[]"))
        column = _OWNED.get(table)
        return column is not None and row[column.name] in (self.leads if table in _OF_LEADS else self.accounts)


@dataclass(frozen=True)
class Mention:
    """A row that names a subject and belongs to another owner, or to none.

    Attributes:
        table: the table of the row.
        key: the primary key of the row.
        row: the columns of the row that an export may show.
        remaining: the values that the columns with the name keep; empty where the whole row is deleted.
    """

    table: Table
    key: Any
    row: Mapping[str, Any]
    remaining: Mapping[str, Any] = field(default_factory=dict)


def owned(connection: Connection, subject: Subject) -> Owned:
    """The subject's accounts and leads: any version matches by id, address, domain, account or alias."""
    columns = (_ACCOUNTS.c.account_id, _ACCOUNTS.c.domain)
    accounts = frozenset(
        row.account_id
        for row in _stream(connection, select(*columns).distinct())
        if subject.named_in(row.account_id) or (row.domain is not None and subject.holds(row.domain))
    )
    leads = {} if subject.email is None else dict.fromkeys(emails.leads_with(connection, subject.email))
    for row in _stream(connection, select(_LEADS.c.lead_id, _LEADS.c.email, _LEADS.c.account_id).distinct()):
        if row.account_id in accounts or subject.named_in(row.lead_id) or (row.email and subject.has(row.email)):
            leads[row.lead_id] = None
    named = (row.alias for row in _stream(connection, select(lead_aliases.c.alias)) if subject.named_in(row.alias))
    return replace(with_aliases(connection, [*leads, *named]), accounts=accounts)


def with_aliases(connection: Connection, leads: Collection[str]) -> Owned:
    """These leads with all their ids; any id of a lead may be given."""
    given = frozenset(leads)
    others = [(row.alias, row.lead_id) for row in _stream(connection, select(lead_aliases))]
    own = given | {lead for alias, lead in others if alias in given}
    return Owned(frozenset(own | {alias for alias, lead in others if lead in own}))


def own_rows(connection: Connection, own: Owned) -> Iterator[tuple[Table, Mapping[str, Any]]]:
    """The rows of these leads and accounts, including payouts for the leads and the challenger's scores.

    `mentions` has the remaining rows: the answers kept for repeated requests.
    """
    for table, condition in _conditions(own):
        for row in connection.execute(select(table).where(condition)).mappings():
            yield table, {**row}


def count_own(connection: Connection, own: Owned) -> Counts:
    """The number of rows that `own_rows` gives, by table."""
    counts = Counts()
    for table, condition in _conditions(own):
        counts[table.name] += connection.execute(select(func.count()).select_from(table).where(condition)).scalar_one()
    return +counts


def _conditions(own: Owned) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Each table with the condition of its own rows. A table that refers to another one comes before it."""
    for lead_ids in batched(sorted(own.leads), _BATCH):
        payloads = select(decision_payloads.c.decision_id).where(decision_payloads.c.lead_id.in_(lead_ids))
        yield shadow_scores, shadow_scores.c.decision_id.in_(payloads)
        yield _PAYOUTS, _PAYOUTS.c.lead_id.in_(lead_ids)
        yield from ((table, column.in_(lead_ids)) for table, column in _OF_LEADS.items())
    for account_ids in batched(sorted(own.accounts), _BATCH):
        yield from ((table, column.in_(account_ids)) for table, column in _OF_ACCOUNTS.items())


def delete_own(connection: Connection, own: Owned) -> Counts:
    """Deletes the rows of these leads and accounts in a write transaction; returns the number of rows by table.

    The ids and commitments of decisions stay, so the chain of seals still verifies. Payouts stay without their lead's
    id, because they are part of a partner's accounts.
    """
    counts = Counts()
    for table, condition in _conditions(own):
        change = update(table).values(lead_id=None) if table is _PAYOUTS else delete(table)
        counts[table.name] += connection.execute(change.where(condition)).rowcount
    counts[idempotency_keys.name] += idempotency.forget(connection, own.leads)
    return +counts


def mentions(connection: Connection, subject: Subject, own: Owned) -> Iterator[Mention]:
    """The rows that name the subject without being its own, and the kept answers about its leads."""
    for table in (*_KINDS, *_COPIES):
        (key,) = table.primary_key
        for row in _stream(connection, select(table)):
            if own.has(table, row._mapping):
                if table is idempotency_keys:
                    yield Mention(table, row._mapping[key], row._mapping)
            elif naming := _naming_columns(subject, table, row._mapping):
                yield Mention(table, row._mapping[key], row._mapping, _remaining(subject, table, naming))

    for table in _other_tables(connection):
        (key,) = table.primary_key
        for row in _stream(connection, select(table)):
            if naming := _naming_columns(subject, table, row._mapping):
                # The rest of the row is no personal data, and may be a secret: an export shows the names alone.
                yield Mention(table, row._mapping[key], naming, _emptied(table, naming))


def _other_tables(connection: Connection) -> list[Table]:
    """The tables of the store that hold neither records nor copies of them, such as keys, sessions and webhooks."""
    found, known = MetaData(), {table.name for table in (*_KINDS, *_COPIES, *_OWNED)}
    found.reflect(connection)
    others = (table for table in found.sorted_tables if table.name not in known | _KEPT)
    return [table for table in others if len(table.primary_key) == 1]


def _emptied(table: Table, naming: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the naming columns keep; empty where the whole row is deleted."""
    columns = table.columns
    if any(name in _WHOLE or columns[name].primary_key for name in naming):
        return {}
    return {name: None if columns[name].nullable else ERASED for name in naming}


def _naming_columns(subject: Subject, table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a row that name the subject."""
    texts = {name: row[name] for name in _COPIES.get(table, row.keys()) if isinstance(row[name], str | bytes | dict)}
    plain = {name: _plain(value) for name, value in texts.items()}
    # Nearly all rows name no subject, and one long text is searched faster than many short ones.
    if not subject.named_in("\0".join(plain.values())):
        return {}
    return {name: texts[name] for name, text in plain.items() if subject.named_in(text)}


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _remaining(subject: Subject, table: Table, naming: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the naming columns keep; empty where the whole row is deleted."""
    kind = _KINDS.get(table)
    if kind is None or kind in DERIVED:
        return {}
    fields = kind.model.model_fields
    if any(name in (kind.id, kind.parent) or (name in fields and fields[name].is_required()) for name in naming):
        return {}
    return {
        name: _without_subject(subject, value) if isinstance(value, dict) else None for name, value in naming.items()
    }


def _without_subject(subject: Subject, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if not subject.named_in(f"{name} {value}")}


def delete_mentions(connection: Connection, mentions: Iterable[Mention], now: int) -> Counts:
    """Deletes or empties mentions in a write transaction; returns the number of rows by table.

    A deleted decision takes along the challenger's score of it. If it is the current decision of a lead, the lead's
    current score is deleted too, and the lead is queued for scoring.
    """
    counts = Counts()
    for mention in mentions:
        (key,) = mention.table.primary_key
        if mention.table is decision_payloads:
            counts += _unscore(connection, mention.key, now)
        change = update(mention.table).values(mention.remaining) if mention.remaining else delete(mention.table)
        counts[mention.table.name] += connection.execute(change.where(key == mention.key)).rowcount
    return counts


def _unscore(connection: Connection, decision_id: str, now: int) -> Counts:
    challenger = delete(shadow_scores).where(shadow_scores.c.decision_id == decision_id)
    current = delete(current_score).where(current_score.c.decision_id == decision_id)
    scored = connection.execute(current.returning(current_score.c.lead_id)).scalars().all()
    rescore_queue.enqueue(connection, scored, now)
    return +Counts({shadow_scores.name: connection.execute(challenger).rowcount, current_score.name: len(scored)})


def _stream(connection: Connection, statement: Any) -> Iterator[Any]:
    """The rows of a query, read in batches."""
    with connection.execute(statement.execution_options(yield_per=_BATCH)) as rows:
        yield from rows
