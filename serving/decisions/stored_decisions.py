"""The kept decisions, which are only ever added.

A decision is kept in two rows. Its payload holds the decision and what it was made from; erasure deletes it. The other
row stays: the id, the creation time and the commitment, a salted hash of the payload that the chain of
`serving.decisions.seals` holds. Without payload and salt the commitment is no personal data.
"""

import hashlib
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from sqlalchemy import Connection, delete, insert, select, tuple_

from features.batched import batched
from serving.decisions.issued import IssuedDecision
from serving.decisions.tables import current_score, decision_payloads, decisions
from serving.identity import TokenSource
from serving.store.canonical_json import canonical

Place: TypeAlias = tuple[int, int, str]
"""Where a decision stands in the history of its lead: `as_of`, `created_at`, `decision_id`."""
_PAYLOAD = tuple(map(str, decision_payloads.c.keys()))
_WHOLE = select(decisions.c.created_at, decision_payloads).join_from(decisions, decision_payloads)
_ADD, _ADD_PAYLOAD = insert(decisions), insert(decision_payloads)
_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class StoredDecision:
    """A decision as it is kept, with all that a replay takes beside the policy and the bundle that it names.

    Attributes:
        decision_id: its id.
        lead_id: the lead it speaks of.
        stored: whether the lead is one of the store's, and not one sent along with the request.
        as_of: the moment it speaks for, microseconds.
        created_at: when it was made, microseconds.
        content: the decision as canonical JSON text.
        request: the body it was made from as JSON text, where the facts were sent along.
        salt: random text; without it the commitment gives nothing away.
        features: the evaluation that rules and model read, as canonical JSON text (see `serving.scoring.inputs`); None
            of a decision from before evaluations were kept.
        ingest: of a lead of the store the newest version of a record that could count; None where facts were sent.
        history: the partners' history it rests on, as canonical JSON text, for that is derived anew; None without.
    """

    decision_id: str
    lead_id: str | None
    stored: bool
    as_of: int
    created_at: int
    content: str
    salt: str
    request: str | None = None
    features: str | None = None
    ingest: int | None = None
    history: str | None = None

    @cached_property
    def issued(self) -> IssuedDecision:
        """The decision that `content` holds."""
        return IssuedDecision.from_json(self.content)

    @property
    def payload(self) -> dict[str, Any]:
        """The row that erasure deletes, column by column."""
        return {column: getattr(self, column) for column in _PAYLOAD}

    @property
    def commitment(self) -> str:
        """SHA-256, in hex, of the UTF-8 bytes of the canonical JSON of the payload: every column by its name.

        The columns are decision_id, lead_id, stored, as_of, ingest, salt, content, request, features and history; those
        that hold JSON are in it as the text they are.
        """
        return hashlib.sha256(canonical(self.payload).encode()).hexdigest()

    @property
    def place(self) -> Place:
        """Where it stands in the history of its lead."""
        return self.as_of, self.created_at, self.decision_id


def new_id(tokens: TokenSource) -> str:
    """A new decision's id, a random UUID."""
    return str(uuid.UUID(bytes=tokens(16), version=4))


def add(connection: Connection, made: Iterable[StoredDecision]) -> None:
    """Keeps decisions for good.

    Raises:
        sqlalchemy.exc.IntegrityError: a decision of that id is there already.
    """
    kept = list(made)
    if not kept:
        return
    rows = [{"decision_id": d.decision_id, "created_at": d.created_at, "commitment": d.commitment} for d in kept]
    connection.execute(_ADD, rows)
    connection.execute(_ADD_PAYLOAD, [decision.payload for decision in kept])


def get(connection: Connection, decision_id: str) -> StoredDecision | None:
    """The decision of that id; None where there is none, or it was erased."""
    found = connection.execute(_WHOLE.where(decisions.c.decision_id == decision_id)).mappings().first()
    return None if found is None else StoredDecision(**found)


def exists(connection: Connection, decision_id: str) -> bool:
    """Whether a decision of that id was ever made, erased ones included."""
    found = select(decisions.c.decision_id).where(decisions.c.decision_id == decision_id)
    return connection.execute(found).first() is not None


def of_lead(connection: Connection, lead_id: str, limit: int, before: Place | None = None) -> list[StoredDecision]:
    """The decisions on a lead of the store, those for the latest moment first; those `before` a place, or all."""
    place = (decision_payloads.c.as_of, decisions.c.created_at, decisions.c.decision_id)
    found = _WHOLE.where(decision_payloads.c.lead_id == lead_id, decision_payloads.c.stored)
    if before is not None:
        found = found.where(tuple_(*place) < tuple_(*before))
    newest = found.order_by(*(column.desc() for column in place)).limit(limit)
    return [StoredDecision(**row) for row in connection.execute(newest).mappings()]


def ids(connection: Connection, after: str, limit: int) -> list[str]:
    """The ids, in their order, of the next decisions that were not erased."""
    table = decision_payloads.c.decision_id
    return list(connection.execute(select(table).where(table > after).order_by(table).limit(limit)).scalars())


def erase(connection: Connection, lead_ids: Iterable[str]) -> int:
    """Deletes the payloads of decisions on these leads, and the leads' current scores; returns how many payloads.

    Ids and commitments stay, so the chain of seals still verifies. Decisions on facts that came with a request under
    the id of one of these leads are erased too.
    """
    erased = 0
    for chunk in batched(sorted({*lead_ids}), _BATCH):
        connection.execute(delete(current_score).where(current_score.c.lead_id.in_(chunk)))
        erased += connection.execute(delete(decision_payloads).where(decision_payloads.c.lead_id.in_(chunk))).rowcount
    return erased


def issued(connection: Connection, decision_ids: Collection[str]) -> Mapping[str, IssuedDecision]:
    """Each of these decisions by its id, without the erased ones."""
    table = decision_payloads.c
    found = select(table.decision_id, table.content).where(table.decision_id.in_(decision_ids))
    return {row.decision_id: IssuedDecision.from_json(row.content) for row in connection.execute(found)}
