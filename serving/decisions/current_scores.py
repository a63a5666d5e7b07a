"""The current score of each lead: the columns of its latest decision that lists show and rank by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, FromClause, Select, case, cast, func, null, select, update

from serving.decisions.issued import IssuedDecision
from serving.decisions.tables import current_score, partner_standings, score_counter
from serving.store.database import inserting


@dataclass(frozen=True, kw_only=True)
class CurrentScore:
    """The columns of a lead's latest decision in lists; times are microseconds, money is in minor units.

    `closed` is `won` or `lost` for a lead that is closed, since `closed_at` (None where undated). `change` numbers the
    changes of all current scores in the order of commits, and `changed_at` is when this one changed. `removed` marks
    the last score of a lead that was removed or merged; only `changed_since` finds it.
    """

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
    closed: str | None = None
    closed_at: int | None = None
    change: int = field(default=0, compare=False)
    changed_at: int = field(default=0, compare=False)
    removed: bool = False

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

    Of concurrent writers, the last commit wins. Whether a lead is closed stays as it is.
    """
    # In the order of leads: two transactions that lock rows in different orders would wait for each other.
    if rows := sorted((_decided(score) for score in scores), key=lambda row: str(row["lead_id"])):
        for number, row in enumerate(rows, _allot(connection, len(rows))):
            row["change"] = number
        statement = inserting(connection, current_score)
        replaced = {column: statement.excluded[column] for column in rows[0] if column != "lead_id"}
        connection.execute(statement.on_conflict_do_update(index_elements=["lead_id"], set_=replaced), rows)


def _decided(score: CurrentScore) -> dict[str, Any]:
    """The columns that a decision sets."""
    row = {name: value for name, value in asdict(score).items() if name not in ("closed", "closed_at")}
    return {**row, "changed_at": score.scored_at}


def set_closed(connection: Connection, states: Mapping[str, tuple[str, int | None] | None], now: int) -> list[str]:
    """Marks leads as closed or open, and returns the leads that a current score has and whose state changed.

    Args:
        connection: the store's, in a write transaction.
        states: by lead, `won` or `lost` with the moment of the close (None where undated); None for an open lead.
        now: the moment of the change, microseconds.
    """
    changed = [
        score
        for score in of_leads(connection, sorted(states))
        if (states[score.lead_id] or (None, None)) != (score.closed, score.closed_at)
    ]
    for number, score in enumerate(changed, _allot(connection, len(changed)) if changed else 0):
        closed, at = states[score.lead_id] or (None, None)
        values = {"closed": closed, "closed_at": at, "change": number, "changed_at": now}
        connection.execute(update(current_score).where(current_score.c.lead_id == score.lead_id).values(values))
    return [score.lead_id for score in changed]


def changed_since(
    connection: Connection, moment: int, after: int, limit: int, source_partner_id: str | None = None
) -> list[CurrentScore]:
    """The current scores that changed at or after a moment (microseconds), removed ones too, in that order.

    Args:
        connection: the store's.
        moment: the earliest change.
        after: the number of the last change that the caller has; 0 for none.
        limit: the number of scores at most.
        source_partner_id: only the leads of this partner; None for all.
    """
    table = _seen_by(source_partner_id)
    wanted = _of_partner(select(table).where(table.c.change > after, table.c.changed_at >= moment), source_partner_id)
    rows = connection.execute(wanted.order_by(table.c.change).limit(limit))
    return [CurrentScore(**row) for row in rows.mappings()]


def _allot(connection: Connection, numbers: int) -> int:
    """The first of so many new numbers of changes."""
    counted = update(score_counter).values(last=score_counter.c.last + numbers).returning(score_counter.c.last)
    last: int = connection.execute(counted).scalar_one()
    return last - numbers + 1


def remove(connection: Connection, lead_ids: Iterable[str], now: int) -> None:
    """Removes the current scores of leads at `now` (microseconds), and so the leads from the lists.

    Their decisions stay, and readers of the changes are told of the removal.
    """
    removed = of_leads(connection, sorted({*lead_ids}))
    for number, score in enumerate(removed, _allot(connection, len(removed)) if removed else 0):
        values = {"removed": True, "change": number, "changed_at": now}
        connection.execute(update(current_score).where(current_score.c.lead_id == score.lead_id).values(values))


