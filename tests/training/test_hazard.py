"""The hazard: incidences that add up, soft labels near the truth, nothing from later, and a challenge that must win."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.value_types import DAY
from models.encoding import EncodedFeature, Encoding
from training.data.rows import Rows
from training.data.snapshots import NEVER
from training.data.splits import Fold, Split
from training.fitting.immature_snapshots import Cohort, soft_labels, try_soft_labels, with_immature_rows
from training.fitting.ladder import fit_logistic
from training.fitting.model_selection import Choice
from training.fitting.rolling_origins import RollingOrigins
from training.fitting.tuning import NOT_TUNED
from training.hazard import (
    CURVE,
    PERIODS,
    FollowUp,
    Hazard,
    Incidence,
    KnownOutcomes,
    UntrustedHazard,
    aalen_johansen,
    curve_metrics,
    fit_hazard,
    read_hazard,
)
from training.hazard.follow_up import LOST, OPEN, WON
from training.hazard.incidence import PersonPeriods, periods_for
from training.hazard.model import HazardData

CUT = 20_000 * DAY
SPAN, LEADS, HORIZON = 700, 2500, 90
WIN, LOSE = 0.003, 0.006
"""Chances a day of being won, where the feature is 0, and of being lost."""
ENCODING = Encoding((EncodedFeature("x", "number"), EncodedFeature("lead_age_days", "number")))


def quiet(_words: str) -> None:
    """Progress that nobody watches."""


def cohort(seed: int = 0, effect: float = 1.0, late: int = 0, leads: int = LEADS) -> Cohort:
    """Leads of even creation, two an account, with constant chances a day; seen at creation and then monthly twice.

    As their chances do not change with age, P(won within H | x, open) is the same at any moment (`truth`).
    """
    rng = np.random.default_rng(seed)
    created = CUT - (rng.random(leads) * SPAN * DAY).astype(np.int64)
    x = rng.normal(size=leads)
    rate = WIN * np.exp(effect * x)
    close = created + (rng.exponential(1 / (rate + LOSE)) * DAY).astype(np.int64)
    won = rng.random(leads) < rate / (rate + LOSE)
    known = close + (rng.random(leads) * late * DAY).astype(np.int64)
    lead, month = (each.ravel() for each in np.meshgrid(np.arange(leads), np.arange(3), indexing="ij"))
    as_of = created[lead] + month * 28 * DAY
    kept = (as_of < CUT) & ((month == 0) | (as_of < known[lead]))
    lead, month, as_of = lead[kept], month[kept], as_of[kept]
    weight = 1 / (1 + 4 * month)
    cluster = np.array([f"A{n // 2}" for n in lead.tolist()])
    follow_up = FollowUp(
        as_of=as_of,
        created=created[lead],
        closed_at=close[lead],
        known_at=known[lead],
        won=won[lead],
        cluster=cluster,
        weight=weight,
    )
    label = (won[lead] & (close[lead] <= as_of + HORIZON * DAY)).astype(np.float64)
    matrix = np.column_stack([x[lead], 28.0 * month])
    return Cohort(
        rows=Rows(matrix=matrix, won=label, weight=weight, at_creation=month == 0),
        follow_up=follow_up,
        encoding=ENCODING,
        directions=(0, 0),
        horizon_days=HORIZON,
    )


def truth(found: Cohort, days: float = HORIZON, effect: float = 1.0) -> np.ndarray:
    rate: np.ndarray = WIN * np.exp(effect * found.rows.matrix[:, 0])
    value: np.ndarray = rate / (rate + LOSE) * (1 - np.exp(-(rate + LOSE) * days))
    return value


def rolling(found: Cohort) -> Split:
    """Origins 400, 300 and 200 days before the cut; what was made in the last 200 days is left for the test."""
    as_of = found.follow_up.as_of
    moments = [CUT - days * DAY for days in (400, 300, 200)]
    ends = [*moments[1:], CUT - 100 * DAY]
    created = found.rows.at_creation
    folds = tuple(
        Fold(
            np.flatnonzero(as_of + HORIZON * DAY <= start),
            np.flatnonzero(created & (as_of >= start) & (as_of < end)),
        )
        for start, end in zip(moments, ends, strict=True)
    )
    return Split(folds[-1].fit, folds[-1].judge, folds, "by time")


def origins_of(found: Cohort) -> RollingOrigins:
    return RollingOrigins.of(found.rows, ENCODING, (0, 0), rolling(found).folds, found.follow_up.cluster, 0)


def chosen(origins: RollingOrigins) -> Choice:
    """The logistic rung as it does at the origins without soft labels."""
    margins = []
    for fold in origins.folds:
        fitted = fit_logistic(origins.rows.take(fold.fit), ENCODING, (0, 0), 0.1)
        margins.append(fitted.contributions(origins.rows.matrix[origins.scored_rows(fold)]).sum(axis=1))
    return Choice(
        rung="logistic",
        reason="chosen by the test",
        settings={"strength": 0.1},
        tuned=NOT_TUNED,
        intercept_sample=origins.intercept_sample,
        margins=tuple(margins),
    )


@pytest.fixture(scope="module")
def world() -> Cohort:
    return cohort()


@pytest.fixture(scope="module")
def hazard(world: Cohort) -> Hazard:
    found = fit_hazard(world.rows.matrix, world.follow_up, CUT, PERIODS, ENCODING, 0)
    assert found is not None
    return found


shares = st.floats(0, 1, allow_subnormal=False)


@given(st.lists(st.tuples(shares, shares, shares), min_size=len(PERIODS), max_size=len(PERIODS)), st.floats(0, 180))
def test_won_lost_and_open_are_all_there_is_and_no_incidence_falls(
    drawn: list[tuple[float, float, float]], day: float
) -> None:
    parts = np.array(drawn) + np.array([1e-3, 0, 0])
    hazards = (parts / parts.sum(axis=1, keepdims=True))[None, :, 1:]
    found = Incidence.of(hazards, PERIODS)
    stays = np.prod(1 - hazards.sum(axis=2), axis=1)
    assert found.won[:, -1] + found.lost[:, -1] + stays == pytest.approx(1)
    assert (np.diff(found.won) >= 0).all()
    assert (np.diff(found.lost) >= 0).all()
    assert -1e-12 <= found.won_by(day)[0] <= found.won_by(180.0)[0] + 1e-12
    assert -1e-9 <= found.open_at(day)[0] <= 1 + 1e-9
    curve = found.curve()
    assert (np.diff(curve.won) >= -1e-12).all()
    assert -1e-9 <= curve.expected_days[0] <= 180 + 1e-9


def test_the_expected_days_are_where_all_wins_are() -> None:
    """Wins spread evenly over days 90 to 120 close on day 105 on average."""
    hazards = np.zeros((1, len(PERIODS), 2))
    hazards[0, PERIODS.index(120), 0] = 0.4
    assert Incidence.of(hazards, PERIODS).curve().expected_days == pytest.approx(105)


def test_a_day_beyond_the_last_period_is_refused() -> None:
    found = Incidence.of(np.zeros((1, len(PERIODS), 2)), PERIODS)
    with pytest.raises(ValueError, match="known from 0 to 180 days"):
        found.won_by(181.0)


def test_a_horizon_of_its_own_is_a_period() -> None:
    assert periods_for(90) == PERIODS
    assert 45 in periods_for(45)
    assert periods_for(365)[-1] == 365


closes = st.tuples(st.sampled_from([OPEN, WON, LOST]), st.floats(0, 400), st.floats(0, 400))


@given(st.lists(closes, min_size=1, max_size=20))
def test_a_snapshot_has_a_row_for_every_period_it_was_watched_in_until_its_close(
    drawn: list[tuple[int, float, float]],
) -> None:
    event, days, watched = (np.array(column) for column in zip(*drawn, strict=True))
    days = np.where(event == OPEN, watched, np.minimum(days, watched))
    rows = PersonPeriods.of(KnownOutcomes(event, days, watched), PERIODS)
    for row in range(len(event)):
        own = rows.take(rows.row == row)
        ends = np.array(PERIODS)[own.period]
        assert own.period.tolist() == list(range(len(own)))
        assert (ends <= watched[row]).all()
        assert (own.event[:-1] == OPEN).all()
        closed = event[row] != OPEN and len(own) > 0 and days[row] <= ends[-1]
        assert own.event[-1:].tolist() == ([event[row] if closed else OPEN] if len(own) else [])


def test_without_censoring_the_incidence_is_the_share_won() -> None:
    world = cohort()
    old = world.follow_up.take(world.rows.at_creation & (world.follow_up.as_of <= CUT - 180 * DAY))
    known = old.known_by(CUT)
    found = aalen_johansen(known, old.weight, PERIODS)
    for days in PERIODS:
        assert found.won_by(float(days))[0] == pytest.approx(((known.event == WON) & (known.days <= days)).mean())


def test_without_features_the_hazard_is_that_of_aalen_and_johansen() -> None:
    world = cohort()
    created = np.flatnonzero(world.rows.at_creation)
    follow_up, nothing = world.follow_up.take(created), Encoding(())
    found = fit_hazard(np.zeros((len(created), 0)), follow_up, CUT, PERIODS, nothing, 0)
    assert found is not None
    everyone = aalen_johansen(follow_up.known_by(CUT), follow_up.weight, PERIODS)
    own = found.incidence(np.zeros((1, 0)))
    assert own.won == pytest.approx(everyone.won, abs=2e-3)
    assert own.lost == pytest.approx(everyone.lost, abs=2e-3)


def test_the_curve_is_near_the_truth_and_better_than_no_feature(world: Cohort, hazard: Hazard) -> None:
    curve = hazard.curve(world.rows.matrix)
    assert curve.days == CURVE
    for column, days in enumerate(CURVE):
        true = truth(world, days)
        error = np.abs(curve.won[:, column] - true).mean()
        assert error < 0.5 * np.abs(true - true.mean()).mean(), days
        assert curve.won[:, column].mean() == pytest.approx(true.mean(), rel=0.15)


def test_the_files_of_a_hazard_are_the_hazard_and_a_flipped_byte_is_refused(world: Cohort, hazard: Hazard) -> None:
    files = dict(hazard.files)
    again = read_hazard(files)
    few = world.rows.matrix[:50]
    assert again.hazards(few).tolist() == hazard.hazards(few).tolist()
    text = files["hazard.txt"]
    with pytest.raises(UntrustedHazard, match="is not the file"):
        read_hazard({**files, "hazard.txt": text[:-2] + b"x\n"})
    with pytest.raises(UntrustedHazard, match="cannot be read"):
        read_hazard({"hazard.txt": text})


def test_too_few_wins_make_no_hazard(world: Cohort) -> None:
    never = replace(world.follow_up, won=np.zeros(len(world.follow_up), dtype=bool))
    assert fit_hazard(world.rows.matrix, never, CUT, PERIODS, ENCODING, 0) is None


def test_soft_labels_are_probabilities_and_as_many_as_come_true() -> None:
    """The horizon of these snapshots ends after the moment; what came of them afterwards is known to us alone."""
    world, moment = cohort(3), CUT - 100 * DAY
    young = world.immature(moment)
    halves = world.hazard_data(moment).cross_fit(world.follow_up.cluster, 0)
    known = world.follow_up.take(young).known_by(moment)
    q = soft_labels(known, halves.incidence(world.rows.matrix, young), HORIZON)
    assert ((q >= 0) & (q <= 1)).all()
    assert (q[known.event == WON] == 1).all()
    assert (q[known.event == LOST] == 0).all()
    still = known.event == OPEN
    rest = HORIZON - known.days[still]
    true = truth(replace(world, rows=world.rows.take(young), follow_up=world.follow_up.take(young)))
    assert q[still].mean() == pytest.approx(
        np.mean([truth_of(x, days) for x, days in zip(world.rows.matrix[young][still, 0], rest, strict=True)]),
        rel=0.2,
    )
    assert np.corrcoef(q[still], true[still])[0, 1] > 0.5
    assert q.mean() == pytest.approx(world.rows.won[young].mean(), abs=0.03)


def truth_of(x: float, days: float) -> float:
    rate = WIN * np.exp(x)
    return float(rate / (rate + LOSE) * (1 - np.exp(-(rate + LOSE) * days)))


def test_soft_rows_weigh_what_their_snapshots_weigh(world: Cohort) -> None:
    moment = CUT - 100 * DAY
    complete = np.flatnonzero(world.follow_up.as_of + HORIZON * DAY <= moment)
    found = with_immature_rows(world, complete, moment, 0)
    young = world.immature(moment)
    assert found.weight.sum() == pytest.approx(world.rows.weight[complete].sum() + world.rows.weight[young].sum())
    assert found.won[: len(complete)].tolist() == world.rows.won[complete].tolist()
    assert not found.at_creation[len(complete) :].any()
    assert set(found.won.tolist()) == {0.0, 1.0}
    assert (found.weight > 0).all()


def test_nothing_that_comes_after_the_moment_changes_a_soft_label(world: Cohort) -> None:
    moment = CUT - 200 * DAY
    follow_up = world.follow_up
    later = np.maximum(follow_up.closed_at, follow_up.known_at) > moment
    spoilt = replace(
        follow_up,
        closed_at=np.where(later, NEVER, follow_up.closed_at),
        known_at=np.where(later, NEVER, follow_up.known_at),
        won=np.where(later, ~follow_up.won, follow_up.won),
    )
    complete = np.flatnonzero(follow_up.as_of + HORIZON * DAY <= moment)
    ours, theirs = (with_immature_rows(each, complete, moment, 0) for each in (world, replace(world, follow_up=spoilt)))
    assert ours.weight.tolist() == theirs.weight.tolist()
    assert ours.won.tolist() == theirs.won.tolist()
    assert ours.matrix.tolist() == theirs.matrix.tolist()


def test_watching_ends_before_the_moment_by_as_long_as_recording_takes() -> None:
    late = cohort(late=20)
    lag = late.follow_up.lag(CUT)
    assert 17 * DAY < lag <= 20 * DAY
    assert late.follow_up.known_by(CUT).watched.max() <= (CUT - lag - late.follow_up.as_of.min()) / DAY
    assert cohort().follow_up.lag(CUT) == 0
    known = late.follow_up.known_by(CUT)
    expected = truth(late).mean()
    found = aalen_johansen(known, late.follow_up.weight, PERIODS).won_by(float(HORIZON))[0]
    assert found == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("most", [100, 3000, 10_000])
def test_where_there_are_too_many_rows_later_landmarks_go_first(world: Cohort, most: int) -> None:
    found = HazardData.of(world.rows.matrix, world.follow_up, CUT, PERIODS, ENCODING, most)
    assert len(found.rows) <= most
    ages = set(world.rows.matrix[found.rows.row, 1].tolist())
    assert ages == {0.0, 28.0, 56.0} & set(np.arange(0, 28 * len(ages), 28.0))


def test_the_base_rate_is_not_challenged(world: Cohort) -> None:
    origins = origins_of(world)
    choice = replace(chosen(origins), rung="base_rate")
    found = try_soft_labels(world, origins, choice, quiet)
    assert not found.used
    assert found.reason == "not tried: the base_rate rung counts whole leads"
    assert found.margins is choice.margins


def test_soft_labels_that_gain_nothing_are_refused_and_the_reason_has_the_figures() -> None:
    """Where no feature tells anything, neither do labels made of features."""
    noise = cohort(1, effect=0.0)
    origins = origins_of(noise)
    choice = chosen(origins)
    found = try_soft_labels(noise, origins, choice, quiet)
    assert found.gain is not None
    assert found.error is not None
    assert abs(found.gain) < 0.002
    assert found.used == (found.gain > found.error)
    assert f"{abs(found.gain):.4f} nats a lead" in found.reason
    assert f"standard error of {found.error:.4f}" in found.reason
    assert (found.margins is choice.margins) != found.used


def test_few_wins_known_by_an_origin_are_not_labelled_with(world: Cohort) -> None:
    unknown = replace(world.follow_up, known_at=np.full(len(world.follow_up), NEVER))
    origins = origins_of(world)
    found = try_soft_labels(replace(world, follow_up=unknown), origins, chosen(origins), quiet)
    assert not found.used
    assert found.reason == "not tried: only 0 wins were known by a rolling origin, 10 are needed"


def test_the_figures_stand_beside_the_incidence_without_features(world: Cohort) -> None:
    moment = CUT - 200 * DAY
    own = fit_hazard(world.rows.matrix, world.follow_up, moment, PERIODS, ENCODING, 0)
    assert own is not None
    judge = np.flatnonzero(world.rows.at_creation & (world.follow_up.as_of >= moment))
    found = {row.days: row for row in curve_metrics(own, world.rows.matrix, world.follow_up, judge, moment, CUT)}
    assert set(found) == set(CURVE)
    for days, row in found.items():
        assert row.rows == (world.follow_up.as_of[judge] + days * DAY <= CUT).sum()
        assert row.constant == pytest.approx(truth(world, days).mean(), rel=0.2)
    assert found[90].log_loss < found[90].log_loss_constant


def test_columns_of_a_follow_up_are_of_one_length(world: Cohort) -> None:
    with pytest.raises(ValueError, match="of one length"):
        replace(world.follow_up, won=world.follow_up.won[:-1])
