"""Decisions, which are only ever added, and the latest one of each lead for lists.

A decision is kept in two rows. What it says and what it was made from are in its payload, which erasure deletes. What
stays for good are its id, when it was made and its commitment, a salted hash of the payload, which the chain of
`serving.decisions.seals` holds: it tells of nobody once the payload and its salt are gone.
"""

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, TypeAlias

from sqlalchemy import Connection, case, delete, func, insert, select, tuple_

from serving.decisions.tables import current_score, decision_payloads, decisions
from serving.identity import TokenSource
from serving.store.canonical_json import canonical
from serving.store.database import inserting

Place: TypeAlias = tuple[int, int, str]
"""Where a decision stands in the history of its lead: `as_of`, `created_at`, `decision_id`."""
_PAYLOAD = tuple(map(str, decision_payloads.c.keys()))
_WHOLE = select(decisions.c.created_at, decision_payloads).join_from(decisions, decision_payloads)
_ADD, _ADD_PAYLOAD = insert(decisions), insert(decision_payloads)
_AT_ONCE = 500


@dataclass(frozen=True)
class StoredDecision:
    """A decision as it is kept, with all that replaying it takes beside the policy and the bundle it names.

    Attributes:
        decision_id: its id.
        lead_id: the lead it speaks of.
        stored: whether the lead is one of the store's, and not one sent along with the request.
        as_of: the moment it speaks for, microseconds.
        created_at: when it was made, microseconds.
        content: the decision as canonical JSON text.
        request: the body it was made from as JSON text, where the facts were sent along.
        salt: random text, without which nobody can tell from the commitment what was committed to.
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
    request: str | None = None
    salt: str = field(kw_only=True)
    features: str | None = None
    ingest: int | None = None
    history: str | None = None

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


@dataclass(frozen=True)
class CurrentScore:
    """What lists show of a lead's latest decision; times are microseconds, money minor units."""

    lead_id: str
    decision_id: str
    qualification: str
    pending: bool
    close_probability: float | None
    grade: str | None
    expected_value_minor: int | None
    expected_value_currency: str | None
    source_partner_id: str | None
    scored_at: int


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


def known(connection: Connection, decision_id: str) -> bool:
    """Whether a decision of that id was ever made, erased or not."""
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
    """Deletes what decisions on these leads say and were made from, and the leads' current scores; returns how many.

    Their ids and commitments stay, so the chain of seals still verifies. Decisions on facts sent along under the id of
    one of these leads are erased too.
    """
    remaining, erased = iter(sorted({*lead_ids})), 0
    while chunk := list(islice(remaining, _AT_ONCE)):
        connection.execute(delete(current_score).where(current_score.c.lead_id.in_(chunk)))
        erased += connection.execute(delete(decision_payloads).where(decision_payloads.c.lead_id.in_(chunk))).rowcount
    return erased


def set_current(connection: Connection, scores: Iterable[CurrentScore]) -> None:
    """Makes these the current scores of their leads; their decisions must have been added, each lead be named once.

    Of writers at the same time the last one to commit stands.
    """
    # In the order of leads, for two that hold rows in different orders would wait for each other.
    if rows := sorted((asdict(score) for score in scores), key=lambda row: str(row["lead_id"])):
        statement = inserting(connection, current_score)
        replaced = {column: statement.excluded[column] for column in rows[0] if column != "lead_id"}
        connection.execute(statement.on_conflict_do_update(index_elements=["lead_id"], set_=replaced), rows)


def unset_current(connection: Connection, lead_ids: Iterable[str]) -> None:
    """Takes leads off the lists; their decisions stay."""
    for lead_id in sorted({*lead_ids}):
        connection.execute(delete(current_score).where(current_score.c.lead_id == lead_id))


def current(connection: Connection, lead_id: str) -> CurrentScore | None:
    """The current score of a lead, None where it was never scored."""
    found = connection.execute(select(current_score).where(current_score.c.lead_id == lead_id)).mappings().first()
    return None if found is None else CurrentScore(**found)


def ranked(
    connection: Connection,
    *,
    qualifications: Sequence[str],
    pending: bool | None = None,
    source_partner_id: str | None = None,
    limit: int,
    offset: int = 0,
) -> list[CurrentScore]:
    """The best leads first: by qualification in the order given, then by close probability, unknown ones last.

    Args:
        connection: the store's.
        qualifications: those wanted, best first.
        pending: only leads that are, or are not, pending; None for both.
        source_partner_id: only the leads of this partner; None for all.
        limit: how many at most.
        offset: how many of the best to skip.
    """
    found = _best_first(_matching(select(current_score), qualifications, pending, source_partner_id), qualifications)
    return [CurrentScore(**row) for row in connection.execute(found.limit(limit).offset(offset)).mappings()]


def ranked_ids(connection: Connection, *, qualifications: Sequence[str], pending: bool | None = None) -> list[str]:
    """The ids of all leads that `ranked` would list without a limit, in its order."""
    found = _matching(select(current_score.c.lead_id), qualifications, pending, None)
    return list(connection.execute(_best_first(found, qualifications)).scalars())


def of_leads(connection: Connection, lead_ids: Sequence[str]) -> list[CurrentScore]:
    """The current scores of these leads, in their order; without those never scored."""
    found = select(current_score).where(current_score.c.lead_id.in_(lead_ids))
    scores = {row["lead_id"]: CurrentScore(**row) for row in connection.execute(found).mappings()}
    return [scores[lead_id] for lead_id in lead_ids if lead_id in scores]


def count_ranked(
    connection: Connection,
    *,
    qualifications: Sequence[str],
    pending: bool | None = None,
    source_partner_id: str | None = None,
) -> int:
    """How many leads `ranked` would list without a limit."""
    counted = select(func.count()).select_from(current_score)
    found: int = connection.execute(_matching(counted, qualifications, pending, source_partner_id)).scalar_one()
    return found


def _best_first(found: Any, qualifications: Sequence[str]) -> Any:
    table = current_score.c
    places = case({name: place for place, name in enumerate(qualifications)}, value=table.qualification)
    return found.order_by(places, table.close_probability.desc().nulls_last(), table.lead_id)


def _matching(found: Any, qualifications: Sequence[str], pending: bool | None, partner_id: str | None) -> Any:
    table = current_score.c
    found = found.where(table.qualification.in_(qualifications))
    if pending is not None:
        found = found.where(table.pending == pending)
    return found if partner_id is None else found.where(table.source_partner_id == partner_id)
