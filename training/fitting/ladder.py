"""The ladder of rungs: base rate, segment rates, regularised logistic, additive trees, LightGBM.

The served rung is selected out of time (see training.fitting.model_selection). Every rung that reads numbers obeys the
directions of the catalogue: raising a feature in its direction never lowers the margin.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import lightgbm
import numpy as np
from scipy.optimize import minimize

from features.shrinkage import strength
from models.arrays import Matrix, Reals
from models.encoding import Encoding
from models.probability import BaseRate, LightGBM, Logistic, LogisticColumn, SegmentRates, logit, sigmoid
from training.data.rows import MIN_ROWS_FOR_THREADS, Rows

STAGES = (25, 50, 100, 150, 200, 300, 450, 600)
"""Numbers of trees that the rolling origins compare."""
_STUMPS_LEARNING_RATE = 0.1


@dataclass(frozen=True, kw_only=True)
class TreeSettings:
    """LightGBM's settings: shallow, monotone by direction; trees of depth 1 add up feature by feature.

    `basic` is the only monotone method that held in every run with missing values (see docs/model.md).
    """

    trees: int = 300
    leaves: int = 8
    depth: int = 3
    learning_rate: float = 0.04
    fewest_rows_in_leaf: int = 40
    l2: float = 5.0
    feature_share: float = 0.7

    @property
    def additive(self) -> bool:
        """Whether no tree reads more than one feature."""
        return self.depth == 1

    def stumps(self) -> "TreeSettings":
        """The additive rung's settings: trees of one split, with a higher learning rate since each tree adds little."""
        return replace(self, depth=1, leaves=2, learning_rate=_STUMPS_LEARNING_RATE)

    def parameters(self, directions: Sequence[int], rows: int, seed: int) -> dict[str, object]:
        """The settings as LightGBM names them."""
        return {
            "objective": "binary",
            "num_leaves": self.leaves,
            "max_depth": self.depth,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.fewest_rows_in_leaf,
            "lambda_l2": self.l2,
            "feature_fraction": self.feature_share,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "cat_smooth": 20.0,
            "max_cat_threshold": 16,
            "monotone_constraints": list(directions),
            "monotone_constraints_method": "basic",
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            # On few rows the threads spend their time waiting for each other.
            "num_threads": 2 if rows >= MIN_ROWS_FOR_THREADS else 1,
            "verbosity": -1,
        }


def base_rate(rows: Rows) -> float:
    """Share won of the leads at creation, one row a lead."""
    return share_won(rows.won[rows.at_creation])


def share_won(won: Reals) -> float:
    """Share of wins; half a win and half a loss are added, so that the share is never 0 or 1.

    >>> share_won(np.array([1.0, 0.0, 0.0]))
    0.375
    """
    return float((won.sum() + 0.5) / (len(won) + 1))


def fit_base_rate(rows: Rows) -> BaseRate:
    """The base-rate rung."""
    return BaseRate(rows.matrix.shape[1], float(logit(base_rate(rows))))


def fit_segment_rates(rows: Rows, segment: int, levels: int) -> SegmentRates:
    """The segment-rates rung on the category at position `segment`, from leads at creation."""
    codes, won = rows.matrix[rows.at_creation, segment], rows.won[rows.at_creation]
    known = ~np.isnan(codes)
    trials = np.bincount(codes[known].astype(int), minlength=levels).astype(np.float64)
    wins = np.bincount(codes[known].astype(int), weights=won[known], minlength=levels)
    prior, seen = base_rate(rows), trials > 0
    explained = float((wins[seen] ** 2 / trials[seen]).sum())
    weight = strength(int(seen.sum()), int(trials.sum()), int(wins.sum()), int((trials**2).sum()), explained)
    effects = logit((wins + weight * prior) / (trials + weight)) - logit(prior)
    return SegmentRates(rows.matrix.shape[1], segment, float(logit(prior)), tuple(map(float, effects)))


def fit_logistic(rows: Rows, encoding: Encoding, directions: Sequence[int], strength: float) -> Logistic:
    """The logistic rung, L2-regularised, no number's coefficient against its direction.

    `strength` is scikit-learn's C (less is simpler) on standardised columns.
    """
    return next(fit_logistics(rows, encoding, directions, [strength]))


