"""What the ladder is compared with: each peer at its library's defaults, uncalibrated, as people use it.

Every peer is given the same rows and the same features as `training.fitting.trainer.train`, and answers the same test
leads.
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

THREADS = 2
"""At most."""
STRENGTHS = tuple(10.0**power for power in range(-4, 3))
"""Scikit-learn's C, of which the logistic regression's is chosen."""
_BINS = 10
_SMALLEST_COUNT = 0.1
WON, LOST = 1, 2


@dataclass(frozen=True)
class Followed:
    """What had become of the training leads when the test window began.

    Attributes:
        event: 0 still open, 1 won, 2 lost.
        days: from the moment looked at to the close, or to the window's beginning.
        horizon: days within which a win counts.
    """

    event: Integers
    days: Reals
    horizon: int


@dataclass(frozen=True)
class Task:
    """What every peer is given.

    Attributes:
        features: of the matrices' columns; a category's value is its level's position, missing is NaN.
        known: training rows.
        won: their outcomes, 0 or 1.
        asked: test rows.
        folds: rolling origins, as positions of training rows to fit on and to judge by.
        followed: None where leads or closes are undated.
        seed: of every draw.
    """

    features: Sequence[EncodedFeature]
    known: Matrix
    won: Reals
    asked: Matrix
    folds: Sequence[tuple[Integers, Integers]]
    followed: Followed | None
    seed: int

    @property
    def threads(self) -> int:
        """How many are worth their waiting for each other."""
        return THREADS if len(self.known) >= MIN_ROWS_FOR_THREADS else 1

    @property
    def categories(self) -> list[int]:
        """Positions of the categories."""
        return [place for place, feature in enumerate(self.features) if feature.kind == "category"]

    def frame(self, matrix: Matrix) -> pd.DataFrame:
        """Columns by position, categories as pandas knows them."""
        return pd.DataFrame({f"x{j}": self._column(matrix, j) for j in range(len(self.features))})

    def _column(self, matrix: Matrix, place: int) -> Any:
        if place not in self.categories:
            return matrix[:, place]
        codes = np.where(np.isnan(matrix[:, place]), -1, matrix[:, place]).astype(int)
        return pd.Categorical.from_codes(codes.tolist(), categories=pd.Index(self.features[place].levels))


Peer: TypeAlias = Callable[[Task], Reals]


def logistic(task: Task) -> Reals:
    """Scikit-learn's logistic regression: standardised, one-hot, blanks flagged, C by the rolling origins.

    Its default C where no origin has wins to learn from.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    categories = task.categories
    numbers = [place for place in range(len(task.features)) if place not in categories]
    number = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    design = ColumnTransformer(
        [("number", number, numbers), ("category", OneHotEncoder(handle_unknown="ignore"), categories)]
    )
    model = make_pipeline(design, LogisticRegression(max_iter=2000))
    folds = [fold for fold in task.folds if all(len(np.unique(task.won[side])) == 2 for side in fold)]
    grid = {"logisticregression__C": STRENGTHS}
    search = GridSearchCV(model, grid, cv=folds, scoring="neg_log_loss") if folds else model
    with warnings.catch_warnings():
        # A column that is blank throughout an early origin is left out of its fit, and that is right.
        warnings.filterwarnings("ignore", "Skipping features without any observed values")
        return np.asarray(search.fit(task.known, task.won).predict_proba(task.asked)[:, 1])


def naive_bayes(task: Task) -> Reals:
    """Odoo's predictive lead scoring: prior times count / total for each value, .1 added to each count.

    What is missing, or was never seen, is left out; numbers, which Odoo does not read, are put into tenths. As in
    Odoo the result has two decimals of a percentage and stays between .01 and 99.99 %.
    """
    wins = task.won.sum()
    odds = np.full(len(task.asked), np.log(wins + _SMALLEST_COUNT) - np.log(len(task.won) - wins + _SMALLEST_COUNT))
    for place, feature in enumerate(task.features):
        known, asked = task.known[:, place], task.asked[:, place]
        if feature.kind == "number":
            edges = np.unique(np.nanquantile(known, np.linspace(0, 1, _BINS + 1)[1:-1]))
            known, asked = (np.where(np.isnan(c), np.nan, np.digitize(c, edges)) for c in (known, asked))
        odds += _evidence(known, task.won, asked)
    return np.clip(np.round(np.asarray(sigmoid(odds)), 4), 0.0001, 0.9999)


