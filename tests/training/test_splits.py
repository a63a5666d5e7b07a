"""Splits: no training label reaches into the time, the order or the group that judges it."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.value_types import DAY
from training.data.snapshots import NEVER, WEEK, NothingToLearn, Snapshots
from training.data.splits import ORIGINS, Split, split

patient = settings(deadline=None)


def dated(days: Sequence[int], weeks: Sequence[int], horizon_days: int | None) -> Snapshots:
    """Leads created on `days`, each seen at creation and on so many weeks after."""
    rows = [(f"L{n}", day * DAY, day * DAY + week * WEEK) for n, day in enumerate(days) for week in range(weeks[n] + 1)]
    lead_id, created, as_of = (np.array(column) for column in zip(*rows, strict=True))
    return Snapshots(
        lead_id=lead_id,
        as_of=as_of,
        created=created,
        at_creation=as_of == created,
        cluster=lead_id,
        won=np.zeros(len(rows), dtype=bool),
        weight=np.ones(len(rows)),
        order=None,
        dated=True,
        horizon_days=horizon_days,
        cut=2000 * DAY,
        expected_amount=None,
        segment_amounts={},
        closed_at=np.full(len(rows), NEVER),
        known_at=np.full(len(rows), NEVER),
        won_ever=np.zeros(len(rows), dtype=bool),
    )


def undated(order: Sequence[int] | None, clusters: Sequence[str]) -> Snapshots:
    count = len(clusters)
    same = np.full(count, 2000 * DAY)
    return Snapshots(
        lead_id=np.array([f"L{n}" for n in range(count)]),
        as_of=same,
        created=same,
        at_creation=np.ones(count, dtype=bool),
        cluster=np.array(clusters),
        won=np.zeros(count, dtype=bool),
        weight=np.ones(count),
        order=None if order is None else np.array(order),
        dated=False,
        horizon_days=None,
        cut=2000 * DAY,
        expected_amount=None,
        segment_amounts={},
        closed_at=np.full(count, NEVER),
        known_at=np.full(count, NEVER),
        won_ever=np.zeros(count, dtype=bool),
    )


def divided(snapshots: Snapshots) -> Split | None:
    try:
        return split(snapshots)
    except NothingToLearn:
        return None


worlds = st.lists(st.tuples(st.integers(0, 600), st.integers(0, 5)), min_size=1, max_size=60)


@patient
@given(worlds, st.sampled_from([None, 1, 30, 90]))
def test_every_training_label_is_complete_before_the_window_that_judges_it(
    leads: list[tuple[int, int]], horizon_days: int | None
) -> None:
    snapshots = dated([day for day, _ in leads], [weeks for _, weeks in leads], horizon_days)
    found = divided(snapshots)
    if found is None:
        return
    purge = (horizon_days or 0) * DAY
    judged = [(found.train, found.test), *((fold.fit, fold.judge) for fold in found.folds)]
    for fit, judge in judged:
        if len(fit) and len(judge):
            start = snapshots.as_of[judge].min()
            assert snapshots.as_of[fit].max() + purge <= start
            assert snapshots.as_of[fit].max() < start
        assert snapshots.at_creation[judge].all()


@patient
@given(worlds, st.sampled_from([None, 30]))
def test_rolling_origins_lie_inside_the_training_rows_and_judge_each_lead_once(
    leads: list[tuple[int, int]], horizon_days: int | None
) -> None:
    found = divided(dated([day for day, _ in leads], [weeks for _, weeks in leads], horizon_days))
    if found is None:
        return
    judged = np.concatenate([fold.judge for fold in found.folds])
    assert len(np.unique(judged)) == len(judged)
    assert set(judged) <= set(found.train)
    assert not set(found.train) & set(found.test)


def test_the_last_quarter_by_creation_is_the_test() -> None:
    snapshots = dated(range(400), [0] * 400, 90)
    found = split(snapshots)
    assert (snapshots.as_of[found.test] // DAY).tolist() == list(range(300, 400))
    assert (snapshots.as_of[found.train] // DAY).tolist() == list(range(211))
    assert len(found.folds) == len(ORIGINS)
    assert found.how == "the last 25 % by creation, purged by 90 days"


def test_leads_of_one_day_are_never_on_both_sides() -> None:
    snapshots = dated([0] * 30 + [1] * 70, [0] * 100, None)
    found = split(snapshots)
    assert sorted([*found.train, *found.test]) == list(range(100))
    assert (len(found.train), len(found.test)) == (30, 70)


@patient
@given(st.lists(st.integers(0, 40), min_size=2, max_size=80))
def test_an_ordered_export_is_tested_on_its_last_rows(order: list[int]) -> None:
    snapshots = undated(order, [f"C{n}" for n in range(len(order))])
    found = divided(snapshots)
    if found is None:
        assert len(set(order)) == 1 or np.quantile(order, 0.7, method="higher") == min(order)
        return
    assert snapshots.order is not None
    assert sorted([*found.train, *found.test]) == list(range(len(order)))
    assert snapshots.order[found.train].max() < snapshots.order[found.test].min()
    for fold in found.folds:
        if len(fold.fit) and len(fold.judge):
            assert snapshots.order[fold.fit].max() < snapshots.order[fold.judge].min()


@patient
@given(st.lists(st.sampled_from([f"client {n}" for n in range(15)]), min_size=2, max_size=80))
def test_without_any_order_groups_stay_together_wherever_their_rows_stand(clusters: list[str]) -> None:
    found = divided(undated(None, clusters))
    if found is None:
        return
    trained, tested = ({clusters[row] for row in rows} for rows in (found.train, found.test))
    assert not trained & tested
    assert trained | tested == set(clusters)
    turned = divided(undated(None, clusters[::-1]))
    assert turned is not None
    assert {clusters[::-1][row] for row in turned.test} == tested


@patient
@given(st.lists(st.sampled_from([f"client {n}" for n in range(15)]), min_size=2, max_size=80))
def test_without_any_order_every_row_is_judged_three_times_by_models_that_never_saw_its_group(
    clusters: list[str],
) -> None:
    found = divided(undated(None, clusters))
    if found is None:
        return
    assert found.judged_by == "3 times 5-fold cross-validation by group"
    assert sorted(np.concatenate([fold.judge for fold in found.folds])) == sorted([*found.train] * 3)
    for fold in found.folds:
        assert not {clusters[row] for row in fold.fit} & {clusters[row] for row in fold.judge}
        assert sorted([*fold.fit, *fold.judge]) == [*found.train]


def test_the_share_of_the_test_is_about_thirty_percent_where_times_are_missing() -> None:
    by_order = split(undated(list(range(1000)), [str(n) for n in range(1000)]))
    by_group = split(undated(None, [str(n) for n in range(1000)]))
    assert len(by_order.test) == 300
    assert len(by_group.test) == pytest.approx(300, abs=1)


@pytest.mark.parametrize(
    ("snapshots", "says"),
    [
        (dated(range(90), [0] * 90, 90), "purged by 90 days, is set aside .* shorter horizon"),
        (dated([5] * 50, [0] * 50, None), "the last 25 % by creation"),
        (undated(None, ["one client"] * 50), "30 % of the groups; no order is known, is set aside"),
        (undated([1] * 50, [str(n) for n in range(50)]), "the last 30 % by order"),
    ],
)
def test_a_history_too_short_to_test_on_is_said(snapshots: Snapshots, says: str) -> None:
    with pytest.raises(NothingToLearn, match=says):
        split(snapshots)
