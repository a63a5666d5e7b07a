"""Several at once, on both databases: nothing is lost, nothing is double, and nobody sees half of it."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from threading import Event

import pytest
from sqlalchemy import Connection, Engine, func, select

from features.provenance import Attribute, Provenance
from features.records import KINDS, PARTNER_HISTORY, Lead, Row, Stored
from operations.exploration import Exposure
from serving.champion import bundles
from serving.decisions import current_scores, stored_decisions
from serving.decisions.current_scores import CurrentScore
from serving.decisions.stored_decisions import StoredDecision
from serving.decisions.tables import current_score
from serving.records import provenance, versions
from serving.records.tables import RECORDS
from serving.records.tables import provenance as provenance_table
from serving.store.database import reading
from serving.work_list import exposures

pytestmark = pytest.mark.both_databases

LEADS = KINDS["leads"]
DECISION = StoredDecision(
    decision_id="D", lead_id="L", stored=True, as_of=10, created_at=20, content="{}", request=None, salt="s"
)
SCORE = CurrentScore(
    lead_id="L",
    decision_id="D",
    qualification="EQL",
    pending=False,
    close_probability=0.5,
    grade="A",
    expected_value_minor=None,
    expected_value_currency=None,
    source_partner_id=None,
    scored_at=20,
)


def lead(identity: str, region: str | None = None) -> Stored:
    return Stored(LEADS, identity, Lead(lead_id=identity, region=region))


def in_threads(store: Engine, count: int, write: Callable[[Connection, int], object]) -> None:
    """Runs `write` in a transaction of its own for each number, all at once; raises what one of them raises."""

    def run(number: int) -> None:
        with store.begin() as connection:
            write(connection, number)

    with ThreadPoolExecutor(count) as threads:
        for done in [threads.submit(run, number) for number in range(count)]:
            done.result()


def ingests(connection: Connection) -> list[int]:
    return [row["ingest"] for row in versions.versions(connection, LEADS)]


def test_whoever_commits_first_has_the_lower_numbers(store: Engine) -> None:
    def second() -> None:
        with store.begin() as connection:
            versions.add(connection, [lead("second")])

    with ThreadPoolExecutor(1) as threads:
        with store.begin() as connection:
            versions.add(connection, [lead("first")])
            later = threads.submit(second)
            assert wait([later], 0.3).not_done
        later.result()
    with reading(store) as connection:
        assert [row["lead_id"] for row in versions.versions(connection, LEADS)] == ["first", "second"]


def test_a_writer_that_gives_up_leaves_neither_record_nor_number(store: Engine) -> None:
    def second() -> None:
        with store.begin() as connection:
            versions.add(connection, [lead("second")])

    with ThreadPoolExecutor(1) as threads:
        with store.connect() as connection:
            versions.add(connection, [lead("first")])
            later = threads.submit(second)
            connection.rollback()
        later.result()
    with reading(store) as connection:
        assert [(row["lead_id"], row["ingest"]) for row in versions.versions(connection, LEADS)] == [("second", 1)]


def test_nothing_ever_turns_up_below_a_number_that_was_read(store: Engine) -> None:
    done = Event()
    faults: list[tuple[int, list[int]]] = []

    def look() -> None:
        while not done.is_set():
            with reading(store) as connection:
                last, found = versions.last_ingest(connection), ingests(connection)
            if found != list(range(1, last + 1)):
                faults.append((last, found))

    def write(connection: Connection, number: int) -> None:
        for batch in range(3):
            versions.add(connection, [lead(f"{number}-{batch}-{place}") for place in range(1 + number % 3)])
            time.sleep(0.002)

    with ThreadPoolExecutor(2) as readers:
        looking = [readers.submit(look) for _ in range(2)]
        in_threads(store, 12, write)
        done.set()
        for each in looking:
            each.result()
    assert faults == []
    with reading(store) as connection:
        assert len(ingests(connection)) == versions.last_ingest(connection) == sum(3 * (1 + n % 3) for n in range(12))


def test_of_many_scores_of_a_lead_one_is_current(store: Engine) -> None:
    def write(connection: Connection, number: int) -> None:
        stored_decisions.add(connection, [replace(DECISION, decision_id=f"D-{number}")])
        current_scores.save(connection, [replace(SCORE, decision_id=f"D-{number}", scored_at=number)])

    in_threads(store, 20, write)
    with reading(store) as connection:
        assert connection.execute(select(func.count()).select_from(current_score)).scalar_one() == 1
        found = current_scores.get(connection, "L")
        assert found == replace(SCORE, decision_id=f"D-{found.scored_at}", scored_at=found.scored_at)
        assert len(stored_decisions.of_lead(connection, "L", 100)) == 20


def test_of_many_versions_of_a_lead_the_last_one_in_holds(store: Engine) -> None:
    in_threads(store, 20, lambda connection, number: versions.add(connection, [lead("L", f"R{number}")]))
    with reading(store) as connection:
        rows = list(versions.versions(connection, LEADS))
        assert versions.count(connection)["leads"] == 1
    assert sorted(row["region"] for row in rows) == sorted(f"R{number}" for number in range(20))
    assert [row["ingest"] for row in rows] == list(range(1, 21))


def test_writers_of_the_same_leads_in_other_orders_do_not_stop_each_other(store: Engine) -> None:
    with store.begin() as connection:
        stored_decisions.add(connection, [DECISION])

    def write(connection: Connection, number: int) -> None:
        scores = [replace(SCORE, lead_id=f"L-{each}", scored_at=number) for each in range(40)]
        random.Random(number).shuffle(scores)
        current_scores.save(connection, scores)

    in_threads(store, 8, write)
    with reading(store) as connection:
        moments = connection.execute(select(current_score.c.scored_at)).scalars().all()
    assert len(moments) == 40
    assert len({*moments}) == 1


def day(leads: int) -> Row:
    times = {"occurred_at": leads, "recorded_at": leads, "deleted": False}
    return {**times, "partner_id": "P", "leads": leads, "wins": 0, "days_to_close": None}


def test_imports_at_the_same_time_leave_one_provenance_and_one_history(store: Engine) -> None:
    def write(connection: Connection, number: int) -> None:
        provenance.add(connection, Provenance(attributes=(Attribute(f"a{number}", "number", "at_creation"),)))
        versions.add(connection, [lead(f"L-{number}")])
        known = len(list(versions.versions(connection, LEADS)))
        versions.replace_derived(connection, {PARTNER_HISTORY: [day(known)] * known})

    in_threads(store, 6, write)
    with reading(store) as connection:
        assert connection.execute(select(func.count()).select_from(provenance_table)).scalar_one() == 1
        assert {each.name for each in provenance.read(connection).attributes} == {f"a{n}" for n in range(6)}
        table = RECORDS[PARTNER_HISTORY.name]
        assert connection.execute(select(table.c.leads)).scalars().all() == [6] * 6


def test_what_is_read_alone_stays_true_until_the_commit(store: Engine) -> None:
    def write(connection: Connection, number: int) -> None:
        versions.lock_records(connection)
        known = versions.count(connection)["leads"]
        time.sleep(0.002)
        versions.add(connection, [lead(f"L-{known}")])

    in_threads(store, 10, write)
    with reading(store) as connection:
        assert versions.count(connection)["leads"] == 10


def test_a_bundle_published_twice_at_once_is_kept_once_and_appointed_twice(store: Engine) -> None:
    def write(connection: Connection, number: int) -> None:
        bundles.publish(
            connection, {"a": b"1"}, name="eql", version="1", sha256="one", actor=f"{number}", reason="", at=number
        )

    in_threads(store, 6, write)
    with reading(store) as connection:
        assert bundles.files(connection, "one") == {"a": b"1"}
        assert sorted(found.at for found in bundles.history(connection)) == list(range(6))


def test_a_lead_shown_to_many_at_once_is_logged_once(store: Engine) -> None:
    with store.begin() as connection:
        stored_decisions.add(connection, [DECISION])

    def write(connection: Connection, number: int) -> None:
        shown = [
            Exposure(
                lead_id=f"L-{each}",
                day=0,
                decision_id="D",
                score=0.5,
                share=0.1,
                seed="",
                randomised=False,
                view="passed",
                listed=20,
                position=1 + (each + number) % 20,
                position_by_score=1 + each,
            )
            for each in range(20)
        ]
        random.Random(number).shuffle(shown)
        exposures.add(connection, shown)

    in_threads(store, 8, write)
    with reading(store) as connection:
        logged = list(exposures.logged(connection))
    assert [each.lead_id for each in logged] == sorted(f"L-{each}" for each in range(20))
    assert len({(each.position - each.position_by_score) % 20 for each in logged}) == 1
