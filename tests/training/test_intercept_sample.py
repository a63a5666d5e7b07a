"""The level: the latest leads say how often leads close where they foretold better, else all of them do."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.data.rows import Rows
from training.data.splits import Fold
from training.fitting.intercept_sample import LATEST_SHARE, InterceptSample, intercept_leads, select_intercept_sample

LEADS = 2000


def rows_of(chance: np.ndarray, seed: int = 0, ordered: bool = True) -> Rows:
    """Leads at creation, in the order of time, won by these chances."""
    won = (np.random.default_rng(seed).random(len(chance)) < chance).astype(float)
    created = np.ones(len(won), dtype=bool)
    return Rows(
        matrix=np.zeros((len(won), 1)),
        won=won,
        weight=np.ones(len(won)),
        at_creation=created,
        position=np.arange(len(won)) * 1.0 if ordered else None,
    )


def found(rows: Rows) -> InterceptSample:
    everything = np.arange(len(rows.won))
    bounds = [len(everything) * part // 10 for part in (4, 6, 8, 10)]
    folds = [Fold(everything[:start], everything[start:end]) for start, end in pairwise(bounds)]
    return select_intercept_sample(rows, folds, everything.astype(str), 0)


def test_where_shares_won_fall_the_latest_tell_more() -> None:
    assert found(rows_of(np.linspace(0.6, 0.1, LEADS))) == "latest"


def test_where_they_stay_all_leads_count() -> None:
    latest = sum(found(rows_of(np.full(LEADS, 0.3), seed)) == "latest" for seed in range(100))
    assert latest <= 8


def test_what_nothing_orders_has_no_latest() -> None:
    assert found(rows_of(np.linspace(0.6, 0.1, LEADS), ordered=False)) == "all"


def test_without_origins_all_leads_count() -> None:
    assert select_intercept_sample(rows_of(np.full(10, 0.5)), [], np.arange(10).astype(str), 0) == "all"


@given(st.permutations(range(40)), st.integers(1, 40))
def test_the_latest_are_the_last_quarter_at_least_and_at_creation(order: list[int], learned: int) -> None:
    place = np.array(order, dtype=float)
    at_creation = place % 2 == 0
    rows = Rows(matrix=np.zeros((40, 1)), won=np.zeros(40), weight=np.ones(40), at_creation=at_creation, position=place)
    among = np.arange(learned)
    every, latest = intercept_leads(rows, among, "all"), intercept_leads(rows, among, "latest")
    assert every.tolist() == among[at_creation[among]].tolist()
    assert set(latest) <= set(every)
    assert len(latest) >= LATEST_SHARE * len(every)
    assert not len(latest) or place[latest].min() >= place[np.setdiff1d(every, latest)].max(initial=-1)
