"""The decision that holds for a lead of the store at a moment: the one there is while it does, else a new one."""

import json
from collections.abc import Iterable

from features.direct import Facts
from features.records import Row
from features.values import DAY
from models.scorer import Scorer
from serving.scoring import decide, keep_current, stored_bases
from serving.service import Service
from serving.store import aliases, decisions
from serving.store.database import reading
from serving.store.decisions import StoredDecision

HOLDS = DAY
"""Microseconds after which a decision is made anew, for time itself moves features."""


def score_as_of(service: Service, lead_id: str, as_of: int | None) -> StoredDecision | None:
    """The decision on a lead of the store.

    Args:
        service: the service.
        lead_id: the lead.
        as_of: a moment that is not in the future, microseconds: what was recorded by then is decided on, and the
            decision kept beside the current one; None for now.

    Returns:
        The decision; None where no such lead was known at the moment.
    """
    scorer, now = service.champion.scorer(), service.clock()
    with reading(service.engine) as connection:
        lead_id = aliases.resolve(connection, lead_id, as_of)
        ((basis, facts),) = stored_bases(connection, scorer, [lead_id], now if as_of is None else as_of)
        if not basis.evaluation.lead:
            return None
        score = decisions.current(connection, lead_id) if as_of is None else None
        held = None if score is None else decisions.get(connection, score.decision_id)
    if held is not None and _holds(held, scorer, facts, now):
        return held
    if as_of is None:
        return keep_current(service, scorer, [basis], now)[0]
    ((_, made),) = decide(scorer, [basis], service.tokens, now)
    service.archive.keep(service.engine, scorer.policy, now)
    with service.engine.begin() as connection:
        decisions.add(connection, [made])
    return made


def _holds(held: StoredDecision, scorer: Scorer, facts: Facts, now: int) -> bool:
    """Whether a decision is what would be decided now, but for the hours since."""
    content = json.loads(held.content)
    model = scorer.served and scorer.served.bundle.sha256
    made_with = (content["model"] and content["model"]["sha256"], content["policy"]["sha256"])
    alike = made_with == (model, scorer.policy.sha256) and content["catalogue"]["sha256"] == scorer.catalogue.sha256
    return alike and now - held.as_of < HOLDS and not any(_news(rows, held, now) for rows in facts.values())


def _news(rows: Iterable[Row], held: StoredDecision, now: int) -> bool:
    """Whether any of these came, or came to be known, since a decision was made."""
    if held.ingest is None:
        return True
    return any(row["ingest"] > held.ingest or held.as_of < (row["recorded_at"] or 0) <= now for row in rows)