def fit_logistics(
    rows: Rows, encoding: Encoding, directions: Sequence[int], strengths: Iterable[float]
) -> Iterator[Logistic]:
    """The logistic rung at each strength; each optimisation starts from the coefficients of the one before."""
    columns = [column for j in range(rows.matrix.shape[1]) for column in _columns(j, encoding, rows.matrix[:, j])]
    if not columns:
        yield from (Logistic(rows.matrix.shape[1], float(logit(base_rate(rows))), ()) for _ in strengths)
        return
    design = np.column_stack([column.design(rows.matrix) for column in columns])
    signs = [directions[column.feature] if column.transform == "number" else 0 for column in columns]
    beta = np.zeros(len(columns) + 1)
    for c in strengths:
        beta = _fit_signed(design, rows, signs, c, beta)
        weighted = [replace(column, coefficient=float(b)) for column, b in zip(columns, beta[:-1], strict=True)]
        yield Logistic(rows.matrix.shape[1], float(beta[-1]), tuple(weighted))


_BOUNDS = {1: (0.0, None), 0: (None, None), -1: (None, 0.0)}


def _fit_signed(design: Reals, rows: Rows, signs: Sequence[int], strength: float, start: Reals) -> Reals:
    """Coefficients, then the intercept: the minimum of scikit-learn's penalised log loss under the sign constraints."""

    def loss(beta: Reals) -> tuple[float, Reals]:
        margin = design @ beta[:-1] + beta[-1]
        likelihood = rows.weight @ (np.logaddexp(0.0, margin) - rows.won * margin)
        residual = rows.weight * (sigmoid(margin) - rows.won)
        gradient = np.append(strength * (residual @ design) + beta[:-1], strength * residual.sum())
        return float(strength * likelihood + beta[:-1] @ beta[:-1] / 2), gradient

    bounds = [_BOUNDS[sign] for sign in (*signs, 0)]
    optimum = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 2000})
    return np.asarray(optimum.x, dtype=np.float64)


def _columns(position: int, encoding: Encoding, raw: Reals) -> list[LogisticColumn]:
    """The columns of one feature: a number and whether it is missing, or the levels of a category."""
    missing = np.isnan(raw)
    feature = encoding.features[position]
    columns: list[LogisticColumn] = []
    if feature.kind == "category":
        for level in range(len(feature.levels)):
            share = float((raw == level).mean())
            columns.append(_indicator(position, "level", share, level))
    elif not missing.all():
        present = np.sign(raw[~missing]) * np.log1p(np.abs(raw[~missing]))
        mean, scale = float(present.mean()), float(present.std())
        columns.append(LogisticColumn(feature=position, transform="number", mean=mean, scale=scale))
    columns.append(_indicator(position, "missing", float(missing.mean())))
    return [column for column in columns if column.scale > 1e-9]


def _indicator(position: int, transform: Literal["missing", "level"], share: float, level: int = -1) -> LogisticColumn:
    """The column of a 0 or 1 that is 1 in `share` of the rows."""
    scale = float(np.sqrt(share * (1 - share)))
    return LogisticColumn(feature=position, transform=transform, mean=share, scale=scale, level=level)


def fit_trees(rows: Rows, encoding: Encoding, directions: Sequence[int], settings: TreeSettings, seed: int) -> LightGBM:
    """The LightGBM rung."""
    categories = [j for j, feature in enumerate(encoding.features) if feature.kind == "category"]
    data = lightgbm.Dataset(
        rows.matrix, rows.won, weight=rows.weight, categorical_feature=categories, free_raw_data=True
    )
    booster = lightgbm.train(settings.parameters(directions, len(rows.won), seed), data, num_boost_round=settings.trees)
    return LightGBM(booster.model_to_string(), "additive" if settings.additive else "lightgbm")


def staged_margins(model: LightGBM, matrix: Matrix, stages: Sequence[int]) -> dict[int, Reals]:
    """Margins after each number of trees, so that one fit serves to compare all of them."""
    booster = lightgbm.Booster(model_str=model.text)
    return {n: np.asarray(booster.predict(matrix, raw_score=True, num_iteration=n)) for n in stages}
