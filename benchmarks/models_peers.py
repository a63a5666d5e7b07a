"""The peers of the ladder, each with the defaults of its library and without calibration, the usual way to use it.

Every peer gets the same rows and features as `training.fitting.trainer.train`, and predicts the same test leads.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from models.arrays import Integers, Matrix, Reals
from models.encoding import EncodedFeature
from models.probability import sigmoid
from training.data.rows import MIN_ROWS_FOR_THREADS

MAX_THREADS = 2
STRENGTHS = tuple(10.0**power for power in range(-4, 3))
"""The candidates for C of scikit-learn's logistic regression."""
_BINS = 10
_ADDED_COUNT = 0.1
WON, LOST = 1, 2


@dataclass(frozen=True)
class LeadFollowUp:
    """The state of the training leads at the start of the test window.

    Attributes:
        event: 0 for open, 1 for won, 2 for lost.
        days: days from the moment of the row to the close, or to the start of the window.
        horizon: days within which a win counts.
    """

    event: Integers
    days: Reals
    horizon: int


@dataclass(frozen=True, kw_only=True)
class Task:
    """The task of every peer.

    Attributes:
        features: the features of the columns; a category is coded by the position of its level, missing is NaN.
        train: the training rows.
        won: the outcomes of the training rows, 0 or 1.
        test: the test rows.
        folds: the rolling origins, as positions of training rows to fit on and to evaluate on.
        follow_up: the follow-up of the training leads; None if leads or closes are undated.
        seed: the random seed.
    """

    features: Sequence[EncodedFeature]
    train: Matrix
    won: Reals
    test: Matrix
    folds: Sequence[tuple[Integers, Integers]]
    follow_up: LeadFollowUp | None
    seed: int

    @property
    def threads(self) -> int:
        """The number of threads; small data are faster with one."""
        return MAX_THREADS if len(self.train) >= MIN_ROWS_FOR_THREADS else 1

    @property
    def categories(self) -> list[int]:
        """The columns of the categories."""
        return [column for column, feature in enumerate(self.features) if feature.kind == "category"]

    def frame(self, matrix: Matrix) -> pd.DataFrame:
        """A data frame with categorical columns."""
        return pd.DataFrame({f"x{j}": self._column(matrix, j) for j in range(len(self.features))})

    def _column(self, matrix: Matrix, column: int) -> Any:
        if column not in self.categories:
            return matrix[:, column]
        codes = np.where(np.isnan(matrix[:, column]), -1, matrix[:, column]).astype(int)
        return pd.Categorical.from_codes(codes.tolist(), categories=pd.Index(self.features[column].levels))


Peer: TypeAlias = Callable[[Task], Reals]


