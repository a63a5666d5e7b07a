"""What the challenger in shadow said of decisions."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, func, or_, select

from features.value_types import DAY
from serving.store.database import inserting
from serving.store.records import first_closes, visible
from serving.store.tables import decision_payloads as payloads
from serving.store.tables import decisions, shadow_scores


@dataclass(frozen=True)
class ShadowScore:
    """A challenger's close probability for a decision.

    Attributes:
        decision_id: the decision, which the champion made.
        sha256: the challenger's bundle.
        version: its version in the registry.
        close_probability: what it says.
        created_at: when it did, microseconds.
    """

    decision_id: str
    sha256: str
    version: str
    close_probability: float
    created_at: int


@dataclass(frozen=True)
class Matured:
    """A decision on a lead of the store whose horizon is over.

    Attributes:
        content: the decision, which the champion made.
        close_probability: what the challenger says.
        won: whether the lead was won within the horizon.
        cluster: the lead's account, else the lead.
    """

    content: dict[str, Any]
    close_probability: float
    won: bool
    cluster: str


def add(connection: Connection, scores: Sequence[ShadowScore]) -> None:
    """Keeps scores of decisions that are kept; the first one of a decision stands."""
    statement = inserting(connection, shadow_scores).on_conflict_do_nothing()
    connection.execute(statement, [asdict(score) for score in scores])


def pairs(connection: Connection, sha256: str) -> Iterator[tuple[dict[str, Any], float]]:
    """The content of each decision that this challenger scored, with what it said, in the order of its scores.

    Decisions that were erased are left out.
    """
    same = payloads.c.decision_id == shadow_scores.c.decision_id
    found = select(payloads.c.content, shadow_scores.c.close_probability).join_from(payloads, shadow_scores, same)
    wanted = found.where(shadow_scores.c.sha256 == sha256).order_by(shadow_scores.c.created_at)
    rows = connection.execute(wanted.execution_options(yield_per=1_000))
    return ((json.loads(row.content), row.close_probability) for row in rows)


def matured(connection: Connection, sha256: str, horizon_days: int, now: int) -> Iterator[Matured]:
    """Of each lead the first decision that this challenger scored, where its horizon is over by `now` (microseconds).

    Leads that were known to be closed when it was made are left out, as are those whose close has no date, and those
    that were removed or merged since.
    """
    lead, close = visible("leads", now), first_closes(connection, now)
    known_open = or_(close.c.known_closed_at.is_(None), close.c.known_closed_at > decisions.c.created_at)
    first = func.row_number().over(partition_by=payloads.c.lead_id, order_by=(payloads.c.as_of, decisions.c.created_at))
    found = (
        select(
            payloads.c.content,
            shadow_scores.c.close_probability,
            func.coalesce(close.c.won_at <= payloads.c.as_of + horizon_days * DAY, False).label("won"),
            func.coalesce(lead.c.account_id, lead.c.lead_id).label("cluster"),
            first.label("place"),
        )
        .join_from(shadow_scores, payloads, payloads.c.decision_id == shadow_scores.c.decision_id)
        .join(decisions, decisions.c.decision_id == payloads.c.decision_id)
        .join(lead, lead.c.lead_id == payloads.c.lead_id)
        .outerjoin(close, close.c.lead_id == payloads.c.lead_id)
        .where(shadow_scores.c.sha256 == sha256, payloads.c.stored, known_open, func.coalesce(close.c.undated, 0) == 0)
        .where(payloads.c.as_of <= now - horizon_days * DAY)
        .subquery()
    )
    rows = connection.execute(select(found).where(found.c.place == 1).execution_options(yield_per=1_000))
    return (Matured(json.loads(row.content), row.close_probability, bool(row.won), row.cluster) for row in rows)


def newest(connection: Connection) -> str | None:
    """The bundle of the last score, None before there was any."""
    last = select(shadow_scores.c.sha256).order_by(shadow_scores.c.created_at.desc()).limit(1)
    return connection.execute(last).scalar_one_or_none()
