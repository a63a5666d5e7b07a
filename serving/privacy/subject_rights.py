"""Personal data: what the store holds about somebody, given out and erased (GDPR, articles 15, 17 and 20)."""

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

_PASSES = 10
_DATES = frozenset({"since", "day", "referral_date", "until"})
_INSTANTS = frozenset({"occurred_at", "recorded_at", "created_at", "as_of", "scored_at", "marked_at", "at"})
_JSON = frozenset({"content", "request", "features", "history"})


class StillWritten(ValueError):
    """What is erased keeps coming back."""

    def __init__(self) -> None:
        super().__init__("somebody goes on sending what is erased: stop that and repeat it")


@dataclass(frozen=True)
class Found:
    """How much there is, or was, about somebody.

    Attributes:
        leads: how many leads are theirs.
        rows: how many rows hold something about them, by table.
    """

    leads: int
    rows: Mapping[str, int]


@dataclass(frozen=True)
class Erased:
    """What an erasure came to.

    Attributes:
        id: in the log of erasures.
        found: what is no more.
        remains: whether the store's files still hold some of it, because somebody reads an earlier state.
    """

    id: int
    found: Found
    remains: bool


def export(engine: Engine, subject: Subject) -> Iterator[Mapping[str, Any]]:
    """Everything the store holds about somebody, row by row: `table` and `row`, JSON types, times as RFC 3339.

    Of a row that belongs to others only what names them.
    """
    with reading(engine) as connection:
        own = personal_data.owned(connection, subject)
        for table, row in personal_data.own_rows(connection, own):
            yield {"table": table.name, "row": _told(row)}
        for mention in personal_data.mentions(connection, subject, own):
            yield {"table": mention.table.name, "row": _told(_concerning(mention))}


def _concerning(mention: Mention) -> Mapping[str, Any]:
    if mention.table is quality_reports:
        return {"id": mention.key}
    shown = {*mention.left, *(column.name for column in mention.table.primary_key)}
    return {name: value for name, value in mention.row.items() if not mention.left or name in shown}


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(name, value) for name, value in row.items()}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode(errors="replace")
    if isinstance(value, str) and name in _JSON:
        return json.loads(value)
    if isinstance(value, int) and name in _INSTANTS:
        return rfc3339(value)
    return rfc3339(value)[:10] if isinstance(value, int) and name in _DATES else value


def survey(engine: Engine, subject: Subject) -> Found:
    """How much `erase` would find."""
    own, rows, _ = _look(engine, subject, Owned())
    return Found(len(own.leads), dict(sorted(rows.items())))


def check_reason(subject: Subject, reason: str) -> None:
    """Checks that a reason, which stays, does not name whom it is about.

    Raises:
        InvalidSubject: it does.
    """
    if subject.named_in(reason):
        raise InvalidSubject("reason", "must not name who is erased, for it is kept")


def erase(engine: Engine, subject: Subject, *, actor: str, reason: str, clock: Callable[[], int]) -> Erased:
    """Erases what the store holds about somebody, until reading all of it through finds nothing more.

    Repeating it does no harm, and is what to do after one that ended early.

    Args:
        engine: the store's.
        subject: who.
        actor: who erases, for the log.
        reason: why, for the log; not naming whom.
        clock: microseconds now.

    Raises:
        InvalidSubject: the reason names whom it is about.
        StillWritten: something about them is stored as fast as it is erased.
    """
    check_reason(subject, reason)
    with engine.begin() as connection:
        erasure_id = erasures.begin(connection, clock(), actor, reason)
    leads, rows = _erase(engine, subject, clock)
    clean = erasures.rewrite(engine)
    with engine.begin() as connection:
        erasures.finish(connection, erasure_id, leads=leads, rows=rows.total(), at=clock())
    return Erased(erasure_id, Found(leads, dict(sorted(rows.items()))), not clean)


def _erase(engine: Engine, subject: Subject, clock: Callable[[], int]) -> tuple[int, Counts]:
    own, rows = Owned(), Counts()
    for _ in range(_PASSES):
        own, found, elsewhere = _look(engine, subject, own)
        if not found:
            return len(own.leads), rows
        with engine.begin() as connection:
            erasures.overwrite(connection)
            versions.lock_records(connection)
            rows += personal_data.delete_own(connection, own)
            rows += personal_data.delete_mentions(connection, elsewhere, clock())
    raise StillWritten


def _look(engine: Engine, subject: Subject, before: Owned) -> tuple[Owned, Counts, list[Mention]]:
    """What there is now of somebody, with what was theirs before, for a worker may just have scored it again."""
    with reading(engine) as connection:
        own = before | personal_data.owned(connection, subject)
        elsewhere = [replace(each, row={}) for each in personal_data.mentions(connection, subject, own)]
        return own, personal_data.count_own(connection, own) + Counts(each.table.name for each in elsewhere), elsewhere