def logistic(task: Task) -> Reals:
    """Scikit-learn's logistic regression: standardised numbers, one-hot categories, indicators of missing values.

    The rolling origins choose C. If no origin has wins to fit on, C has its default.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    categories = task.categories
    numbers = [column for column in range(len(task.features)) if column not in categories]
    number = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    design = ColumnTransformer(
        [("number", number, numbers), ("category", OneHotEncoder(handle_unknown="ignore"), categories)]
    )
    model = make_pipeline(design, LogisticRegression(max_iter=2000))
    folds = [fold for fold in task.folds if all(len(np.unique(task.won[side])) == 2 for side in fold)]
    grid = {"logisticregression__C": STRENGTHS}
    search = GridSearchCV(model, grid, cv=folds, scoring="neg_log_loss") if folds else model
    with warnings.catch_warnings():
        # A column without any value in an early origin is rightly left out of that fit.
        warnings.filterwarnings("ignore", "Skipping features without any observed values")
        return np.asarray(search.fit(task.train, task.won).predict_proba(task.test)[:, 1])


def naive_bayes(task: Task) -> Reals:
    """Odoo's predictive lead scoring: the prior times count / total for each value, with .1 added to each count.

    Missing and unknown values are left out. Odoo does not use numbers, so they are binned into tenths. As in Odoo, the
    result is a percentage with two decimals, from .01 to 99.99.
    """
    wins = task.won.sum()
    odds = np.full(len(task.test), np.log(wins + _ADDED_COUNT) - np.log(len(task.won) - wins + _ADDED_COUNT))
    for column, feature in enumerate(task.features):
        train, test = task.train[:, column], task.test[:, column]
        if feature.kind == "number":
            edges = np.unique(np.nanquantile(train, np.linspace(0, 1, _BINS + 1)[1:-1]))
            train, test = (np.where(np.isnan(c), np.nan, np.digitize(c, edges)) for c in (train, test))
        odds += _log_likelihood_ratio(train, task.won, test)
    return np.clip(np.round(np.asarray(sigmoid(odds)), 4), 0.0001, 0.9999)


def _log_likelihood_ratio(train: Reals, won: Reals, test: Reals) -> Reals:
    """The log of the likelihood ratio of won to lost for each test value; 0 for missing and unknown values."""
    present = ~np.isnan(train)
    codes = train[present].astype(int)
    size = int(np.nanmax(np.append(test, codes), initial=0)) + 1
    counts = [np.bincount(codes, weights=weight[present], minlength=size) for weight in (won, 1 - won)]
    seen = counts[0] + counts[1] > 0
    added = [np.where(seen, count + _ADDED_COUNT, 1.0) for count in counts]
    ratio = np.log(added[0] / added[0][seen].sum()) - np.log(added[1] / added[1][seen].sum())
    missing = np.isnan(test)
    return np.where(missing, 0.0, np.where(seen, ratio, 0.0)[np.where(missing, 0, test).astype(int)])


def lightgbm(task: Task) -> Reals:
    """LightGBM with its defaults and native categories."""
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(random_state=task.seed, n_jobs=task.threads, verbose=-1)
    fitted = model.fit(task.frame(task.train), task.won)
    return np.asarray(fitted.predict_proba(task.frame(task.test)))[:, 1]


def catboost(task: Task) -> Reals:
    """CatBoost with its defaults and native categories; a missing category is a level."""
    from catboost import CatBoostClassifier

    def with_missing_level(matrix: Matrix) -> pd.DataFrame:
        frame = task.frame(matrix)
        return frame.assign(**{f"x{j}": frame[f"x{j}"].astype(object).fillna("") for j in task.categories})

    model = CatBoostClassifier(
        random_seed=task.seed,
        thread_count=MAX_THREADS,
        cat_features=task.categories,
        silent=True,
        allow_writing_files=False,
    )
    return np.asarray(
        model.fit(with_missing_level(task.train), task.won).predict_proba(with_missing_level(task.test))[:, 1]
    )


def ebm(task: Task) -> Reals:
    """InterpretML's explainable boosting machine with its defaults."""
    from interpret.glassbox import ExplainableBoostingClassifier

    model = ExplainableBoostingClassifier(random_state=task.seed, n_jobs=MAX_THREADS)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Missing values detected")
        fitted = model.fit(task.frame(task.train), task.won)
        return np.asarray(fitted.predict_proba(task.frame(task.test))[:, 1])


def survival_boost(task: Task) -> Reals:
    """Hazardous' SurvivalBoost with its defaults, on the follow-up of the training leads.

    It takes numbers only, so a category is the position of its level. The subclass sets the seed, which the library
    does not pass on, and turns off early stopping, which scikit-learn turns on above 10,000 rows.

    Raises:
        ValueError: leads or closes are undated.
    """
    from hazardous import SurvivalBoost

    class Seeded(SurvivalBoost):  # type: ignore[misc]
        def _build_base_estimator(self) -> Any:
            return super()._build_base_estimator().set_params(random_state=self.random_state, early_stopping=False)

    if task.follow_up is None:
        raise ValueError("SurvivalBoost needs the times of leads and closes; compare it on dated leads only")
    follow_up = task.follow_up
    model = Seeded(random_state=task.seed, show_progressbar=False)
    with threadpool_limits(task.threads):
        model.fit(task.train, {"event": follow_up.event, "duration": follow_up.days})
        incidence = model.predict_cumulative_incidence(task.test, times=np.array([float(follow_up.horizon)]))
    return np.asarray(incidence[:, WON, 0])


PEERS: Mapping[str, Peer] = {
    "logistic regression": logistic,
    "naive Bayes (Odoo)": naive_bayes,
    "LightGBM": lightgbm,
    "CatBoost": catboost,
    "EBM": ebm,
}
"""The peers for every set."""
SURVIVAL: Mapping[str, Peer] = {"SurvivalBoost": survival_boost}
"""The peers for sets with dated leads and closes."""
