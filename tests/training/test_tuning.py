"""Tuning: bounded, resumable, and the defaults in doubt."""

from pathlib import Path

import numpy as np
import pytest

from models.encoding import EncodedFeature, Encoding
from models.probability import sigmoid
from training.data.rows import Rows
from training.data.splits import Fold
from training.fitting.ladder import TreeSettings
from training.fitting.model_selection import choose
from training.fitting.rolling_origins import RollingOrigins
from training.fitting.tuning import Search, tune

ENCODING = Encoding((EncodedFeature("a", "number"), EncodedFeature("b", "number")))
ROWS = 500


def origins(seed: int = 0) -> RollingOrigins:
    """Two origins; what is won depends on the first feature's sign."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(ROWS, 2))
    won = (rng.random(ROWS) < sigmoid(2 * np.sign(matrix[:, 0]) - 0.5)).astype(float)
    rows = Rows(matrix=matrix, won=won, weight=np.ones(ROWS), at_creation=np.ones(ROWS, dtype=bool))
    folds = (Fold(np.arange(250), np.arange(250, 375)), Fold(np.arange(375), np.arange(375, ROWS)))
    return RollingOrigins.of(rows, ENCODING, (0, 0), folds, np.arange(ROWS).astype(str), seed)


def silent(_words: str) -> None:
    pass


def test_time_bounds_the_search_and_every_trial_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    tuned = tune(origins(), Search(0.02, tmp_path / "tuning.db"), told.append)
    assert tuned.trials >= 1
    assert sum("settings" in words and "best log loss" in words for words in told) == tuned.trials


def test_a_search_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "tuning.db"
    first = tune(origins(), Search(0.0001, path), silent)
    again = tune(origins(), Search(0.0001, path), silent)
    more = tune(origins(), Search(0.05, path), silent)
    assert again == first
    assert more.trials > first.trials


def test_other_data_is_another_search(tmp_path: Path) -> None:
    path = tmp_path / "tuning.db"
    tune(origins(), Search(0.03, path), silent)
    assert tune(origins(1), Search(0.0001, path), silent).trials == 1


def test_the_defaults_are_tried_first_and_stay_in_doubt(tmp_path: Path) -> None:
    tuned = tune(origins(), Search(0.0001, tmp_path / "tuning.db"), silent)
    assert tuned.settings == TreeSettings()
    assert tuned.reason == "the defaults did best of 1 settings"


def test_what_was_found_is_what_trees_are_fitted_with(tmp_path: Path) -> None:
    found = origins()
    tuned = tune(found, Search(0.03, tmp_path / "tuning.db"), silent)
    choice = choose(found, found.rows.won, silent, tuned)
    assert choice.tuned == tuned
    assert choice.rung != "base_rate"


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
def test_minutes_must_be_positive(minutes: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="minutes of tuning must be positive"):
        Search(minutes, tmp_path / "tuning.db")
