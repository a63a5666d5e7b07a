"""The verification of the sealed chain: every hash is computed again, and the first error is named."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Row, exists, select
from sqlalchemy.exc import OperationalError

from features.value_types import SECOND, rfc3339
from serving.decisions import current_decisions, merkle, seals
from serving.decisions.seals import GENESIS, Seal
from serving.decisions.stored_decisions import StoredDecision
from serving.decisions.tables import decision_payloads as payloads
from serving.decisions.tables import decisions

_BATCH = 500
_SLACK = 3_600 * SECOND
"""How far a decision's creation time may lie outside its seals: it is taken before the write, which may wait."""
_ALL = (
    select(
        decisions,
        payloads.c.decision_id.label("payload_of"),
        *(column for column in payloads.c if column.name != "decision_id"),
    )
    .join_from(decisions, payloads, isouter=True)
    .execution_options(yield_per=_BATCH)
)

_ORPHANS = (
    select(payloads.c.decision_id).where(~exists().where(decisions.c.decision_id == payloads.c.decision_id)).limit(1)
)


@dataclass(frozen=True, kw_only=True)
class ChainVerdict:
    """The result of verifying the chain.

    Attributes:
        seals: the number of valid seals.
        decisions: the number of decisions in these seals, with the erased ones.
        erased: the number of these decisions without a payload.
        unsealed: the number of decisions that are not sealed yet.
        head: the head of the last valid seal.
        error: the first error; None where the chain is valid.
    """

    seals: int
    decisions: int
    erased: int
    unsealed: int
    head: str
    error: str | None

    def to_dict(self) -> dict[str, Any]:
        """The verdict as JSON types; the key of the error is `fault`."""
        content = asdict(self)
        error = content.pop("error")
        return {**content, "fault": error}


class _Broken(Exception):
    """Stored data differ from the sealed data; the message names the difference."""


def verify(connection: Connection, expected_head: str | None = None) -> ChainVerdict:
    """Computes every hash again from the first seal on: of each payload that was not erased, each root and each head.

    The creation time of a decision must lie between its seal and the seal before it, and each current score must be
    what its decision says.

    Args:
        connection: the store's, from `reading`, so that all rows are of one moment. Rows are read in batches.
        expected_head: a head that was kept elsewhere, the newest or an earlier one. Without it, two changes stay
            undetected: a removal of the last seals with their decisions, and a rewrite of all seals from one on.
    """
    walk = _Walk(expected_head=expected_head)
    try:
        with closing(_links(connection)) as links:
            for seal, members in links:
                walk.step(seal, members)
        walk.end(connection)
    except _Broken as broken:
        return walk.verdict(str(broken))
    except OperationalError as error:
        # SQLite returns whatever bytes a cell has. The error's text quotes them, so it is not shown.
        if "UTF-8" not in str(error.orig):
            raise
        return walk.verdict(f"after seal {walk.seals} there is text that is not UTF-8")
    return walk.verdict(None)


@dataclass(kw_only=True)
class _Walk:
    """The part of the chain that was verified so far."""

    expected_head: str | None
    seals: int = 0
    decisions: int = 0
    erased: int = 0
    unsealed: int = 0
    head: str = GENESIS
    expected_seen: bool = False
    complete_at: int | None = None
    """When the chain last held every decision: a seal that is not full leaves none out."""

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
        self._check_times(leaves, f"seal {number}", seal.sealed_at)
        if seal.count < seals.MAX_DECISIONS:
            self.complete_at = seal.sealed_at
        self.seals, self.head = number, seal.head
        self.decisions += leaves.count
        self.erased += leaves.erased
        self.expected_seen = self.expected_seen or self.head == self.expected_head

    def end(self, connection: Connection) -> None:
        waiting = _Leaves()
        with connection.execute(_ALL.where(decisions.c.seal_id.is_(None))) as rows:
            merkle.root(waiting.of(rows))
        self.unsealed = waiting.count
        self._check_times(waiting, "the decisions without a seal", None)
        if (orphan := connection.execute(_ORPHANS).scalar()) is not None:
            raise _Broken(f"decision {orphan} does not exist, yet the store has its payload")
        if not self.expected_seen:
            raise _Broken("no seal has the expected head: the last seals were cut off, or seals were rewritten")
        if (error := current_decisions.error(connection)) is not None:
            raise _Broken(error)

    def _check_times(self, leaves: "_Leaves", of: str, sealed_at: int | None) -> None:
        """Checks that decisions were made after the chain last held all, and before they were sealed."""
        if not leaves.dates:
            return
        (first, earliest), (last, latest) = min(leaves.dates), max(leaves.dates)
        if self.complete_at is not None and first < self.complete_at - _SLACK:
            held = rfc3339(self.complete_at)
            raise _Broken(
                f"decision {earliest} in {of} is dated {rfc3339(first)}, and all until {held} had seals already"
            )
        if sealed_at is not None and last > sealed_at + _SLACK:
            raise _Broken(f"decision {latest} in {of} is dated {rfc3339(last)}, after the seal of {rfc3339(sealed_at)}")

    def verdict(self, error: str | None) -> ChainVerdict:
        return ChainVerdict(
            seals=self.seals,
            decisions=self.decisions,
            erased=self.erased,
            unsealed=self.unsealed,
            head=self.head,
            error=error,
        )


@dataclass
class _Leaves:
    """The leaves of decisions, and their numbers, as the decisions are read."""

    count: int = 0
    erased: int = 0
    dates: tuple[tuple[int, str], ...] = ()
    """The earliest and the latest creation time, each with its decision."""

    def of(self, rows: Iterable[Row[Any]]) -> Iterator[bytes]:
        for row in rows:
            self.count += 1
            if row.payload_of is None:
                self.erased += 1
            elif not _matches_commitment(row):
                raise _Broken(f"decision {row.decision_id} is not what was committed to")
            dates = (*self.dates, (row.created_at, row.decision_id))
            self.dates = min(dates), max(dates)
            yield seals.leaf(row.decision_id, row.created_at, row.commitment)


def _matches_commitment(row: Row[Any]) -> bool:
    """Whether a decision's payload has the hash of its commitment."""
    columns = {name: value for name, value in row._mapping.items() if name in StoredDecision.__dataclass_fields__}
    try:
        return StoredDecision(**columns).commitment == str(row.commitment)
    except (TypeError, ValueError):
        # SQLite lets a column of text hold values of any type.
        return False


_NO_MORE: tuple[int | None, Iterable[Row[Any]]] = (None, ())


def _links(connection: Connection) -> Generator[tuple[Seal, Iterable[Row[Any]]], None, None]:
    """Every seal with the rows of the decisions that name it."""
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
            raise _Broken(f"decision {next(iter(members)).decision_id} names seal {number}, which does not exist")
