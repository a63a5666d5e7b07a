"""Tuning: a search for better settings of the trees inside the rolling origins; bounded in time, resumable, reported.

Optuna proposes settings (tree-structured Parzen estimator, doi 10.5555/2986459.2986743), starting with the defaults.
Each trial is fitted at each rolling origin and judged by log loss on the leads after it, calibrated like a rung. The
test window is never read. The best settings replace the defaults only where they gain more than one standard error:
otherwise a long search would pick a lucky trial.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna

from models.arrays import Reals
from models.probability import log_losses
from training.evaluation.report import TuningSummary
from training.fitting.ladder import STAGES, TreeSettings
from training.fitting.rolling_origins import RollingOrigins


@dataclass(frozen=True)
class Search:
    """How long to search, and where to keep the trials.

    Attributes:
        minutes: total time of the search, including interrupted runs on the same data; at least one trial finishes.
        path: the SQLite file of the trials; a search on the same data and seed continues there.

    Raises:
        ValueError: minutes are not positive.
    """

    minutes: float
    path: Path

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise ValueError(
                f"minutes of tuning must be positive, not {self.minutes}; leave the option out not to tune"
            )


@dataclass(frozen=True)
class Tuned:
    """The result of a search.

    Attributes:
        settings: the settings to fit trees with.
        reason: why these, in words.
        trials: finished trials in all.
    """

    settings: TreeSettings
    reason: str
    trials: int

    @property
    def summary(self) -> TuningSummary:
        """The result as reports and bundles keep it."""
        return TuningSummary(_searched_settings(self.settings), self.reason, self.trials)


NOT_TUNED = Tuned(TreeSettings(), "not tuned: the defaults", 0)


def tune(origins: RollingOrigins, search: Search, progress: Callable[[str], None]) -> Tuned:
    """Search settings of the LightGBM rung; the defaults where no trial is clearly better."""
    with _study(origins, search.path) as study:
        spent = sum(trial.duration.total_seconds() for trial in _finished(study) if trial.duration)
        left = search.minutes * 60 - spent
        if not study.trials:
            study.enqueue_trial(_searched_settings(TreeSettings()))
        if left > 0 or not _finished(study):
            study.optimize(
                partial(_loss, origins), timeout=max(left, 0.001), callbacks=[partial(_report_trial, progress)]
            )
        progress(f"tuning: {len(_finished(study))} settings tried in all")
        return _conclude(origins, study)


@contextmanager
def _study(origins: RollingOrigins, path: Path) -> Iterator[optuna.Study]:
    path.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    try:
        study = optuna.create_study(storage=storage, study_name=origins.digest, load_if_exists=True)
        # A resumed search draws new proposals: with the same seed it would repeat the proposals of its first trials.
        study.sampler = optuna.samplers.TPESampler(seed=origins.seed + len(study.trials))
        yield study
    finally:
        storage.engine.dispose()


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))


def _report_trial(progress: Callable[[str], None], study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    seconds = trial.duration.total_seconds() if trial.duration else 0.0
    progress(f"tuning: settings {trial.number + 1}, {seconds:.0f} s, best log loss {study.best_value:.4f}")


def _loss(origins: RollingOrigins, trial: optuna.Trial) -> float:
    settings = TreeSettings(
        depth=trial.suggest_int("depth", 2, 6),
        leaves=trial.suggest_int("leaves", 4, 32),
        learning_rate=trial.suggest_float("learning_rate", 0.01, 0.1, log=True),
        fewest_rows_in_leaf=trial.suggest_int("fewest_rows_in_leaf", 10, 400, log=True),
        l2=trial.suggest_float("l2", 0.5, 100.0, log=True),
        feature_share=trial.suggest_float("feature_share", 0.2, 1.0),
    )
    return float(log_losses(origins.won, _probability(origins, settings)).mean())


def _searched_settings(settings: TreeSettings) -> dict[str, Any]:
    """The searched settings, by name."""
    names = ("depth", "leaves", "learning_rate", "fewest_rows_in_leaf", "l2", "feature_share")
    return {name: getattr(settings, name) for name in names}


def _probability(origins: RollingOrigins, settings: TreeSettings) -> Reals:
    """Calibrated out-of-time probabilities with these settings and their best number of trees."""
    staged = [origins.tree_margins(fold, settings) for fold in origins.folds]
    by_stage = [origins.calibrated([margins[stage] for margins in staged]) for stage in STAGES]
    return min(by_stage, key=lambda probability: float(log_losses(origins.won, probability).mean()))


def _conclude(origins: RollingOrigins, study: optuna.Study) -> Tuned:
    """The best settings where they gain more than one clustered standard error, else the defaults."""
    default, best = TreeSettings(), TreeSettings(**study.best_params)
    trials = len(_finished(study))
    if best == default:
        return Tuned(default, f"the defaults did best of {trials} settings", trials)
    before, after = (log_losses(origins.won, _probability(origins, settings)) for settings in (default, best))
    gain, error = before - after, origins.bootstrap.standard_error(before - after)
    words = f"the best of {trials} settings lose {gain.mean():.4f} nats a lead less than the defaults out of time"
    if gain.mean() > error:
        return Tuned(best, f"{words}, more than the standard error of {error:.4f}", trials)
    return Tuned(default, f"{words}, not more than the standard error of {error:.4f}: the defaults stay", trials)
