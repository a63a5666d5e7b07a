"""One meaning of open, won and lost: the plain function, the store on both databases, and every engine agree."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from sqlalchemy import Engine as Database
from sqlalchemy import create_engine, make_url, text

from features.engines.duckdb import DuckDBEngine
from features.engines.engine import Engine
from features.engines.postgres import PostgresEngine
from features.engines.spark import SparkEngine
from features.folder import FolderWriter
from features.outcomes import closed_leads
from features.provenance import Provenance
from features.records import KINDS, Lead, LeadEvent, Stored
from features.value_types import DAY
from serving.records.versions import add, open_leads
from serving.store.database import connect, create
from tests.features.test_engines import some

LEADS, EVENTS = KINDS["leads"], KINDS["lead_events"]
HORIZON = 90
History: TypeAlias = Sequence[Stored]
"""Versions of events in the order of ingest."""


def event(
    identity: str, lead: str, what: str, occurred: int | None, recorded: int | None, deleted: bool = False
) -> Stored:
    content = LeadEvent.model_validate({"event": what, "occurred_at": occurred, "recorded_at": recorded})
    return Stored(EVENTS, identity, content, lead, deleted=deleted)


times = st.none() | st.integers(0, 5)
histories = st.lists(
    st.builds(
        event,
        st.sampled_from(("E1", "E2", "E3", "E4")),
        st.sampled_from(("L1", "L2")),
        st.sampled_from(("won", "lost", "reopened", "reopened", "stage")),
        times,
        times,
        st.sampled_from((False, False, False, True)),
    ),
    max_size=8,
)


def side_by_side(several: Sequence[History]) -> History:
    """One history of several, in which their leads and events do not meet."""
    return [
        Stored(EVENTS, f"{number}-{one.id}", one.record, f"{number}-{one.parent}", deleted=one.deleted)
        for number, history in enumerate(several)
        for one in history
    ]


def leads_of(history: History) -> list[str]:
    return sorted({str(one.parent) for one in history})


def open_by_function(history: History, as_of: int) -> list[str]:
    closed = closed_leads([one.row() for one in history], as_of)
    return [lead for lead in leads_of(history) if lead not in closed]


def open_in_store(store: Database, history: History, moments: Sequence[int]) -> list[list[str]]:
    """The open leads at each moment; the store is empty again afterwards."""
    with store.connect() as connection, connection.begin() as transaction:
        add(connection, [Stored(LEADS, lead, Lead(lead_id=lead)) for lead in leads_of(history)])
        add(connection, history)
        found = [open_leads(connection, as_of) for as_of in moments]
        transaction.rollback()
    return found


def write(folder: Path, history: History) -> None:
    leads = [Stored(LEADS, lead, Lead(lead_id=lead)).row() for lead in leads_of(history)]
    with FolderWriter(folder, Provenance()) as writer:
        writer.write(LEADS, leads)
        writer.write(EVENTS, [one.row() for one in history])


def open_in_engine(engine: Engine, moments: Sequence[int]) -> list[list[str]]:
    with engine:
        return [engine.open_leads(as_of)["lead_id"].to_pylist() for as_of in moments]


@pytest.fixture(scope="module")
def stores(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Database]]:
    """An empty store on each database."""
    server = create_engine(make_url(postgres_url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("CREATE DATABASE outcomes TEMPLATE template0"))
    urls = {
        "SQLite": f"sqlite:///{tmp_path_factory.mktemp('outcomes') / 'store.sqlite'}",
        "PostgreSQL": make_url(postgres_url).set(database="outcomes").render_as_string(hide_password=False),
    }
    with ExitStack() as undo:
        undo.callback(server.dispose)
        found = {name: connect(url) for name, url in urls.items()}
        for engine in found.values():
            undo.callback(engine.dispose)
            create(engine)
        yield found


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(several=st.lists(histories, min_size=1, max_size=8), moments=st.lists(st.integers(0, 6), min_size=1, max_size=2))
def test_the_function_the_stores_and_the_engines_agree_on_any_history(
    stores: Mapping[str, Database], postgres_url: str, several: list[History], moments: list[int]
) -> None:
    history = side_by_side(several)
    expected = [open_by_function(history, as_of) for as_of in moments]
    for name, store in stores.items():
        assert open_in_store(store, history, moments) == expected, name
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "records"
        write(folder, history)
        assert open_in_engine(DuckDBEngine(folder, HORIZON), moments) == expected
        assert open_in_engine(PostgresEngine(folder, HORIZON, postgres_url), moments) == expected


def test_spark_agrees_on_many_histories(spark: SparkSession, tmp_path: Path) -> None:
    history, moments = side_by_side(some(300, histories)), (1, 4)
    write(tmp_path / "records", history)
    found = open_in_engine(SparkEngine(tmp_path / "records", HORIZON, spark), moments)
    assert found == [open_by_function(history, as_of) for as_of in moments]


CASES: Mapping[str, tuple[Sequence[tuple[str, str, int | None, int | None]], str]] = {
    "the loss is corrected after the lead was reopened": (
        [("E1", "lost", 10, 10), ("E2", "reopened", 12, 12), ("E1", "lost", 10, 20)],
        "open",
    ),
    "the loss became known late": ([("E1", "reopened", 5, 5), ("E2", "lost", 3, 8)], "open"),
    "the reopening before the loss became known late": ([("E1", "lost", 10, 10), ("E2", "reopened", 5, 12)], "lost"),
    "a win in the future is none yet": ([("E1", "won", 31, 9)], "open"),
    "undated events come first": ([("E1", "won", 1, 1), ("E2", "reopened", None, None)], "won"),
    "of equal moments the one recorded later holds": ([("E1", "reopened", 5, 7), ("E2", "won", 5, 6)], "open"),
    "of equal times the one ingested later holds": ([("E1", "lost", 5, 5), ("E2", "won", 5, 5)], "won"),
}


@pytest.fixture(scope="module")
def cases() -> History:
    """Every case as a history of its own lead, of days."""
    return [
        event(f"{lead}: {identity}", lead, what, *(day if day is None else day * DAY for day in times))
        for lead, (events, _) in CASES.items()
        for identity, what, *times in events
    ]


def test_the_function_says_what_the_rule_says(cases: History) -> None:
    closed = closed_leads([one.row() for one in cases], 30 * DAY)
    assert {lead: closed[lead]["event"] if lead in closed else "open" for lead in CASES} == {
        lead: state for lead, (_, state) in CASES.items()
    }


@pytest.mark.parametrize("name", ["SQLite", "PostgreSQL"])
def test_the_stores_say_what_the_rule_says(stores: Mapping[str, Database], cases: History, name: str) -> None:
    assert open_in_store(stores[name], cases, [30 * DAY]) == [open_cases()]


@pytest.mark.parametrize("name", ["duckdb", "postgres", "spark"])
def test_the_engines_say_what_the_rule_says(
    request: pytest.FixtureRequest, cases: History, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "records"
    write(folder, cases)
    engine: Engine
    match name:
        case "duckdb":
            engine = DuckDBEngine(folder, HORIZON)
        case "postgres":
            engine = PostgresEngine(folder, HORIZON, request.getfixturevalue("postgres_url"))
        case _:
            engine = SparkEngine(folder, HORIZON, request.getfixturevalue("spark"))
    assert open_in_engine(engine, [30 * DAY]) == [open_cases()]


def open_cases() -> list[str]:
    return sorted(lead for lead, (_, state) in CASES.items() if state == "open")
