"""Verifying the sealed chain: everything that was hashed is hashed anew, and the first thing wrong is named."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Row, exists, select
from sqlalchemy.exc import OperationalError

from serving.decisions import merkle, seals
from serving.decisions.seals import GENESIS, Seal
from serving.decisions.stored_decisions import StoredDecision
from serving.decisions.tables import decision_payloads as payloads
from serving.decisions.tables import decisions

_AT_ONCE = 500
_ALL = (
    select(
        decisions,
        payloads.c.decision_id.label("payload_of"),
        *(column for column in payloads.c if column.name != "decision_id"),
    )
    .join_from(decisions, payloads, isouter=True)
    .execution_options(yield_per=_AT_ONCE)
)

_ORPHANS = (
    select(payloads.c.decision_id).where(~exists().where(decisions.c.decision_id == payloads.c.decision_id)).limit(1)
)


@dataclass(frozen=True)
class Verdict:
    """What verifying the chain came to.

    Attributes:
        seals: how many seals were found sound.
        decisions: how many decisions these hold, the erased ones among them.
        erased: how many of these have no payload any more.
        unsealed: how many decisions wait to be sealed.
        head: the head of the last sound seal.
        fault: the first thing wrong; None where nothing is.
    """

    seals: int
    decisions: int
    erased: int
    unsealed: int
    head: str
    fault: str | None


class _Broken(Exception):
    """Something is not what was sealed; the message says what."""


def verify(connection: Connection, expected_head: str | None = None) -> Verdict:
    """Hashes anew every payload that was not erased, every root and every head, from the first seal on.

    Args:
        connection: the store's, from `reading`, so that all is of one moment; only a little is held at a time.
        expected_head: a head that was kept elsewhere, the newest or an earlier one. Without it nobody can tell that
            the last seals were cut off together with their decisions, or that all was written anew from some seal on.
    """
    walk = _Walk(expected_head)
    try:
        with closing(_links(connection)) as links:
            for seal, members in links:
                walk.step(seal, members)
        walk.end(connection)
    except _Broken as broken:
        return walk.verdict(str(broken))
    except OperationalError as error:
        # SQLite hands out whatever bytes are there, and quotes them.
        if "UTF-8" not in str(error.orig):
            raise
        return walk.verdict(f"after seal {walk.seals} there is text that is not UTF-8")
    return walk.verdict(None)


@dataclass
class _Walk:
    """How far the chain was found sound."""

    expected_head: str | None
    seals: int = 0
    decisions: int = 0
    erased: int = 0
    unsealed: int = 0
    head: str = GENESIS
    expected_seen: bool = False

    def __post_init__(self) -> None:
        self.expected_seen = self.expected_head in (None, GENESIS)

    def step(self, seal: Seal, members: Iterable[Row[Any]]) -> None:
        number, leaves = self.seals + 1, _Leaves()
        if seal.id != number:
            raise _Broken(f"seal {number} is missing")
        if seal.previous_head != self.head:
            raise _Broken(f"seal {number} does not follow the seal before it")
        root = merkle.root(leaves.of(members)).hex()
        if (root, leaves.count) != (seal.root, seal.count):
            raise _Broken(
                f"seal {number} is over {seal.count} other decisions than the {leaves.count} that name it: one was "
                f"altered, added or removed, or the seal was altered"
            )
        if seals.head_of(self.head, root, seal.count, seal.sealed_at) != seal.head:
            raise _Broken(f"seal {number} was altered")
        self.seals, self.head = number, seal.head
        self.decisions += leaves.count
        self.erased += leaves.erased
        self.expected_seen = self.expected_seen or self.head == self.expected_head

    def end(self, connection: Connection) -> None:
        waiting = _Leaves()
        with connection.execute(_ALL.where(decisions.c.seal_id.is_(None))) as rows:
            merkle.root(waiting.of(rows))
        self.unsealed = waiting.count
        if (orphan := connection.execute(_ORPHANS).scalar()) is not None:
            raise _Broken(f"decision {orphan} was never made, yet something is kept of it")
        if not self.expected_seen:
            raise _Broken("no seal has the head expected: the last seals were cut off, or seals were written anew")

    def verdict(self, fault: str | None) -> Verdict:
        return Verdict(self.seals, self.decisions, self.erased, self.unsealed, self.head, fault)


@dataclass
class _Leaves:
    """The leaves of decisions as they are read."""

    count: int = 0
    erased: int = 0

    def of(self, rows: Iterable[Row[Any]]) -> Iterator[bytes]:
        for row in rows:
            self.count += 1
            if row.payload_of is None:
                self.erased += 1
            elif not _kept(row):
                raise _Broken(f"decision {row.decision_id} is not what was committed to")
            yield seals.leaf(row.decision_id, row.created_at, row.commitment)


def _kept(row: Row[Any]) -> bool:
    """Whether a decision's payload is the one that was committed to."""
    columns = {name: value for name, value in row._mapping.items() if name in StoredDecision.__dataclass_fields__}
    try:
        return StoredDecision(**columns).commitment == str(row.commitment)
    except (TypeError, ValueError):
        # SQLite lets a column of text hold anything.
        return False


_NO_MORE: tuple[int | None, Iterable[Row[Any]]] = (None, ())


def _links(connection: Connection) -> Generator[tuple[Seal, Iterable[Row[Any]]], None, None]:
    """Every seal with the decisions that name it."""
    sealed = _ALL.where(decisions.c.seal_id.is_not(None)).order_by(decisions.c.seal_id, decisions.c.decision_id)
    with connection.execute(sealed) as rows, closing(seals.chain(connection)) as chain:
        groups = groupby(rows, key=attrgetter("seal_id"))
        number, members = next(groups, _NO_MORE)
        for seal in chain:
            if number is None or number > seal.id:
                yield seal, ()
                continue
            if number < seal.id:
                break
            yield seal, members
            number, members = next(groups, _NO_MORE)
        if number is not None:
            raise _Broken(f"decision {next(iter(members)).decision_id} names seal {number}, which is not there")
