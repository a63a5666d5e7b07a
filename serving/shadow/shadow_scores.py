"""The close probabilities that the challenger in shadow gave for decisions."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, func, or_, select

from features.value_types import DAY
from models.decision import Decision
from serving.decisions.issued import IssuedDecision
from serving.decisions.tables import decision_payloads as payloads
from serving.decisions.tables import decisions
from serving.records.versions import first_closes, visible_versions
from serving.shadow.tables import shadow_scores
from serving.store.database import inserting


@dataclass(frozen=True, kw_only=True)
class ShadowScore:
    """A challenger's close probability for a decision.

    Attributes:
        decision_id: the champion's decision.
        sha256: the challenger's bundle.
        version: its version in the registry.
        close_probability: the challenger's probability.
        created_at: when the challenger scored, microseconds.
    """

    decision_id: str
    sha256: str
    version: str
    close_probability: float
    created_at: int


@dataclass(frozen=True)
class ScoredPair:
    """A decision of the champion with the challenger's close probability."""

    decision: Decision
    close_probability: float


@dataclass(frozen=True)
class MaturedPair:
    """A decision on a stored lead whose horizon is over.

    Attributes:
        decision: the champion's decision.
        close_probability: the challenger's probability.
        won: whether the lead was won within the horizon.
        cluster: the lead's account, else the lead.
    """

    decision: Decision
    close_probability: float
    won: bool
    cluster: str


def add(connection: Connection, scores: Sequence[ShadowScore]) -> None:
    """Keeps scores of kept decisions; the first score of a decision stands."""
    statement = inserting(connection, shadow_scores).on_conflict_do_nothing()
    connection.execute(statement, [asdict(score) for score in scores])


def pairs(connection: Connection, sha256: str) -> Iterator[ScoredPair]:
    """Each decision that this challenger scored, in the order of the scores, without erased decisions."""
    same = payloads.c.decision_id == shadow_scores.c.decision_id
    found = select(payloads.c.content, shadow_scores.c.close_probability).join_from(payloads, shadow_scores, same)
    wanted = found.where(shadow_scores.c.sha256 == sha256).order_by(shadow_scores.c.created_at)
    rows = connection.execute(wanted.execution_options(yield_per=1_000))
    return (ScoredPair(IssuedDecision.from_json(row.content).decision, row.close_probability) for row in rows)


def matured(connection: Connection, sha256: str, horizon_days: int, now: int) -> Iterator[MaturedPair]:
    """The first decision on each lead that this challenger scored, where its horizon is over by `now` (microseconds).

    Leads that were known to be closed at the decision are left out, as are leads whose close has no date, and leads
    that were removed or merged since.
    """
    lead, close = visible_versions("leads", now), first_closes(connection, now)
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
    return (
        MaturedPair(IssuedDecision.from_json(row.content).decision, row.close_probability, bool(row.won), row.cluster)
        for row in rows
    )


def newest(connection: Connection) -> str | None:
    """The bundle of the last score, None before there was any."""
    last = select(shadow_scores.c.sha256).order_by(shadow_scores.c.created_at.desc()).limit(1)
    return connection.execute(last).scalar_one_or_none()
