"""The hazard model: LightGBM over {open, won, lost} on person-periods, with the period as one more feature.

The trees start from the hazards of all leads of similar age, by Aalen and Johansen, and learn what the features add.
The age decides more than any feature when a lead closes, and a few trees alone would blur it. The model obeys no
directions: in a softmax a feature that raises one class may lower the probability of another through the third. So the
model gives soft labels and forecasts, and is never served as the score.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import lightgbm
import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from models.arrays import Integers, Matrix, Reals
from models.encoding import Encoding
from models.lightgbm_trial import try_text
from models.trees import checked_model_text
from training.data.rows import MIN_WINS
from training.hazard.follow_up import WON, FollowUp
from training.hazard.incidence import CURVE, Curve, Incidence, PersonPeriods

MAX_ROWS = 200_000
"""Person-periods that a fit reads at most; later landmarks are left out first."""
_MAX_TREES, _PATIENCE = 200, 15
_AGE = "lead_age_days"
_AGES = (1.0, 29.0)
"""Ages in days at which the next baseline starts."""
_SHRINKAGE_ROWS, _MIN_HAZARD = 20.0, 1e-9
_MIN_AT_RISK = 100
"""Rows at risk that a period needs to be modelled."""
_BINS = 63
_OUTCOMES = 3
"""Open, won and lost."""
_TEXT, _FACTS = "hazard.txt", "hazard.json"
_CHUNK = 20_000


class UntrustedHazard(ValueError):
    """The files of a hazard model do not match their checksums; the message says the fix."""


@dataclass(frozen=True)
class Baseline:
    """The log probabilities to stay open, be won and be lost in each period, without features.

    Attributes:
        age: position of the lead's age in days among the features; None where it does not vary.
        log_hazards: by age (at creation, up to four weeks, older) and period.
    """

    age: int | None
    log_hazards: tuple[tuple[tuple[float, ...], ...], ...]

    @classmethod
    def count(cls, age: int | None, matrix: Matrix, rows: PersonPeriods, weight: Reals, periods: int) -> Self:
        """The baseline of person-periods; each age is shrunk to all ages as if by 20 rows."""
        counts = np.zeros((len(_AGES) + 1, periods, 3))
        np.add.at(counts, (_group(matrix, age)[rows.row], rows.period, rows.event), weight[rows.row])
        all_ages = counts.sum(axis=0)
        all_ages /= np.maximum(all_ages.sum(axis=1, keepdims=True), _MIN_HAZARD)
        shares = (counts + _SHRINKAGE_ROWS * all_ages) / (counts.sum(axis=2, keepdims=True) + _SHRINKAGE_ROWS)
        return cls(age, _nested(np.log(np.maximum(shares, _MIN_HAZARD)).tolist()))

    def of(self, matrix: Matrix, row: Integers, period: Integers) -> Reals:
        """Log probabilities (person-periods, 3) of the snapshots and periods at these positions."""
        log_probability: Reals = np.array(self.log_hazards)[_group(matrix, self.age)[row], period]
        return log_probability


def _group(matrix: Matrix, age: int | None) -> Integers:
    days = np.zeros(len(matrix)) if age is None else np.nan_to_num(matrix[:, age])
    return np.searchsorted(_AGES, days, side="right").astype(np.int64)


@dataclass(frozen=True)
class Hazard:
    """A fitted hazard model.

    Attributes:
        text: the model in LightGBM's own form.
        periods: ends of the periods, in days.
        baseline: the log probabilities that the trees start from.
    """

    text: str
    periods: tuple[int, ...]
    baseline: Baseline

    @cached_property
    def _booster(self) -> lightgbm.Booster:
        return lightgbm.Booster(model_str=self.checked_text)

    @cached_property
    def checked_text(self) -> str:
        """The part of the text that predictions need.

        Raises:
            MalformedTrees: LightGBM's parser could not read it safely.
        """
        return checked_model_text(self.text, outputs=_OUTCOMES)

    def hazards(self, matrix: Matrix) -> Reals:
        """P(won in the period | open at its start), and P(lost ...), of encoded features: (rows, periods, 2)."""
        parts = [self._hazards(matrix[at : at + _CHUNK]) for at in range(0, len(matrix), _CHUNK)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.periods), 2))

    def _hazards(self, matrix: Matrix) -> Reals:
        count = len(self.periods)
        row, period = np.divmod(np.arange(len(matrix) * count), count)
        design = _design(matrix, row, period, self.periods)
        raw = np.asarray(self._booster.predict(design, raw_score=True, num_threads=1))
        probability: Reals = softmax(raw + self.baseline.of(matrix, row, period), axis=1)
        return probability.reshape(len(matrix), count, 3)[:, :, WON:]

    def incidence(self, matrix: Matrix) -> Incidence:
        """The incidence of encoded features, a row each."""
        return Incidence.of(self.hazards(matrix), self.periods)

    def curve(self, matrix: Matrix) -> Curve:
        """P(won within 30, 60, 90 and 180 days), as far as leads were observed, and the expected days to close."""
        return self.incidence(matrix).curve(tuple(days for days in CURVE if days <= self.periods[-1]))

    @property
    def files(self) -> Mapping[str, bytes]:
        """The files by name, LightGBM text and JSON; reading them runs no code."""
        text = self.text.encode()
        facts = {
            "periods": list(self.periods),
            "baseline": asdict(self.baseline),
            "sha256": hashlib.sha256(text).hexdigest(),
        }
        return {_TEXT: text, _FACTS: json.dumps(facts, indent=1).encode()}


def read_hazard(files: Mapping[str, bytes]) -> Hazard:
    """The hazard model in files, verified.

    Raises:
        UntrustedHazard: a file is missing, or is not the one that the description names.
    """
    try:
        facts = json.loads(files[_FACTS])
        text, periods = files[_TEXT], tuple(int(day) for day in facts["periods"])
        baseline = Baseline(facts["baseline"]["age"], _nested(facts["baseline"]["log_hazards"]))
        same = hashlib.sha256(text).hexdigest() == facts["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise UntrustedHazard(f"the hazard model's files cannot be read ({error}); train again") from None
    if not same:
        raise UntrustedHazard(f"{_TEXT} is not the file that {_FACTS} names; train again")
    try:
        hazard = Hazard(text.decode(), periods, baseline)
        try_text(hazard.checked_text, outputs=_OUTCOMES)
    except ValueError as error:
        raise UntrustedHazard(f"{_TEXT} cannot be read ({error}); train again") from None
    return hazard


def _nested(values: Any) -> tuple[tuple[tuple[float, ...], ...], ...]:
    return tuple(tuple(tuple(map(float, cell)) for cell in row) for row in values)


@dataclass(frozen=True)
class CrossFitted:
    """Two hazard models, each fitted on half of the accounts, and which half each snapshot belongs to.

    Attributes:
        models: fitted on the accounts outside half 0, and on those outside half 1.
        half: the half of every snapshot.
        trees: the number of trees that predicts the other half best.
    """

    models: tuple[Hazard, Hazard]
    half: Integers
    trees: int

    def incidence(self, matrix: Matrix, rows: Integers) -> Incidence:
        """The incidence of snapshots at these positions, each by the model that never saw its account."""
        incidences = [model.incidence(matrix[rows]) for model in self.models]
        own = self.half[rows][:, None] == 0
        return Incidence(incidences[0].periods, *(np.where(own, *pair) for pair in _pairs(incidences)))


def _pairs(incidences: list[Incidence]) -> list[tuple[Reals, Reals]]:
    return [(incidences[0].won, incidences[1].won), (incidences[0].lost, incidences[1].lost)]


@dataclass(frozen=True, kw_only=True)
class HazardData:
    """The data that hazards are fitted on: person-periods, within the limit, of snapshots known by a moment."""

    matrix: Matrix
    rows: PersonPeriods
    weight: Reals
    periods: tuple[int, ...]
    encoding: Encoding
    baseline: Baseline

    @classmethod
    def of(
        cls,
        matrix: Matrix,
        follow_up: FollowUp,
        moment: int,
        periods: tuple[int, ...],
        encoding: Encoding,
        limit: int = MAX_ROWS,
    ) -> Self:
        """The person-periods of snapshots made before a moment, as known by it, without periods that few reached."""
        known = follow_up.known_by(moment)
        rows = PersonPeriods.of(known, periods)
        rows = _within(rows.take(follow_up.as_of[rows.row] < moment), follow_up, limit)
        modelled = tuple(np.array(periods)[np.bincount(rows.period, minlength=len(periods)) >= _MIN_AT_RISK].tolist())
        rows = rows.take(rows.period < len(modelled))
        age = encoding.names.index(_AGE) if _AGE in encoding.names else None
        baseline = Baseline.count(age, matrix, rows, follow_up.weight, len(modelled))
        return cls(
            matrix=matrix, rows=rows, weight=follow_up.weight, periods=modelled, encoding=encoding, baseline=baseline
        )

    def fit(self, trees: int, seed: int) -> Hazard:
        """The model with this number of trees."""
        booster = lightgbm.train(self._settings(seed), self._dataset(), num_boost_round=trees)
        return Hazard(booster.model_to_string(), self.periods, self.baseline)

    def cross_fit(self, cluster: NDArray[np.str_], seed: int) -> CrossFitted:
        """Two models, each on half of the accounts, with the number of trees that is best on the other half."""
        names, position = np.unique(cluster, return_inverse=True)
        half = (np.random.default_rng(seed).permutation(len(names)) % 2)[position]
        inside = half[self.rows.row] == 0
        folds = [(np.flatnonzero(~inside), np.flatnonzero(inside)), (np.flatnonzero(inside), np.flatnonzero(~inside))]
        cv_booster: Any = lightgbm.cv(
            self._settings(seed),
            self._dataset(),
            num_boost_round=_MAX_TREES,
            folds=folds,
            callbacks=[lightgbm.early_stopping(_PATIENCE, verbose=False)],
            return_cvbooster=True,
        )["cvbooster"]
        trees = max(int(cv_booster.best_iteration), 1)
        first, second = (
            Hazard(booster.model_to_string(num_iteration=trees), self.periods, self.baseline)
            for booster in cv_booster.boosters
        )
        return CrossFitted((first, second), half, trees)

    def _dataset(self) -> lightgbm.Dataset:
        design = _design(self.matrix, self.rows.row, self.rows.period, self.periods)
        categories = [j for j, feature in enumerate(self.encoding.features) if feature.kind == "category"]
        return lightgbm.Dataset(
            design,
            self.rows.event,
            weight=self.weight[self.rows.row],
            init_score=self.baseline.of(self.matrix, self.rows.row, self.rows.period),
            categorical_feature=categories,
            params={"max_bin": _BINS},
        )

    def _settings(self, seed: int) -> dict[str, Any]:
        return {
            "objective": "multiclass",
            "num_class": 3,
            "num_leaves": 8,
            "max_depth": 3,
            "learning_rate": 0.05,
            "max_bin": _BINS,
            "boost_from_average": False,
            "min_data_in_leaf": 200,
            "lambda_l2": 20.0,
            "feature_fraction": 0.7,
            "cat_smooth": 20.0,
            "max_cat_threshold": 16,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }


def _design(matrix: Matrix, row: Integers, period: Integers, periods: tuple[int, ...]) -> Matrix:
    """The features of snapshots with the period's end in days beside them."""
    return np.column_stack([matrix[row], np.array(periods, dtype=np.float64)[period]])


