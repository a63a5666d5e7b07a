"""Events: written with what they tell of, or not at all."""

import json

import pytest
from sqlalchemy import Engine, func, select

from serving.store import outbox
from serving.store.database import reading
from serving.store.tables import outbox as table

pytestmark = pytest.mark.both_databases


def _event() -> outbox.Event:
    return outbox.event("lead.created", "L-1", {"lead_id": "L-1"}, at=1_000_000, tokens=bytes)


def test_an_event_says_what_happened_when_and_to_what(store: Engine) -> None:
    with store.begin() as connection:
        outbox.add(connection, [_event()])
    with reading(store) as connection:
        row = connection.execute(select(table)).one()
    body = {"type": "lead.created", "timestamp": "1970-01-01T00:00:01Z", "data": {"lead_id": "L-1"}}
    assert json.loads(row.content) == body
    assert (row.kind, row.lead_id, row.event_id) == ("lead.created", "L-1", _event().event_id)


def test_of_a_transaction_that_was_rolled_back_no_event_stays(store: Engine) -> None:
    with store.connect() as connection, connection.begin() as transaction:
        outbox.add(connection, [_event()])
        transaction.rollback()
    with reading(store) as connection:
        assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0
