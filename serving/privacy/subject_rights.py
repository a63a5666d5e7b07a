"""The rights of a data subject: export and erasure of its personal data (GDPR, articles 15, 17 and 20)."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Engine

from features.value_types import rfc3339
from operations.subjects import InvalidSubject, Subject
from serving.privacy import erasures, personal_data
from serving.privacy.personal_data import Counts, Mention, Owned
from serving.quality.tables import quality_reports
from serving.records import versions
from serving.store.database import reading

_MAX_PASSES = 10
"""Passes of an erasure, each of which erases what it finds."""
_DATES = frozenset({"since", "day", "referral_date", "until"})
_INSTANTS = frozenset({"occurred_at", "recorded_at", "created_at", "as_of", "scored_at", "marked_at", "at"})
_JSON = frozenset({"content", "request", "features", "history"})


class StillWritten(ValueError):
    """New data about the subject arrived during every pass of its erasure."""

    def __init__(self) -> None:
        super().__init__(
            "New data about this subject arrived during the erasure. Stop the sender, then run the erasure again."
        )


@dataclass(frozen=True)
class DataCounts:
    """How much data the store has, or had, about a subject.

    Attributes:
        leads: the number of the subject's leads.
        rows: the number of rows about the subject, by table.
    """

    leads: int
    rows: Mapping[str, int]


@dataclass(frozen=True)
class Erasure:
    """The result of an erasure.

    Attributes:
        id: its id in the log of erasures.
        counts: the erased leads and rows.
        remains: whether the store's files still hold some of them, because a connection reads an earlier state.
    """

    id: int
    counts: DataCounts
    remains: bool


def export(engine: Engine, subject: Subject) -> Iterator[Mapping[str, Any]]:
    """All rows about a subject, each with `table` and `row`, as JSON types with times as RFC 3339.

    A row of another owner has only its key and the columns that name the subject.
    """
    with reading(engine) as connection:
        own = personal_data.owned(connection, subject)
        for table, row in personal_data.own_rows(connection, own):
            yield {"table": table.name, "row": _row_to_dict(row)}
        for mention in personal_data.mentions(connection, subject, own):
            yield {"table": mention.table.name, "row": _row_to_dict(_about_subject(mention))}


def _about_subject(mention: Mention) -> Mapping[str, Any]:
    """The columns of a mention that an export may show."""
    if mention.table is quality_reports:
        return {"id": mention.key}
    exported = {*mention.remaining, *(column.name for column in mention.table.primary_key)}
    return {name: value for name, value in mention.row.items() if not mention.remaining or name in exported}


def _row_to_dict(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(name, value) for name, value in row.items()}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode(errors="replace")
    if isinstance(value, str) and name in _JSON:
        return json.loads(value)
    if isinstance(value, int) and name in _INSTANTS:
        return rfc3339(value)
    return rfc3339(value)[:10] if isinstance(value, int) and name in _DATES else value


def survey(engine: Engine, subject: Subject) -> DataCounts:
    """The leads and rows that `erase` would erase."""
    own, rows, _ = _find(engine, subject, Owned())
    return DataCounts(len(own.leads), dict(sorted(rows.items())))


def check_reason(subject: Subject, reason: str) -> None:
    """Checks that the reason of an erasure, which is kept, does not name the subject.

    Raises:
        InvalidSubject: the reason names the subject.
    """
    if subject.named_in(reason):
        raise InvalidSubject("reason", "must not name the erased person or domain, because the reason is kept")


def erase(engine: Engine, subject: Subject, *, actor: str, reason: str, clock: Callable[[], int]) -> Erasure:
    """Erases all data about a subject, in passes, until a pass over the store finds nothing more.

    Running it again does no harm. After an erasure that ended early, run it again.

    Args:
        engine: the store's.
        subject: the person or the domain.
        actor: the user that erases, for the log.
        reason: the reason, for the log; it must not name the subject.
        clock: the current time in microseconds.

    Raises:
        InvalidSubject: the reason names the subject.
        StillWritten: new data about the subject arrived during every pass.
    """
    check_reason(subject, reason)
    with engine.begin() as connection:
        erasure_id = erasures.begin(connection, clock(), actor, reason)
    leads, rows = _erase(engine, subject, clock)
    clean = erasures.rewrite(engine)
    with engine.begin() as connection:
        erasures.finish(connection, erasure_id, leads=leads, rows=rows.total(), at=clock())
    return Erasure(erasure_id, DataCounts(leads, dict(sorted(rows.items()))), not clean)


def _erase(engine: Engine, subject: Subject, clock: Callable[[], int]) -> tuple[int, Counts]:
    own, rows = Owned(), Counts()
    for _ in range(_MAX_PASSES):
        own, counts, mentions = _find(engine, subject, own)
        if not counts:
            return len(own.leads), rows
        with engine.begin() as connection:
            erasures.overwrite(connection)
            versions.lock_records(connection)
            rows += personal_data.delete_own(connection, own)
            rows += personal_data.delete_mentions(connection, mentions, clock())
    raise StillWritten


def _find(engine: Engine, subject: Subject, before: Owned) -> tuple[Owned, Counts, list[Mention]]:
    """The subject's leads and accounts with those of earlier passes, their row counts, and the mentions.

    The earlier ones are searched again, because a worker may have scored an erased lead meanwhile.
    """
    with reading(engine) as connection:
        own = before | personal_data.owned(connection, subject)
        mentions = [replace(mention, row={}) for mention in personal_data.mentions(connection, subject, own)]
        counts = personal_data.count_own(connection, own) + Counts(mention.table.name for mention in mentions)
        return own, counts, mentions