def _within(rows: PersonPeriods, follow_up: FollowUp, limit: int) -> PersonPeriods:
    """At most `limit` rows: the last landmarks go first, then leads evenly, so that every period of time stays."""
    landmark = follow_up.as_of - follow_up.created
    moments, counts = np.unique(landmark[rows.row], return_counts=True)
    kept = moments[(np.cumsum(counts) <= limit) | (np.arange(len(counts)) == 0)]
    rows = rows.take(np.isin(landmark[rows.row], kept))
    if len(rows) <= limit:
        return rows
    leads, periods = np.unique(rows.row), int(rows.period.max()) + 1
    some = leads[np.linspace(0, len(leads) - 1, limit // periods).astype(np.int64)]
    return rows.take(np.isin(rows.row, some))


def fit_hazard(
    matrix: Matrix, follow_up: FollowUp, moment: int, periods: tuple[int, ...], encoding: Encoding, seed: int
) -> Hazard | None:
    """The hazard model of the facts known by a moment; None with fewer than 10 wins or too short a time.

    The number of trees is the one that is best on the accounts left out.
    """
    if follow_up.wins(moment) < MIN_WINS:
        return None
    material = HazardData.of(matrix, follow_up, moment, periods, encoding)
    if CURVE[0] not in material.periods:
        return None
    return material.fit(material.cross_fit(follow_up.cluster, seed).trees, seed)
