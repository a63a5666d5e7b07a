"""The worker: each scheduled run by one, failures told and outlived, and leads scored by the model that serves."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from features.catalogue import CATALOGUE
from features.records import KINDS, PARTNER_HISTORY, Lead, LeadEvent, Partner, Stored
from features.value_types import DAY, SECOND, microseconds, moment, parse_instant
from models.bundle import Bundle
from models.calibration import Calibration
from models.encoding import EncodedFeature, Encoding
from models.probability import Logistic, LogisticColumn
from serving.champion import bundles
from serving.champion.watcher import CHECK_EVERY
from serving.decisions import rescore_queue, stored_decisions
from serving.records import versions
from serving.rescoring import rescoring
from serving.rescoring.promotions import announce_promotions
from serving.rescoring.rescoring import PROMOTION_GRACE, queue_open_leads, rescore_due
from serving.scoring.scoring import Scoring
from serving.service import Service
from serving.store.database import reading
from serving.store.tables import outbox as outbox_table
from serving.worker import runs as schedules
from serving.worker.runs import Run
from serving.worker.schedules import RETRY_AFTER, Interrupted, Schedule, daily, every, run_due
from serving.worker.tasks import last_beat, tasks
from serving.worker.tasks import schedules as planned
from serving.worker.worker import MAX_BACKOFF, Task, Worker
from tests.serving.conftest import service_on

NOW = parse_instant("2026-11-20T01:00:00Z")
HOUR = 3600 * SECOND
PERSONAL = "someone@company.example"


@dataclass
class Clock:
    now: int = NOW

    def __call__(self) -> int:
        return self.now


def plan(service: Service, retrain: Callable[[], str] | None = None) -> list[Schedule]:
    return planned(service.scoring, service.retention, retrain)


def runs(store: Engine) -> list[Run]:
    with reading(store) as connection:
        return schedules.listed(connection, None, 1000)


@given(st.datetimes(moment(0).replace(tzinfo=None), moment(200 * 365 * DAY).replace(tzinfo=None)), st.integers(0, 23))
def test_every_day_has_its_hour_once(now: object, hour: int) -> None:
    at = microseconds(now.replace(tzinfo=moment(0).tzinfo))  # type: ignore[attr-defined]
    following = daily(hour)(at)
    assert 0 < following - at <= DAY
    assert (moment(following).hour, following % HOUR) == (hour, 0)
    assert daily(hour)(following) == following + DAY


@pytest.mark.both_databases
def test_each_night_has_one_run_however_many_workers_there_are(store: Engine) -> None:
    clock = Clock()
    ran: list[int] = []

    def work() -> None:
        ran.append(clock.now)

    schedule = Schedule("work", daily(2), work, timeout=HOUR)
    for _ in range(4 * 24 * 2):
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(lambda _: run_due(store, schedule, clock), range(3)))
        clock.now += HOUR // 2
    assert ran == [NOW + HOUR + day * DAY for day in range(4)]
    assert [(run.outcome, run.started_at) for run in runs(store)] == [("ok", at) for at in reversed(ran)]


def test_what_was_missed_is_made_up_for_once(store: Engine) -> None:
    clock = Clock()
    ran: list[int] = []
    schedule = Schedule("work", daily(2), lambda: ran.append(clock.now), timeout=HOUR)
    run_due(store, schedule, clock)
    clock.now += 10 * DAY + 5 * HOUR
    for _ in range(3):
        run_due(store, schedule, clock)
    assert ran == [clock.now]
    clock.now += 20 * HOUR
    run_due(store, schedule, clock)
    assert len(ran) == 2


def test_a_run_that_fails_is_recorded_without_its_text_and_tried_again(
    store: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    clock, fails = Clock(), [True]

    def work() -> str:
        if fails[0]:
            raise ValueError(PERSONAL)
        return "done"

    schedule = Schedule("work", every(HOUR), work, timeout=HOUR)
    run_due(store, schedule, clock)
    clock.now += HOUR
    assert run_due(store, schedule, clock)
    assert not run_due(store, schedule, clock)
    clock.now += RETRY_AFTER
    fails[0] = False
    assert run_due(store, schedule, clock)
    assert [(run.outcome, run.detail) for run in runs(store)] == [("ok", "done"), ("failed", "ValueError")]
    assert PERSONAL not in caplog.text
    assert "ValueError" in caplog.text


def test_a_run_that_stops_with_its_worker_is_no_error_and_tried_again(
    store: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()

    def stop() -> None:
        raise Interrupted

    run_due(store, Schedule("work", every(HOUR), stop, timeout=HOUR), clock)
    clock.now += HOUR
    assert run_due(store, Schedule("work", every(HOUR), stop, timeout=HOUR), clock)
    clock.now += RETRY_AFTER
    assert run_due(store, Schedule("work", every(HOUR), lambda: "done", timeout=HOUR), clock)
    assert [run.detail for run in runs(store)] == ["done", "the worker stopped"]
    assert caplog.text == ""


@pytest.mark.both_databases
def test_a_run_whose_worker_died_is_made_by_another(store: Engine) -> None:
    clock = Clock()
    ran: list[int] = []

    class Died(BaseException):
        pass

    def die() -> None:
        raise Died

    run_due(store, Schedule("work", daily(2), die, timeout=HOUR), clock)
    clock.now += DAY
    with pytest.raises(Died):
        run_due(store, Schedule("work", daily(2), die, timeout=HOUR), clock)
    schedule = Schedule("work", daily(2), lambda: ran.append(clock.now), timeout=HOUR)
    clock.now += HOUR - 1
    assert not run_due(store, schedule, clock)
    clock.now += 1
    assert run_due(store, schedule, clock)
    assert len(ran) == 1
    assert [run.outcome for run in runs(store)] == ["ok", None]


@dataclass
class Told:
    """Ends a worker after so many waits, and keeps how long they were."""

    stopping: Event
    waits: int
    seconds: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if len(self.seconds) >= self.waits:
            self.stopping.set()


def repeated(run: Callable[[], bool], waits: int) -> list[float]:
    stopping = Event()
    told = Told(stopping, waits)
    Worker([], stopping, told).repeat(Task("step", run))
    return told.seconds


def test_a_step_that_fails_is_tried_again_ever_more_patiently(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> bool:
        raise RuntimeError(PERSONAL)

    seconds = repeated(fail, 20)
    assert seconds == sorted(seconds)
    assert (seconds[0], seconds[-1]) == (2, MAX_BACKOFF)
    assert PERSONAL not in caplog.text


def test_a_success_ends_the_patience_and_more_work_is_not_waited_for() -> None:
    outcomes = iter([RuntimeError(), RuntimeError(), True, True, False, RuntimeError(), False])

    def step() -> bool:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert repeated(step, 5) == [2, 4, 1, 2, 1]


def test_a_step_that_fails_keeps_no_other_from_running_and_is_named() -> None:
    remaining = [3]

    def count() -> bool:
        remaining[0] -= 1
        return remaining[0] > 0

    worker = Worker([Task("broken", lambda: 1 / 0 > 0), Task("counting", count)], Event(), lambda _: None)
    assert worker.once() == ["broken"]
    assert remaining == [0]


def test_a_worker_ends_after_the_work_at_hand() -> None:
    stopping, started, may_end = Event(), Event(), Event()
    done: list[str] = []

    def slow() -> bool:
        started.set()
        may_end.wait(10)
        done.append("slow")
        return True

    worker = Worker([Task("slow", slow), Task("idle", lambda: False)], stopping, stopping.wait)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(worker.run)
        started.wait(10)
        stopping.set()
        may_end.set()
        running.result(10)
    assert done == ["slow"]


def bundle(intercept: float) -> Bundle:
    """A model of one number, which differs by its intercept."""
    made = Bundle(
        name="test",
        encoding=Encoding((EncodedFeature("employees", "number"),)),
        model=Logistic(
            1, intercept, (LogisticColumn(feature=0, transform="number", mean=5.0, scale=2.0, coefficient=0.2),)
        ),
        calibration=Calibration(1.0, 0.0, ((1.0, -0.1), (1.0, 0.1))),
        horizon_days=90,
        base_rate=0.1,
        grades=(0.2, 0.1, 0.05),
        attributes=(),
        features_sha256=CATALOGUE.values_sha256(["employees"]),
        expected_amount=(100_000, "USD"),
    )
    parts = made.contributions(made.encoding.encode({"employees": [400]}, 1))
    return replace(made, golden=(({"employees": 400}, float(parts.sum())),))


def publish(store: Engine, made: Bundle, at: int) -> None:
    with store.begin() as connection:
        bundles.publish(
            connection,
            dict(made.files),
            name=made.name,
            version="1",
            sha256=made.sha256,
            actor="someone",
            reason="better",
            at=at,
        )


def add_leads(store: Engine, count: int) -> list[str]:
    leads, events = KINDS["leads"], KINDS["lead_events"]
    ids = [f"L-{number}" for number in range(count)]
    stored = [Stored(leads, i, Lead(lead_id=i, created_at=NOW - DAY, channel="webinar")) for i in ids]
    lost = LeadEvent(event="lost", occurred_at=NOW - HOUR)
    with store.begin() as connection:
        versions.add(connection, stored)
        versions.add(connection, [Stored(events, "E-1", lost, ids[0])])
    return ids[1:]


def scored_by(store: Engine, lead_id: str) -> list[str | None]:
    with reading(store) as connection:
        found = stored_decisions.of_lead(connection, lead_id, 100)
    models = [json.loads(each.content)["model"] for each in found]
    return [model and model["sha256"] for model in models]


@pytest.mark.both_databases
def test_a_promotion_is_told_once_and_all_open_leads_are_scored_by_it(store: Engine) -> None:
    clock = Clock()
    service = service_on(store, clock)
    ids = add_leads(store, 4)
    made = bundle(-2.0)
    publish(store, made, clock())
    clock.now += CHECK_EVERY
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: announce_promotions(service.scoring), range(4)))
    assert not announce_promotions(service.scoring)
    with reading(store) as connection:
        told = connection.execute(select(outbox_table)).all()
        assert rescore_queue.length(connection) == len(ids)
    assert [row.kind for row in told] == ["model.promoted"]
    assert made.sha256 in told[0].content
    assert "someone" not in told[0].content
    assert rescore_due(service.scoring)
    assert not rescore_due(service.scoring)
    assert [scored_by(store, lead_id) for lead_id in ids] == [[made.sha256]] * len(ids)
    assert scored_by(store, "L-0") == []


def test_no_lead_is_scored_by_the_model_before_a_promotion(store: Engine) -> None:
    clock = Clock()
    service = service_on(store, clock)
    [lead_id] = add_leads(store, 2)
    before, after = bundle(-2.0), bundle(-1.0)
    publish(store, before, clock())
    assert service.champion.scorer().served is not None
    publish(store, after, clock())
    announce_promotions(service.scoring)
    assert not rescore_due(service.scoring)
    assert scored_by(store, lead_id) == []
    clock.now += CHECK_EVERY
    assert rescore_due(service.scoring)
    assert scored_by(store, lead_id) == [after.sha256]


def test_a_promotion_that_cannot_be_served_does_not_stop_scoring(store: Engine) -> None:
    clock = Clock()
    service = service_on(store, clock)
    [lead_id] = add_leads(store, 2)
    before, broken = bundle(-2.0), bundle(-1.0)
    publish(store, before, clock())
    assert service.champion.scorer().served is not None
    files = {path: content + b" " for path, content in broken.files.items()}
    with store.begin() as connection:
        bundles.publish(
            connection, files, name="test", version="2", sha256=broken.sha256, actor="a", reason="b", at=clock()
        )
    announce_promotions(service.scoring)
    clock.now += CHECK_EVERY
    assert not rescore_due(service.scoring)
    clock.now += PROMOTION_GRACE
    assert rescore_due(service.scoring)
    assert scored_by(store, lead_id) == [before.sha256]


def test_a_lead_that_cannot_be_scored_keeps_no_other_waiting(
    store: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    service = service_on(store, clock)
    ids = add_leads(store, 6)
    rescore = rescoring.rescore

    def failing(scoring: Scoring, lead_ids: list[str]) -> object:
        if ids[2] in lead_ids:
            raise ValueError(PERSONAL)
        return rescore(scoring, lead_ids)

    monkeypatch.setattr(rescoring, "rescore", failing)
    queue_open_leads(service.scoring)
    while rescore_due(service.scoring):
        pass
    assert [bool(scored_by(store, lead_id)) for lead_id in ids] == [lead_id != ids[2] for lead_id in ids]
    assert PERSONAL not in caplog.text
    monkeypatch.undo()
    assert not rescore_due(service.scoring)
    clock.now += rescoring.RETRY_AFTER
    assert rescore_due(service.scoring)
    assert scored_by(store, ids[2])


@pytest.mark.both_databases
def test_workers_side_by_side_score_each_lead_once_a_night(store: Engine) -> None:
    clock = Clock()
    services = [service_on(store, clock) for _ in range(3)]
    ids = add_leads(store, 30)

    def night(service: Service) -> list[str]:
        return Worker(tasks(service.scoring, plan(service), lambda: False), Event(), lambda _: None).once()

    assert night(services[0]) == []
    assert [scored_by(store, lead_id) for lead_id in ids] == [[]] * len(ids)
    clock.now += HOUR
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(night, services)) == [[], [], []]
    assert [scored_by(store, lead_id) for lead_id in ids] == [[None]] * len(ids)
    assert [(run.task, run.outcome, run.detail) for run in runs(store)] == [
        ("nightly rescoring", "ok", f"{len(ids)} open leads due")
    ]
    with reading(store) as connection:
        assert last_beat(connection) == clock.now


def test_retraining_is_a_schedule_only_where_it_is_handed_in(store: Engine) -> None:
    service = service_on(store, Clock())
    names = {schedule.name for schedule in plan(service)}
    assert {schedule.name for schedule in plan(service, lambda: "nothing")} - names == {"retraining"}


def test_each_night_partners_are_known_by_what_their_leads_came_to(store: Engine) -> None:
    created, kinds = NOW - 200 * DAY, KINDS
    lead = Lead(lead_id="L-1", created_at=created, channel="partner_referral", source_partner_id="P-1")
    won = LeadEvent(event="won", occurred_at=created + DAY)
    with store.begin() as connection:
        versions.add(connection, [Stored(kinds["partners"], "P-1", Partner(partner_id="P-1", recorded_at=created))])
        versions.add(connection, [Stored(kinds["leads"], "L-1", lead), Stored(kinds["lead_events"], "E-1", won, "L-1")])
    (night,) = [one for one in plan(service_on(store, Clock())) if one.name == "partner history"]
    assert night.run() == night.run()
    with reading(store) as connection:
        known = list(versions.versions(connection, PARTNER_HISTORY))
    assert [(row["partner_id"], row["leads"], row["wins"]) for row in known][-1] == ("P-1", 1, 1)
