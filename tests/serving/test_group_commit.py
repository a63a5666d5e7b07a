"""Group commit: one commit for all who wait, each told of its own write and of no other's fault."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from serving.decisions.tables import decisions
from serving.store.database import reading
from serving.store.group_commit import GroupCommit

pytestmark = pytest.mark.both_databases
Work = Callable[[Connection], str]


def adding(name: str) -> Work:
    """Writes a row of this name, and gives the name."""

    def work(connection: Connection) -> str:
        connection.execute(insert(decisions), {"decision_id": name, "created_at": 1, "commitment": "c"})
        return name

    return work


def failing(error: Exception) -> Work:
    def work(connection: Connection) -> str:
        adding("undone")(connection)
        raise error

    return work


def names(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return {*connection.execute(select(decisions.c.decision_id)).scalars()}


@contextmanager
def commits(engine: Engine) -> Iterator[list[Any]]:
    seen: list[Any] = []

    def committed(connection: Connection) -> None:
        seen.append(connection)

    event.listen(engine, "commit", committed)
    yield seen
    event.remove(engine, "commit", committed)


def all_at_once(engine: Engine, works: list[Work]) -> list[Future[str]]:
    """Lets these wait while another one writes, and waits for what becomes of them."""
    group, begun, goes_on = GroupCommit(engine), Event(), Event()

    def first(_: Connection) -> str:
        begun.set()
        assert goes_on.wait(10)
        return "first"

    with ThreadPoolExecutor(len(works) + 1) as threads:
        leader = threads.submit(group.write, first)
        assert begun.wait(10)
        followers = [threads.submit(group.write, work) for work in works]
        while len(group._batcher._pending) < len(works):
            pass
        goes_on.set()
    assert leader.result() == "first"
    return followers


def test_who_waits_meanwhile_shares_one_commit(store: Engine) -> None:
    with commits(store) as seen:
        written = all_at_once(store, [adding(str(number)) for number in range(8)])
    assert len(seen) == 2
    assert [future.result() for future in written] == [str(number) for number in range(8)]
    assert names(store) == {str(number) for number in range(8)}


def test_a_faulty_write_fails_alone_and_leaves_nothing(store: Engine) -> None:
    works = [adding("a"), failing(ValueError("mine")), adding("b"), adding("a"), adding("c")]
    a, faulty, b, again, c = all_at_once(store, works)
    assert (a.result(), b.result(), c.result()) == ("a", "b", "c")
    with pytest.raises(ValueError, match="mine"):
        faulty.result()
    with pytest.raises(IntegrityError):
        again.result()
    assert names(store) == {"a", "b", "c"}


def test_a_store_that_does_not_answer_fails_all_who_wait_at_once(store: Engine) -> None:
    tried: list[int] = []

    def gone(_: Connection) -> str:
        tried.append(1)
        raise OperationalError("INSERT", {}, Exception("disk I/O error"))

    for future in all_at_once(store, [adding("a"), gone, adding("b")]):
        with pytest.raises(OperationalError):
            future.result()
    assert len(tried) == 1
    assert names(store) == set()


def test_every_write_of_many_threads_is_there_when_it_returns(store: Engine) -> None:
    group = GroupCommit(store)

    def write(number: int) -> bool:
        name = group.write(adding(str(number)))
        with reading(store) as connection:
            found = select(func.count()).where(decisions.c.decision_id == name)
            return bool(connection.execute(found).scalar_one() == 1)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(write, range(60)))
