"""The sealed chain: a seal commits to decisions, and each seal commits to the seal before it.

A seal takes the stored decisions that are not sealed yet, in the order of their ids, as the leaves of a Merkle
tree (`serving.decisions.merkle`). Its head commits to the root and to the head of the seal before, so the last head
commits to every decision ever sealed. An auditor that keeps a head elsewhere can later detect that a decision was
edited, deleted, reordered or cut off (`serving.decisions.audit`).

A worker seals, not the requests. So a decision can be altered undetected until it is sealed, which takes about a second
while a worker runs. Of two concurrent sealers one succeeds, because a head can have only one seal after it.
"""

import hashlib
from collections.abc import Generator
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select, update

from features.batched import batched
from serving.decisions import merkle
from serving.decisions.tables import decisions
from serving.decisions.tables import seals as table
from serving.store.canonical_json import canonical
from serving.store.database import inserting

GENESIS = "0" * 64
"""The head before the first seal."""
MAX_DECISIONS = 10_000
"""Decisions in one seal at most, so that other writers wait only briefly."""
_BATCH = 1_000
_NUMBER_BYTES = 8
_ENTRIES = select(decisions.c.decision_id, decisions.c.created_at, decisions.c.commitment).order_by(
    decisions.c.decision_id
)


@dataclass(frozen=True, kw_only=True)
class Seal:
    """A stored seal, a link of the chain.

    Attributes:
        id: its number, from 1 without gaps.
        previous_head: the head of the seal before, in hex; `GENESIS` of the first.
        root: the Merkle root over its decisions, in hex.
        count: the number of its decisions.
        sealed_at: the time of sealing, microseconds.
        head: the hash that commits to this seal and to all seals before it (see `head_of`), in hex.
    """

    id: int
    previous_head: str
    root: str
    count: int
    sealed_at: int
    head: str


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The proof that a decision is in a seal.

    Attributes:
        entry: the text whose UTF-8 bytes are hashed to the leaf (see `entry`).
        leaf: the decision's leaf, in hex.
        index: its place among the leaves of the seal, from 0.
        siblings: the audit path from the leaf to the root, in hex.
        seal: the seal.
    """

    entry: str
    leaf: str
    index: int
    siblings: tuple[str, ...]
    seal: Seal


def entry(decision_id: str, created_at: int, commitment: str) -> str:
    """The entry of a decision in a seal: the canonical JSON of these three values by their names."""
    return canonical({"decision_id": decision_id, "created_at": created_at, "commitment": commitment})


def leaf(decision_id: str, created_at: int, commitment: str) -> bytes:
    """A decision's leaf."""
    return merkle.leaf(entry(decision_id, created_at, commitment).encode())


def head_of(previous_head: str, root: str, count: int, sealed_at: int) -> str:
    """SHA-256, in hex, of previous_head || root || count || sealed_at: 32, 32, 8 and 8 bytes, numbers big-endian."""
    numbers = (number.to_bytes(_NUMBER_BYTES, "big", signed=True) for number in (count, sealed_at))
    return hashlib.sha256(b"".join((bytes.fromhex(previous_head), bytes.fromhex(root), *numbers))).hexdigest()


def seal(connection: Connection, now: int, maximum: int = MAX_DECISIONS) -> Seal | None:
    """Seals up to `maximum` unsealed decisions at `now` (microseconds), inside the caller's write transaction.

    Returns:
        The seal; None where no decision was unsealed, or another sealer was faster.
    """
    last = newest(connection)
    rows = connection.execute(_ENTRIES.where(decisions.c.seal_id.is_(None)).limit(maximum)).all()
    if not rows:
        return None
    root, previous = merkle.root(leaf(*row) for row in rows).hex(), last.head if last else GENESIS
    new = Seal(
        id=last.id + 1 if last else 1,
        previous_head=previous,
        root=root,
        count=len(rows),
        sealed_at=now,
        head=head_of(previous, root, len(rows), now),
    )
    insertion = inserting(connection, table).values(**asdict(new)).on_conflict_do_nothing().returning(table.c.id)
    if connection.execute(insertion).first() is None:
        return None
    _assign(connection, [row.decision_id for row in rows], new.id)
    return new


def _assign(connection: Connection, decision_ids: list[str], seal_id: int) -> None:
    for batch in batched(decision_ids, _BATCH):
        connection.execute(update(decisions).where(decisions.c.decision_id.in_(batch)).values(seal_id=seal_id))


def newest(connection: Connection) -> Seal | None:
    """The last seal, whose head is the chain's; None before the first."""
    return _first(connection, select(table).order_by(table.c.id.desc()).limit(1))


def chain(connection: Connection) -> Generator[Seal, None, None]:
    """Every seal in order, read in batches. Close the generator where it is not read to its end."""
    with connection.execute(select(table).order_by(table.c.id).execution_options(yield_per=_BATCH)) as rows:
        for row in rows.mappings():
            yield Seal(**row)


def unsealed(connection: Connection) -> int:
    """The number of decisions that are not sealed yet."""
    counted = select(func.count()).select_from(decisions).where(decisions.c.seal_id.is_(None))
    return connection.execute(counted).scalar_one()


def proof(connection: Connection, decision_id: str) -> Proof | None:
    """The proof that a decision is in its seal; None where the decision is unknown or not sealed yet."""
    own = select(decisions.c.seal_id).where(decisions.c.decision_id == decision_id)
    own_seal = _first(connection, select(table).where(table.c.id.in_(own)))
    if own_seal is None:
        return None
    rows = connection.execute(_ENTRIES.where(decisions.c.seal_id == own_seal.id)).all()
    index = next(index for index, row in enumerate(rows) if row.decision_id == decision_id)
    leaves = [leaf(*row) for row in rows]
    siblings = tuple(sibling.hex() for sibling in merkle.path(leaves, index))
    return Proof(entry=entry(*rows[index]), leaf=leaves[index].hex(), index=index, siblings=siblings, seal=own_seal)


def _first(connection: Connection, wanted: Select[Any]) -> Seal | None:
    row = connection.execute(wanted).mappings().first()
    return None if row is None else Seal(**row)
