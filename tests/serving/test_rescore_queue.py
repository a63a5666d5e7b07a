"""Leads due for a score: each claimed by one worker, kept where it was marked again or its worker died."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from serving.decisions import rescore_queue
from serving.store.database import reading

pytestmark = pytest.mark.both_databases


def test_a_lead_is_due_once_however_often_it_was_marked(store: Engine) -> None:
    with store.begin() as connection:
        rescore_queue.enqueue(connection, ["L-2", "L-1", "L-2"], at=10)
        rescore_queue.enqueue(connection, ["L-1"], at=11)
        assert rescore_queue.claim(connection, 10, now=20, until=30) == ["L-1", "L-2"]
        assert rescore_queue.length(connection) == 2


def test_what_was_scored_is_struck_off_unless_it_was_marked_meanwhile(store: Engine) -> None:
    with store.begin() as connection:
        rescore_queue.enqueue(connection, ["L-1", "L-2"], at=10)
        claimed = rescore_queue.claim(connection, 10, now=20, until=30)
        rescore_queue.enqueue(connection, ["L-2"], at=21)
        rescore_queue.complete(connection, claimed, until=30)
        assert rescore_queue.claim(connection, 10, now=22, until=32) == ["L-2"]


def test_the_longest_due_come_first_and_a_claim_runs_out(store: Engine) -> None:
    with store.begin() as connection:
        rescore_queue.enqueue(connection, ["L-2"], at=10)
        rescore_queue.enqueue(connection, ["L-1"], at=11)
        assert rescore_queue.claim(connection, 1, now=20, until=30) == ["L-2"]
        assert rescore_queue.claim(connection, 1, now=29, until=39) == ["L-1"]
        assert rescore_queue.claim(connection, 9, now=30, until=40) == ["L-2"]


def test_workers_side_by_side_share_the_leads(store: Engine) -> None:
    leads = [f"L-{number:03}" for number in range(200)]
    with store.begin() as connection:
        rescore_queue.enqueue(connection, leads, at=10)

    def work(worker: int) -> list[str]:
        found: list[str] = []
        while True:
            with store.begin() as connection:
                claimed = rescore_queue.claim(connection, 7, now=20, until=100 + worker)
            if not claimed:
                return found
            found += claimed

    with ThreadPoolExecutor(4) as pool:
        claimed = [lead for found in pool.map(work, range(4)) for lead in found]
    # Who waited for another's claim may leave with nothing, but nothing is claimed twice.
    with reading(store) as connection:
        assert rescore_queue.length(connection) == 200
    assert len(claimed) == len({*claimed})
    with store.begin() as connection:
        assert sorted([*claimed, *rescore_queue.claim(connection, 200, now=20, until=99)]) == leads
