"""The current score of each lead: the columns of its latest decision that lists show and rank by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, case, delete, func, select

from serving.decisions.issued import IssuedDecision
from serving.decisions.tables import current_score
from serving.store.database import inserting


@dataclass(frozen=True, kw_only=True)
class CurrentScore:
    """The columns of a lead's latest decision in lists; times are microseconds, money is in minor units."""

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

    @classmethod
    def of(cls, issued: IssuedDecision, source_partner_id: str | None, now: int) -> "CurrentScore":
        """The current score that a decision gives its lead at `now` (microseconds)."""
        decision = issued.decision
        probability, value = decision.close_probability, decision.expected_value
        return cls(
            lead_id=decision.lead_id,
            decision_id=issued.decision_id,
            qualification=decision.qualification,
            pending=decision.pending,
            close_probability=None if probability is None else probability.value,
            grade=decision.grade,
            expected_value_minor=None if value is None else value.minor,
            expected_value_currency=None if value is None else value.currency,
            source_partner_id=source_partner_id,
            scored_at=now,
        )

    @property
    def standing(self) -> tuple[str, bool, str | None]:
        """Qualification, pending and grade: a change of them is an event. The probability changes with most facts."""
        return self.qualification, self.pending, self.grade


def save(connection: Connection, scores: Iterable[CurrentScore]) -> None:
    """Sets the current scores of leads. The decisions must be stored already, and each lead may appear once.

    Of concurrent writers, the last commit wins.
    """
    # In the order of leads: two transactions that lock rows in different orders would wait for each other.
    if rows := sorted((asdict(score) for score in scores), key=lambda row: str(row["lead_id"])):
        statement = inserting(connection, current_score)
        replaced = {column: statement.excluded[column] for column in rows[0] if column != "lead_id"}
        connection.execute(statement.on_conflict_do_update(index_elements=["lead_id"], set_=replaced), rows)


def remove(connection: Connection, lead_ids: Iterable[str]) -> None:
    """Removes the current scores of leads, and so the leads from the lists; their decisions stay."""
    for lead_id in sorted({*lead_ids}):
        connection.execute(delete(current_score).where(current_score.c.lead_id == lead_id))


def get(connection: Connection, lead_id: str) -> CurrentScore | None:
    """The current score of a lead; None where the lead was never scored."""
    row = connection.execute(select(current_score).where(current_score.c.lead_id == lead_id)).mappings().first()
    return None if row is None else CurrentScore(**row)


def ranked(
    connection: Connection,
    *,
    qualifications: Sequence[str],
    pending: bool | None = None,
    source_partner_id: str | None = None,
    limit: int,
    offset: int = 0,
) -> list[CurrentScore]:
    """The best leads first: by qualification in the given order, then by close probability, leads without one last.

    Args:
        connection: the store's.
        qualifications: the listed qualifications, the best first.
        pending: only leads that are, or are not, pending; None for both.
        source_partner_id: only the leads of this partner; None for all.
        limit: the number of leads at most.
        offset: the number of leads to skip.
    """
    rows = _best_first(_matching(select(current_score), qualifications, pending, source_partner_id), qualifications)
    return [CurrentScore(**row) for row in connection.execute(rows.limit(limit).offset(offset)).mappings()]


def ranked_ids(connection: Connection, *, qualifications: Sequence[str], pending: bool | None = None) -> list[str]:
    """The ids of all leads that `ranked` would list without a limit, in its order."""
    ids = _matching(select(current_score.c.lead_id), qualifications, pending, None)
    return list(connection.execute(_best_first(ids, qualifications)).scalars())


def of_leads(connection: Connection, lead_ids: Sequence[str]) -> list[CurrentScore]:
    """The current scores of these leads, in their order; leads that were never scored are left out."""
    wanted = select(current_score).where(current_score.c.lead_id.in_(lead_ids))
    scores = {row["lead_id"]: CurrentScore(**row) for row in connection.execute(wanted).mappings()}
    return [scores[lead_id] for lead_id in lead_ids if lead_id in scores]


def count_ranked(
    connection: Connection,
    *,
    qualifications: Sequence[str],
    pending: bool | None = None,
    source_partner_id: str | None = None,
) -> int:
    """The number of leads that `ranked` would list without a limit."""
    counted = select(func.count()).select_from(current_score)
    count: int = connection.execute(_matching(counted, qualifications, pending, source_partner_id)).scalar_one()
    return count


def _best_first(query: Any, qualifications: Sequence[str]) -> Any:
    table = current_score.c
    rank = case({name: rank for rank, name in enumerate(qualifications)}, value=table.qualification)
    return query.order_by(rank, table.close_probability.desc().nulls_last(), table.lead_id)


def _matching(query: Any, qualifications: Sequence[str], pending: bool | None, partner_id: str | None) -> Any:
    table = current_score.c
    query = query.where(table.qualification.in_(qualifications))
    if pending is not None:
        query = query.where(table.pending == pending)
    return query if partner_id is None else query.where(table.source_partner_id == partner_id)


def tallies(connection: Connection, source_partner_id: str | None = None) -> Mapping[tuple[str, bool], int]:
    """The number of scored leads with each qualification and pending flag, of one partner or of all."""
    table = current_score.c
    counted = select(table.qualification, table.pending, func.count()).group_by(table.qualification, table.pending)
    if source_partner_id is not None:
        counted = counted.where(table.source_partner_id == source_partner_id)
    return {(row[0], row[1]): row[2] for row in connection.execute(counted)}
