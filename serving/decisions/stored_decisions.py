"""The stored decisions, which are only ever added.

A decision is stored in two rows. The payload has the decision and its inputs; an erasure deletes it. The other row
stays: the id, the creation time and the commitment, a salted hash of the payload that is part of the chain
(`serving.decisions.seals`). Without payload and salt the commitment is no personal data.
"""

import hashlib
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from sqlalchemy import Connection, delete, func, insert, select, tuple_

from features.batched import batched
from serving.decisions.issued import IssuedDecision
from serving.decisions.tables import current_score, decision_payloads, decisions, partner_standings
from serving.identity import TokenSource
from serving.store.canonical_json import canonical

HistoryKey: TypeAlias = tuple[int, int, str]
"""The sort key of a decision in the history of its lead: `as_of`, `created_at`, `decision_id`."""
_PAYLOAD = tuple(map(str, decision_payloads.c.keys()))
_WHOLE = select(decisions.c.created_at, decision_payloads).join_from(decisions, decision_payloads)
_ADD, _ADD_PAYLOAD = insert(decisions), insert(decision_payloads)
_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class StoredDecision:
    """A decision as the store keeps it. Together with the policy and the bundle that it names, a replay needs no more.

    Attributes:
        decision_id: its id.
        lead_id: the lead that it is about.
        stored: whether the lead is in the store; False where its facts came in the request.
        as_of: the moment that it is made for, microseconds.
        created_at: its creation time, microseconds.
        content: the decision as canonical JSON text.
        request: the body with the facts, as JSON text; None for a stored lead.
        salt: random text, without which the commitment reveals nothing of the payload.
        features: the evaluation that rules and model read, as canonical JSON text (see `serving.scoring.inputs`); None
            for a decision of an earlier version, which stored no evaluation.
        ingest: for a stored lead, the ingest number of the newest version that counts; None for facts in a request.
        history: the partner history that it used, as canonical JSON text, because the job replaces it later; None where
            it used none.
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

        The columns are decision_id, lead_id, stored, as_of, ingest, salt, content, request, features and history. A
        column with JSON text is a text in it.
        """
        return hashlib.sha256(canonical(self.payload).encode()).hexdigest()

    @property
    def history_key(self) -> HistoryKey:
        """The sort key of the decision in the history of its lead."""
        return self.as_of, self.created_at, self.decision_id


def new_id(tokens: TokenSource) -> str:
    """A new decision's id, a random UUID."""
    return str(uuid.UUID(bytes=tokens(16), version=4))


def add(connection: Connection, made: Iterable[StoredDecision]) -> None:
    """Stores decisions.

    Raises:
        sqlalchemy.exc.IntegrityError: a decision with this id exists already.
    """
    added = list(made)
    if not added:
        return
    rows = [{"decision_id": d.decision_id, "created_at": d.created_at, "commitment": d.commitment} for d in added]
    connection.execute(_ADD, rows)
    connection.execute(_ADD_PAYLOAD, [decision.payload for decision in added])


def get(connection: Connection, decision_id: str) -> StoredDecision | None:
    """The decision with this id; None where it does not exist or was erased."""
    row = connection.execute(_WHOLE.where(decisions.c.decision_id == decision_id)).mappings().first()
    return None if row is None else StoredDecision(**row)


def exists(connection: Connection, decision_id: str) -> bool:
    """Whether a decision with this id was ever made, even if it was erased."""
    wanted = select(decisions.c.decision_id).where(decisions.c.decision_id == decision_id)
    return connection.execute(wanted).first() is not None


def of_lead(connection: Connection, lead_id: str, limit: int, before: HistoryKey | None = None) -> list[StoredDecision]:
    """The decisions on a stored lead, the latest moment first; with `before` only those below that key."""
    key = (decision_payloads.c.as_of, decisions.c.created_at, decisions.c.decision_id)
    wanted = _WHOLE.where(decision_payloads.c.lead_id == lead_id, decision_payloads.c.stored)
    if before is not None:
        wanted = wanted.where(tuple_(*key) < tuple_(*before))
    newest = wanted.order_by(*(column.desc() for column in key)).limit(limit)
    return [StoredDecision(**row) for row in connection.execute(newest).mappings()]


def last_of_leads(connection: Connection, since: int) -> Iterator[StoredDecision]:
    """Each lead's last decision, of those made since a moment (microseconds), in the order of their ids."""
    order = (decision_payloads.c.as_of, decisions.c.created_at, decisions.c.decision_id)
    rank = func.row_number().over(
        partition_by=(decision_payloads.c.lead_id, decision_payloads.c.stored), order_by=[c.desc() for c in order]
    )
    ranked = (
        select(decisions.c.decision_id, rank.label("age"))
        .join_from(decisions, decision_payloads)
        .where(decisions.c.created_at >= since)
        .subquery()
    )
    last = connection.execute(select(ranked.c.decision_id).where(ranked.c.age == 1).order_by(ranked.c.decision_id))
    for chunk in batched(last.scalars().all(), _BATCH):
        rows = connection.execute(_WHOLE.where(decisions.c.decision_id.in_(chunk)).order_by(decisions.c.decision_id))
        yield from (StoredDecision(**row) for row in rows.mappings())


def ids(connection: Connection, after: str, limit: int) -> list[str]:
    """At most `limit` ids above `after`, in their order, of decisions that were not erased."""
    column = decision_payloads.c.decision_id
    return list(connection.execute(select(column).where(column > after).order_by(column).limit(limit)).scalars())


def erase(connection: Connection, lead_ids: Iterable[str]) -> int:
    """Deletes the payloads of decisions on these leads, and the leads' scores; returns the number of payloads.

    Ids and commitments stay, so the chain of seals still verifies. Decisions on facts that came with a request under
    the id of one of these leads are erased too.
    """
    erased = 0
    for chunk in batched(sorted({*lead_ids}), _BATCH):
        for table in (current_score, partner_standings):
            connection.execute(delete(table).where(table.c.lead_id.in_(chunk)))
        erased += connection.execute(delete(decision_payloads).where(decision_payloads.c.lead_id.in_(chunk))).rowcount
    return erased


def issued(connection: Connection, decision_ids: Collection[str]) -> Mapping[str, IssuedDecision]:
    """These decisions by their ids, without the erased ones."""
    table = decision_payloads.c
    wanted = select(table.decision_id, table.content).where(table.decision_id.in_(decision_ids))
    return {row.decision_id: IssuedDecision.from_json(row.content) for row in connection.execute(wanted)}
