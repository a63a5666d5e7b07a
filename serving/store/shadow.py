"""What the challenger in shadow said of decisions."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, select

from serving.store.database import inserting
from serving.store.tables import decision_payloads as payloads
from serving.store.tables import shadow_scores


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


def newest(connection: Connection) -> str | None:
    """The bundle of the last score, None before there was any."""
    last = select(shadow_scores.c.sha256).order_by(shadow_scores.c.created_at.desc()).limit(1)
    return connection.execute(last).scalar_one_or_none()
