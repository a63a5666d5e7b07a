"""The steps of a purge. Each step deletes a limited number of expired rows in a write transaction."""

from collections.abc import Callable
from typing import TypeAlias

from sqlalchemy import ColumnElement, Connection, Select, Table, delete, exists, func, select, true

from features.records import KINDS
from serving.access.tables import sessions, sign_in_tokens
from serving.decisions.tables import current_score, decision_payloads, decisions, partner_standings
from serving.privacy import personal_data
from serving.records import versions
from serving.records.tables import RECORDS
from serving.shadow.tables import shadow_scores
from serving.store.tables import outbox
from serving.webhooks import deliveries
from serving.webhooks.tables import deliveries as sent
from serving.work_list.tables import exposures

PurgeStep: TypeAlias = Callable[[Connection, int], int]
"""Deletes at most the given number of items; returns the number of deleted items."""

_LEADS = RECORDS["leads"]
_FACTS = tuple(RECORDS[kind.name] for kind in KINDS.values() if kind.parent == "lead_id")


def scored(before: int) -> PurgeStep:
    """Deletes the payloads of decisions on facts in a request that were made before a moment (microseconds)."""

    def step(connection: Connection, limit: int) -> int:
        payloads = select(decision_payloads.c.decision_id).join_from(decision_payloads, decisions)
        old = payloads.where(~decision_payloads.c.stored, decisions.c.created_at < before)
        return _delete_payloads(connection, old, limit)

    return step


def _delete_payloads(connection: Connection, chosen: Select[tuple[str]], limit: int) -> int:
    """Deletes the payloads of these decisions and the challenger's scores of them."""
    ids = list(connection.execute(chosen.limit(limit)).scalars())
    for table in (shadow_scores, decision_payloads):
        connection.execute(delete(table).where(table.c.decision_id.in_(ids)))
    return len(ids)


def idle(before: int, now: int) -> PurgeStep:
    """Deletes open leads without a record since a moment. A lead without any recording time is kept."""

    def step(connection: Connection, limit: int) -> int:
        versions.lock_records(connection)
        stale = connection.execute(
            select(_LEADS.c.lead_id)
            .group_by(_LEADS.c.lead_id)
            .having(func.max(_LEADS.c.recorded_at) < before)
            .where(*(_LEADS.c.lead_id.not_in(select(t.c.lead_id).where(t.c.recorded_at >= before)) for t in _FACTS))
        )
        still_open = {*versions.open_leads(connection, now)}
        ids = sorted(still_open.intersection(stale.scalars()))[:limit]
        personal_data.delete_own(connection, personal_data.with_aliases(connection, ids))
        return len(ids)

    return step


def events(before: int) -> PurgeStep:
    """Deletes events from before a moment that no delivery waits for, with their deliveries."""

    def step(connection: Connection, limit: int) -> int:
        waiting = exists().where(sent.c.event_id == outbox.c.event_id, sent.c.state == deliveries.WAITING)
        old = select(outbox.c.id).where(outbox.c.at < before, outbox.c.fanned_out == true(), ~waiting)
        ids = list(connection.execute(old.limit(limit)).scalars())
        return connection.execute(delete(outbox).where(outbox.c.id.in_(ids))).rowcount

    return step


def sign_ins(connection: Connection, now: int) -> int:
    """Deletes expired sessions and expired sign-in links."""
    return sum(
        connection.execute(delete(table).where(table.c.expires_at <= now)).rowcount
        for table in (sessions, sign_in_tokens)
    )


def orphans(connection: Connection, limit: int) -> int:
    """Deletes rows of erased leads. Such rows appear where a lead was scored during its erasure."""
    ids = select(decision_payloads.c.decision_id).where(decision_payloads.c.stored, _without_lead(decision_payloads))
    for table in (current_score, exposures, partner_standings):
        connection.execute(delete(table).where(_without_lead(table)))
    connection.execute(delete(outbox).where(outbox.c.lead_id.is_not(None), _without_lead(outbox)))
    kept = exists().where(decision_payloads.c.decision_id == shadow_scores.c.decision_id)
    connection.execute(delete(shadow_scores).where(~kept))
    return _delete_payloads(connection, ids, limit)


def _without_lead(table: Table) -> ColumnElement[bool]:
    return ~exists().where(_LEADS.c.lead_id == table.c.lead_id)
