"""Decisions, which are only ever added, and the latest one of each lead for lists."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, case, delete, func, insert, select

from serving.store.database import inserting
from serving.store.tables import current_score, decisions


@dataclass(frozen=True)
class StoredDecision:
    """A decision as it is kept.

    Attributes:
        decision_id: its id.
        lead_id: the lead it speaks of.
        stored: whether the lead is one of the store's, and not one sent along with the request.
        as_of: the moment it speaks for, microseconds.
        created_at: when it was made, microseconds.
        content: the decision as canonical JSON text.
        request: the body it was made from as JSON text, where the facts were sent along.
    """

    decision_id: str
    lead_id: str | None
    stored: bool
    as_of: int
    created_at: int
    content: str
    request: str | None = None


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


def add(connection: Connection, made: Iterable[StoredDecision]) -> None:
    """Keeps decisions for good.

    Raises:
        sqlalchemy.exc.IntegrityError: a decision of that id is there already.
    """
    if rows := [asdict(decision) for decision in made]:
        connection.execute(insert(decisions), rows)


def get(connection: Connection, decision_id: str) -> StoredDecision | None:
    """The decision of that id, None where there is none."""
    found = connection.execute(select(decisions).where(decisions.c.decision_id == decision_id)).mappings().first()
    return None if found is None else StoredDecision(**found)


def of_lead(connection: Connection, lead_id: str, limit: int) -> list[StoredDecision]:
    """The newest decisions on a lead of the store, newest first."""
    wanted = (decisions.c.lead_id == lead_id, decisions.c.stored)
    newest = (decisions.c.created_at.desc(), decisions.c.as_of.desc(), decisions.c.decision_id)
    found = select(decisions).where(*wanted).order_by(*newest).limit(limit)
    return [StoredDecision(**row) for row in connection.execute(found).mappings()]


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
