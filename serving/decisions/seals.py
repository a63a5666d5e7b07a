"""The sealed chain: every decision is committed to by a seal, and every seal by the one after it.

A seal takes the decisions that are committed and not sealed yet, in the order of their ids, as the leaves of a Merkle
tree (`serving.decisions.merkle`). Its head commits to the root and to the head of the seal before, so the last head
commits to every decision ever sealed. An auditor that keeps a head elsewhere can later detect that a decision was
edited, deleted, reordered or cut off (`serving.decisions.audit`).

Requests take no part in it, so a decision can be altered unseen until it is sealed: a second or so while a worker runs.
Of two sealers at the same moment one seals, for both would follow the same head, and that is unique.
"""

import hashlib
from collections.abc import Generator
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select, update

from serving.decisions import merkle
from serving.decisions.tables import decisions
from serving.decisions.tables import seals as table
from serving.store.canonical_json import canonical
from serving.store.database import inserting

GENESIS = "0" * 64
"""The head before the first seal."""
MOST = 10_000
"""Decisions in one seal: sealing very many at once must not keep a writer waiting for long."""
_AT_ONCE = 1_000
_NUMBER_BYTES = 8
_ENTRIES = select(decisions.c.decision_id, decisions.c.created_at, decisions.c.commitment).order_by(
    decisions.c.decision_id
)


@dataclass(frozen=True)
class Seal:
    """A link of the chain, as it is kept.

    Attributes:
        id: its number, from 1 without gaps.
        previous_head: the head of the seal before, in hex; `GENESIS` of the first.
        root: the Merkle root over its decisions, in hex.
        count: how many decisions it has.
        sealed_at: when, microseconds.
        head: what commits to all of this and so to everything before (see `head_of`), in hex.
    """

    id: int
    previous_head: str
    root: str
    count: int
    sealed_at: int
    head: str


@dataclass(frozen=True)
class Proof:
    """That a decision is in a seal.

    Attributes:
        entry: the text whose UTF-8 bytes the leaf is the hash of (see `entry`).
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
    """What a seal holds of a decision: the canonical JSON of these three by their names."""
    return canonical({"decision_id": decision_id, "created_at": created_at, "commitment": commitment})


def leaf(decision_id: str, created_at: int, commitment: str) -> bytes:
    """A decision's leaf."""
    return merkle.leaf(entry(decision_id, created_at, commitment).encode())


def head_of(previous_head: str, root: str, count: int, sealed_at: int) -> str:
    """SHA-256, in hex, of previous_head || root || count || sealed_at: 32, 32, 8 and 8 bytes, numbers big-endian."""
    numbers = (number.to_bytes(_NUMBER_BYTES, "big", signed=True) for number in (count, sealed_at))
    return hashlib.sha256(b"".join((bytes.fromhex(previous_head), bytes.fromhex(root), *numbers))).hexdigest()


def seal(connection: Connection, now: int, most: int = MOST) -> Seal | None:
    """Seals up to `most` unsealed decisions at `now` (microseconds), inside the caller's write transaction.

    Returns:
        The seal; None where there was nothing to seal, or another sealer was faster.
    """
    last = newest(connection)
    found = connection.execute(_ENTRIES.where(decisions.c.seal_id.is_(None)).limit(most)).all()
    if not found:
        return None
    root, previous = merkle.root(leaf(*row) for row in found).hex(), last.head if last else GENESIS
    head = head_of(previous, root, len(found), now)
    made = Seal(last.id + 1 if last else 1, previous, root, len(found), now, head)
    kept = inserting(connection, table).values(**asdict(made)).on_conflict_do_nothing().returning(table.c.id)
    if connection.execute(kept).first() is None:
        return None
    _mark(connection, [row.decision_id for row in found], made.id)
    return made


def _mark(connection: Connection, decision_ids: list[str], seal_id: int) -> None:
    for start in range(0, len(decision_ids), _AT_ONCE):
        chosen = decisions.c.decision_id.in_(decision_ids[start : start + _AT_ONCE])
        connection.execute(update(decisions).where(chosen).values(seal_id=seal_id))


def newest(connection: Connection) -> Seal | None:
    """The last seal, whose head is the chain's; None before the first."""
    return _first(connection, select(table).order_by(table.c.id.desc()).limit(1))


def chain(connection: Connection) -> Generator[Seal, None, None]:
    """Every seal in order, read as it goes; close it where it is not read to its end."""
    with connection.execute(select(table).order_by(table.c.id).execution_options(yield_per=_AT_ONCE)) as found:
        for row in found.mappings():
            yield Seal(**row)


def unsealed(connection: Connection) -> int:
    """How many decisions wait to be sealed."""
    counted = select(func.count()).select_from(decisions).where(decisions.c.seal_id.is_(None))
    return connection.execute(counted).scalar_one()


def proof(connection: Connection, decision_id: str) -> Proof | None:
    """The proof that a decision is in its seal; None where it is unknown, or not sealed yet."""
    own = select(decisions.c.seal_id).where(decisions.c.decision_id == decision_id)
    found = _first(connection, select(table).where(table.c.id.in_(own)))
    if found is None:
        return None
    rows = connection.execute(_ENTRIES.where(decisions.c.seal_id == found.id)).all()
    index = next(place for place, row in enumerate(rows) if row.decision_id == decision_id)
    leaves = [leaf(*row) for row in rows]
    siblings = tuple(sibling.hex() for sibling in merkle.path(leaves, index))
    return Proof(entry(*rows[index]), leaves[index].hex(), index, siblings, found)


def _first(connection: Connection, wanted: Select[Any]) -> Seal | None:
    found = connection.execute(wanted).mappings().first()
    return None if found is None else Seal(**found)
