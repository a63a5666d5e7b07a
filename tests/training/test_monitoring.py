"""Monitoring: a world that stays as it is, is fine; what changed in it is named; nothing later than as_of counts."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalogue import CATALOGUE
from features.folder import FolderWriter
from features.provenance import Attribute, Provenance
from features.records import KINDS
from features.value_types import DAY, Scalar, rfc3339
from models.bundle import Bundle
from models.encoding import EncodedFeature
from models.probability import sigmoid
from training.evaluation.metrics import log_loss
from training.fitting.trainer import train
from training.monitoring import MonitoringReport, NothingToMonitor, monitor, retraining_reason
from training.monitoring.feature_drift import feature_drift, null_mean, psi
from training.monitoring.outcomes import OutcomeGap, expected_losses
from training.monitoring.report import AlarmTest, alarming
from training.monitoring.windows import compare_windows, drift_p_value

COUNT, A_DAY = 3600, 4
START, CUT = 19_000 * DAY, 19_900 * DAY
MADE = 19_500 * DAY
"""When the champion was trained."""
LATE = 3000
"""The first lead of the last 150 days, where what is planted begins."""
HORIZON = 30
RNG = np.random.default_rng(5)
SIZE = RNG.normal(size=COUNT)
ORIGIN = RNG.choice(["fair", "web", "mail"], COUNT)
LUCK, SPARED = RNG.random(COUNT), RNG.random(COUNT)
CLOSES = RNG.integers(1, HORIZON, COUNT)
ATTRIBUTES = (Attribute("size", "number", "at_creation"), Attribute("origin", "category", "at_creation"))


def wins(n: int) -> bool:
    return bool(LUCK[n] < sigmoid(1.5 * SIZE[n] - 1.0))


def write(
    folder: Path,
    *,
    cut: int = CUT,
    until: int = CUT,
    size: Callable[[int], float | None] = lambda n: float(SIZE[n]),
    origin: Callable[[int], str | None] = lambda n: str(ORIGIN[n]),
    won: Callable[[int], bool] = wins,
    lost: bool = True,
) -> Path:
    """Four leads a day for 900 days, won or lost within the horizon; nothing that is recorded after `until`."""
    leads, events = [], []
    for n in range(COUNT):
        created = START + n * DAY // A_DAY
        closed = created + int(CLOSES[n]) * DAY
        times: dict[str, Scalar] = {"occurred_at": created, "recorded_at": created, "deleted": False}
        lead: dict[str, Scalar] = {"lead_id": f"L{n:04}", "created_at": created, "region": ("EMEA", "AMER")[n % 2]}
        if created <= until:
            leads.append(lead | times | {"attributes.size": size(n), "attributes.origin": origin(n)})
        if closed <= until and (won(n) or lost):
            event: dict[str, Scalar] = {"lead_event_id": f"E{n}", "lead_id": f"L{n:04}", "deleted": False}
            events.append(event | {"occurred_at": closed, "recorded_at": closed, "event": "won" if won(n) else "lost"})
    with FolderWriter(folder, Provenance(cut, True, ATTRIBUTES)) as writer:
        writer.write(KINDS["leads"], leads)
        writer.write(KINDS["lead_events"], events)
    return folder


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = write(tmp_path_factory.mktemp("champion"), cut=MADE, until=MADE)
    bundle = train(folder, CATALOGUE, lambda _: None, horizon_days=HORIZON).bundle
    assert bundle.rung != "base_rate"
    return bundle


@pytest.fixture(scope="module")
def stable(champion: Bundle, tmp_path_factory: pytest.TempPathFactory) -> MonitoringReport:
    return monitor(write(tmp_path_factory.mktemp("stable")), champion, CATALOGUE)


def test_a_world_that_stays_as_it_is_is_fine_and_says_by_what(stable: MonitoringReport) -> None:
    assert stable.verdict == "fine", stable.reasons
    said = " ".join(stable.reasons)
    for word in ("AUC", "expected log loss", "won within 14 days", "won within 30 days"):
        assert word in said
    assert sum(stable.leads[name] for name in ("judged", "since")) < COUNT
    assert stable.notes == ("no calibration slope: 1,600 leads matured since the champion was made, 3,000 are needed",)


def test_the_report_is_json_with_every_figure(stable: MonitoringReport) -> None:
    found = json.loads(json.dumps(stable.to_dict(), allow_nan=False))
    assert {feature["name"] for feature in found["features"]} >= {"size", "origin", "region"}
    assert found["expected_loss"]["sees"] == "covariate shift only"
    assert sum(month["rows"] for month in found["months"]) == found["matured"]["rows"] == found["leads"]["since"]
    assert {segment["of"] for segment in found["segments"]} == {
        "region emea",
        "region amer",
        "partner unknown",
        "channel unknown",
    }
    assert all(np.isfinite(value) for value in stable.metrics().values())


def test_a_feature_that_moved_is_named_and_so_is_what_carries_the_classifier(champion: Bundle, tmp_path: Path) -> None:
    folder = write(tmp_path / "moved", size=lambda n: float(SIZE[n]) + (1.0 if n >= LATE else 0.0))
    report = monitor(folder, champion, CATALOGUE)
    assert report.drifts[0].name == "size"
    assert any(reason.startswith("size has moved from a mean of") for reason in report.reasons)
    assert report.domain is not None
    assert report.domain.interval[0] > 0.5
    assert report.domain.carriers[0][0] == "size"


def test_values_that_went_missing_are_named_as_missing(champion: Bundle, tmp_path: Path) -> None:
    folder = write(tmp_path / "lost", origin=lambda n: None if n >= LATE and SPARED[n] < 0.3 else str(ORIGIN[n]))
    report = monitor(folder, champion, CATALOGUE)
    assert report.verdict == "watch"
    assert any(reason.startswith("origin is missing in") and "0.0% before" in reason for reason in report.reasons)


def test_wins_that_fail_to_come_call_for_retraining(champion: Bundle, tmp_path: Path) -> None:
    folder = write(tmp_path / "fewer", won=lambda n: wins(n) and (n < 2400 or SPARED[n] < 0.5))
    report = monitor(folder, champion, CATALOGUE)
    assert report.verdict == "retrain"
    assert any(reason.startswith("won within 30 days") for reason in report.reasons)
    assert any(reason.startswith("won within 14 days") for reason in report.reasons)
    assert not any("moved" in reason or "missing" in reason for reason in report.reasons)


def test_a_lost_lead_counts_like_one_that_stays_open(
    champion: Bundle, stable: MonitoringReport, tmp_path: Path
) -> None:
    report = monitor(write(tmp_path / "open", lost=False), champion, CATALOGUE)
    assert (report.early, report.matured) == (stable.early, stable.matured)


def test_nothing_recorded_later_counts(champion: Bundle, tmp_path: Path) -> None:
    as_of = CUT - 60 * DAY
    known = monitor(write(tmp_path / "then", cut=as_of, until=as_of), champion, CATALOGUE)
    later = write(tmp_path / "now", won=lambda n: wins(n) or START + (n // A_DAY + CLOSES[n]) * DAY > as_of)
    assert monitor(later, champion, CATALOGUE, as_of).to_dict() == known.to_dict()


def test_a_champion_of_today_has_no_matured_lead_to_answer_for(champion: Bundle, tmp_path: Path) -> None:
    report = monitor(write(tmp_path / "today", cut=MADE, until=MADE), champion, CATALOGUE)
    assert report.leads["since"] == 0
    assert report.matured is None
    assert "no lead matured since the champion was made: a label needs 30 days" in report.notes


def test_few_leads_are_told_of_not_judged(champion: Bundle, tmp_path: Path) -> None:
    report = monitor(write(tmp_path / "few"), champion, CATALOGUE, days=20)
    assert (report.drifts, report.domain, report.expected) == ((), None, None)
    assert any(f"{report.leads['recent']} recent leads, 100 are needed" in note for note in report.notes)


def test_what_cannot_be_monitored_says_the_mend(champion: Bundle, tmp_path: Path) -> None:
    folder = write(tmp_path / "world")
    with pytest.raises(NothingToMonitor, match="later --as-of"):
        monitor(folder, champion, CATALOGUE, START - DAY)
    with pytest.raises(NothingToMonitor, match="train on dated leads"):
        monitor(folder, replace(champion, horizon_days=None), CATALOGUE)
    old = replace(champion, training_summary={**champion.training_summary, "cut": "2001-01-01T00:00:00Z"})
    with pytest.raises(NothingToMonitor, match="give the records of the store"):
        monitor(folder, old, CATALOGUE)


COUNTS = st.lists(st.integers(0, 500), min_size=2, max_size=12).map(np.array)


@given(counts=COUNTS, times=st.integers(1, 9))
def test_the_index_is_never_negative_symmetric_and_nought_between_equals(counts: np.ndarray, times: int) -> None:
    other = np.roll(counts, times)
    assert psi(counts, counts).sum() == 0
    assert (psi(counts, other) >= 0).all()
    assert psi(counts, other).sum() == pytest.approx(psi(other, counts).sum())


def test_the_null_mean_is_what_chance_makes_of_the_index() -> None:
    rng, shares = np.random.default_rng(1), np.full(10, 0.1)
    drawn = [psi(rng.multinomial(2000, shares), rng.multinomial(500, shares)).sum() for _ in range(2000)]
    # The index is about chi-square with 9 degrees of freedom: five standard errors, and a little for "about".
    assert np.mean(drawn) == pytest.approx(null_mean(10, 2000, 500), rel=5 * (2 / 9 / 2000) ** 0.5 + 0.03)


def test_the_expected_loss_is_the_loss_where_the_probabilities_are_true() -> None:
    rng = np.random.default_rng(2)
    probability = rng.uniform(0.01, 0.99, 200_000)
    won = (rng.random(200_000) < probability).astype(np.float64)
    assert expected_losses(probability).mean() == pytest.approx(log_loss(won, probability), abs=0.01)


@given(probability=st.floats(1e-6, 1 - 1e-6))
def test_the_expected_loss_is_the_entropy(probability: float) -> None:
    [loss], [mirrored] = expected_losses(np.array([probability])), expected_losses(np.array([1 - probability]))
    assert 0 <= loss <= np.log(2) + 1e-12
    assert loss == pytest.approx(mirrored)


@given(chances=st.lists(st.floats(0, 1), max_size=30), alpha=st.floats(0.001, 0.2))
def test_more_checks_never_make_a_check_alarming(chances: list[float], alpha: float) -> None:
    checks = [AlarmTest(p, str(place)) for place, p in enumerate(chances)]
    found = alarming(checks, alpha)
    assert all(check.p <= alpha for check in found)
    assert {*found} <= {*alarming(checks[:-1], alpha), *checks[-1:]}
    assert not found or min(chances) <= alpha / len(chances)


def test_unchanged_checks_raise_an_alarm_at_most_at_the_nominal_rate() -> None:
    rng = np.random.default_rng(3)
    alarms = [bool(alarming([AlarmTest(p, "") for p in rng.random(60)], 0.05)) for _ in range(2000)]
    assert np.mean(alarms) <= 0.05 + 5 * (0.05 * 0.95 / 2000) ** 0.5


TIMES = st.lists(st.integers(0, 1000), min_size=1, max_size=400).map(lambda days: np.sort(np.array(days)) * DAY)


@given(created=TIMES, cut=st.integers(0, 1000), age=st.integers(0, 500), days=st.integers(1, 200))
def test_no_window_of_the_past_reaches_what_came_after_the_champion(
    created: np.ndarray, cut: int, age: int, days: int
) -> None:
    found = compare_windows(created, cut * DAY, (cut + age) * DAY, days)
    assert found.time_gap_ratio >= 1
    for pair in (found.recent, *found.past):
        assert not (pair.before & pair.after).any()
    assert (created[found.recent.after] > (cut + age - days) * DAY).all()
    for pair in found.past:
        assert created[pair.before].max() < created[pair.after].min()
        assert created[pair.after].max() <= cut * DAY
        assert not (pair.after & found.recent.after).any()


def alarms(step: float, trend: float) -> float:
    """The share of features called unusual at 5 %: noise of deviation 1 with a trend over two years, then a step."""
    rng, feature = np.random.default_rng(7), EncodedFeature("size", "number")
    created = np.sort(rng.integers(0, 730 * DAY, 2300))
    found = compare_windows(created, 550 * DAY, 730 * DAY, 90)
    chances = []
    for _ in range(100):
        column = rng.normal(size=len(created)) + trend * created / (730 * DAY) + step * found.recent.after
        edges = np.quantile(column[found.recent.before], np.linspace(0, 1, 11)).tolist()
        chances.append(feature_drift(column, feature, {"deciles": edges}, found).p)
    return float(np.mean(np.array(chances) < 0.05))


@pytest.mark.parametrize("trend", [0.0, 0.3])
def test_what_moves_by_habit_raises_no_more_alarms_than_chance_and_what_jumps_does(trend: float) -> None:
    # Five standard errors of a share of 100.
    assert alarms(0.0, trend) <= 0.05 + 5 * (0.05 * 0.95 / 100) ** 0.5
    assert alarms(1.0, trend) >= 0.9


def test_of_a_feature_that_dates_a_lead_only_missing_values_are_told() -> None:
    rng, feature = np.random.default_rng(8), EncodedFeature("size", "number")
    created = np.sort(rng.integers(0, 730 * DAY, 2300))
    found = compare_windows(created, 550 * DAY, 730 * DAY, 90)
    column = created / DAY + rng.normal(size=len(created))
    seen = {"deciles": np.quantile(column[found.recent.before], np.linspace(0, 1, 11)).tolist()}
    steady = feature_drift(column, feature, seen, found)
    assert steady.dates
    assert steady.p == 1
    lost = feature_drift(
        np.where(found.recent.after & (rng.random(len(created)) < 0.4), np.nan, column), feature, seen, found
    )
    assert lost.p < 0.001
    assert lost.sentence.startswith("size is missing in")


PAST = st.lists(st.tuples(st.floats(-1, 1), st.floats(0.01, 1)), max_size=8)


@given(value=st.floats(-1, 1), more=st.floats(0, 1), error=st.floats(0.01, 1), past=PAST)
def test_more_is_never_less_strange_and_the_usual_is_not_strange_at_all(
    value: float, more: float, error: float, past: list[tuple[float, float]]
) -> None:
    assert 0 <= drift_p_value(value + more, error, past, 0.0) <= drift_p_value(value, error, past, 0.0) <= 1
    usual = float(np.mean([known for known, _ in past])) if past else 0.0
    assert drift_p_value(min(value, usual), error, past, usual) >= 0.5 - 1e-9


def test_a_bundle_that_says_from_when_it_was_judged_is_believed(champion: Bundle, tmp_path: Path) -> None:
    folder = write(tmp_path / "world")
    start = MADE - 60 * DAY
    said = replace(champion, training_summary={**champion.training_summary, "judged_from": rfc3339(start)})
    leads = monitor(folder, said, CATALOGUE).leads
    assert leads["judged"] == (60 - HORIZON) * A_DAY + 1
    assert leads["training"] == (start - HORIZON * DAY - START) // DAY * A_DAY + 1


@given(now=st.integers(0, 100), learned=st.integers(0, 100), after=st.none() | st.integers(1, 60), asked=st.booleans())
def test_retraining_is_due_by_verdict_or_schedule_and_never_on_the_same_data(
    stable: MonitoringReport, now: int, learned: int, after: int | None, asked: bool
) -> None:
    report = replace(stable, as_of=now * DAY, cut=0)
    found = retraining_reason(report, learned * DAY, by_verdict=asked, after_days=after)
    assert (found is not None) == (now > learned and after is not None and now >= after)
    belied = replace(
        report, matured=OutcomeGap(of="won", rows=900, observed=0.1, predicted=0.3, interval=(0.05, 0.15), p=1e-9)
    )
    assert belied.verdict == "retrain"
    if asked:
        assert (retraining_reason(belied, learned * DAY, by_verdict=True, after_days=None) is not None) == (
            now > learned
        )


def test_a_schedule_of_no_days_is_refused(stable: MonitoringReport) -> None:
    with pytest.raises(ValueError, match="1 or more, not 0"):
        retraining_reason(stable, 0, by_verdict=True, after_days=0)