def get(connection: Connection, lead_id: str, source_partner_id: str | None = None) -> CurrentScore | None:
    """The current score of a lead; None where the lead was never scored, was removed, or is not the given partner's."""
    table = _seen_by(source_partner_id)
    wanted = _of_partner(select(table).where(table.c.lead_id == lead_id, ~table.c.removed), source_partner_id)
    row = connection.execute(wanted).mappings().first()
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
    """The best open leads first: by qualification as given, then by close probability, leads without one last.

    Args:
        connection: the store's.
        qualifications: the listed qualifications, the best first.
        pending: only leads that are, or are not, pending; None for both.
        source_partner_id: only the leads of this partner; None for all.
        limit: the number of leads at most.
        offset: the number of leads to skip.
    """
    table = _seen_by(source_partner_id)
    rows = _matching(select(table), table, qualifications, pending, source_partner_id)
    rows = _best_first(rows, table, qualifications)
    return [CurrentScore(**row) for row in connection.execute(rows.limit(limit).offset(offset)).mappings()]


def ranked_ids(connection: Connection, *, qualifications: Sequence[str], pending: bool | None = None) -> list[str]:
    """The ids of all leads that `ranked` would list without a limit, in its order."""
    ids = _matching(select(current_score.c.lead_id), current_score, qualifications, pending, None)
    return list(connection.execute(_best_first(ids, current_score, qualifications)).scalars())


def qualified(qualification: str) -> Select[tuple[str]]:
    """The query of the ids of open leads whose current score has a qualification."""
    return select(current_score.c.lead_id).where(current_score.c.qualification == qualification, *_open(current_score))


def open_ids(connection: Connection) -> list[str]:
    """The ids of the leads that the lists show."""
    return list(connection.execute(select(current_score.c.lead_id).where(*_open(current_score))).scalars())


def of_leads(connection: Connection, lead_ids: Sequence[str]) -> list[CurrentScore]:
    """The current scores of these leads, in their order; leads never scored, or removed, are left out."""
    wanted = select(current_score).where(current_score.c.lead_id.in_(lead_ids), ~current_score.c.removed)
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
    table = _seen_by(source_partner_id)
    counted = select(func.count()).select_from(table)
    count: int = connection.execute(_matching(counted, table, qualifications, pending, source_partner_id)).scalar_one()
    return count


def _seen_by(source_partner_id: str | None) -> FromClause:
    """The current scores, and for a partner how they stand for it: without what comes from the probability."""
    return current_score if source_partner_id is None else _FOR_PARTNERS


def _for_partners() -> FromClause:
    table, standing = current_score.c, partner_standings.c
    hidden = ("close_probability", "grade", "expected_value_minor", "expected_value_currency")
    columns = [
        *(column for column in table if column.name not in ("qualification", "pending", *hidden)),
        func.coalesce(standing.qualification, table.qualification).label("qualification"),
        func.coalesce(standing.pending, table.pending).label("pending"),
        *(cast(null(), table[name].type).label(name) for name in hidden),
    ]
    joined = current_score.outerjoin(partner_standings, standing.decision_id == table.decision_id)
    return select(*columns).select_from(joined).subquery()


_FOR_PARTNERS = _for_partners()


def _of_partner(query: Any, source_partner_id: str | None) -> Any:
    if source_partner_id is None:
        return query
    return query.where(_FOR_PARTNERS.c.source_partner_id == source_partner_id)


def _open(table: FromClause) -> Sequence[Any]:
    """The conditions of a lead that the lists show."""
    return table.c.closed.is_(None), ~table.c.removed


def _best_first(query: Any, table: FromClause, qualifications: Sequence[str]) -> Any:
    rank = case({name: rank for rank, name in enumerate(qualifications)}, value=table.c.qualification)
    return query.order_by(rank, table.c.close_probability.desc().nulls_last(), table.c.lead_id)


def _matching(
    query: Any, table: FromClause, qualifications: Sequence[str], pending: bool | None, partner_id: str | None
) -> Any:
    query = query.where(table.c.qualification.in_(qualifications), *_open(table))
    if pending is not None:
        query = query.where(table.c.pending == pending)
    return _of_partner(query, partner_id)


def tallies(connection: Connection, source_partner_id: str | None = None) -> Mapping[tuple[str, bool], int]:
    """The number of open, scored leads with each qualification and pending flag, of one partner or of all."""
    table = _seen_by(source_partner_id)
    counted = (
        select(table.c.qualification, table.c.pending, func.count())
        .where(*_open(table))
        .group_by(table.c.qualification, table.c.pending)
    )
    counted = _of_partner(counted, source_partner_id)
    return {(row[0], row[1]): row[2] for row in connection.execute(counted)}