def _evidence(known: Reals, won: Reals, asked: Reals) -> Reals:
    """The log of how much likelier each asked value is among the won than among the lost; 0 where not seen."""
    present = ~np.isnan(known)
    codes = known[present].astype(int)
    size = int(np.nanmax(np.append(asked, codes), initial=0)) + 1
    counts = [np.bincount(codes, weights=weight[present], minlength=size) for weight in (won, 1 - won)]
    seen = counts[0] + counts[1] > 0
    added = [np.where(seen, count + _SMALLEST_COUNT, 1.0) for count in counts]
    ratio = np.log(added[0] / added[0][seen].sum()) - np.log(added[1] / added[1][seen].sum())
    missing = np.isnan(asked)
    return np.where(missing, 0.0, np.where(seen, ratio, 0.0)[np.where(missing, 0, asked).astype(int)])


def lightgbm(task: Task) -> Reals:
    """LightGBM as it comes, categories native."""
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(random_state=task.seed, n_jobs=task.threads, verbose=-1)
    fitted = model.fit(task.frame(task.known), task.won)
    return np.asarray(fitted.predict_proba(task.frame(task.asked)))[:, 1]


def catboost(task: Task) -> Reals:
    """CatBoost as it comes, categories native, a missing one being a level of its own."""
    from catboost import CatBoostClassifier

    def named(matrix: Matrix) -> pd.DataFrame:
        frame = task.frame(matrix)
        return frame.assign(**{f"x{j}": frame[f"x{j}"].astype(object).fillna("") for j in task.categories})

    model = CatBoostClassifier(
        random_seed=task.seed,
        thread_count=THREADS,
        cat_features=task.categories,
        silent=True,
        allow_writing_files=False,
    )
    return np.asarray(model.fit(named(task.known), task.won).predict_proba(named(task.asked))[:, 1])


def ebm(task: Task) -> Reals:
    """InterpretML's explainable boosting machine as it comes."""
    from interpret.glassbox import ExplainableBoostingClassifier

    model = ExplainableBoostingClassifier(random_state=task.seed, n_jobs=THREADS)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Missing values detected")
        fitted = model.fit(task.frame(task.known), task.won)
        return np.asarray(fitted.predict_proba(task.frame(task.asked))[:, 1])


def survival_boost(task: Task) -> Reals:
    """Hazardous' SurvivalBoost as it comes, by what was known of the training leads when the test window began.

    It reads numbers only, so categories are their positions. It is given its seed, which the library does not pass on,
    and no early stopping, which scikit-learn switches on by itself above 10,000 rows.

    Raises:
        ValueError: leads or closes are undated.
    """
    from hazardous import SurvivalBoost

    class Seeded(SurvivalBoost):  # type: ignore[misc]
        def _build_base_estimator(self) -> Any:
            return super()._build_base_estimator().set_params(random_state=self.random_state, early_stopping=False)

    if task.followed is None:
        raise ValueError("SurvivalBoost needs the times of leads and closes; compare it on dated leads only")
    followed = task.followed
    model = Seeded(random_state=task.seed, show_progressbar=False)
    with threadpool_limits(task.threads):
        model.fit(task.known, {"event": followed.event, "duration": followed.days})
        incidence = model.predict_cumulative_incidence(task.asked, times=np.array([float(followed.horizon)]))
    return np.asarray(incidence[:, WON, 0])


PEERS: Mapping[str, Peer] = {
    "logistic regression": logistic,
    "naive Bayes (Odoo)": naive_bayes,
    "LightGBM": lightgbm,
    "CatBoost": catboost,
    "EBM": ebm,
}
"""Those that need no times."""
SURVIVAL: Mapping[str, Peer] = {"SurvivalBoost": survival_boost}
"""Those that do."""
