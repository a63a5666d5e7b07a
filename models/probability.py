"""The close probability: the rungs of the ladder as they are served.

Every rung splits a lead's margin (log-odds before calibration, see `models.calibration`) into contributions: one column
a feature, and a last one for the base. The margin is their sum by definition, so an explanation adds up by
construction.
"""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from models.arrays import Matrix, Reals
from models.lightgbm_trial import try_text
from models.trees import checked_model_text

if TYPE_CHECKING:
    import lightgbm

Rung = Literal["base_rate", "segment_rates", "logistic", "additive", "lightgbm", "blend"]
RUNGS: tuple[Rung, ...] = ("base_rate", "segment_rates", "logistic", "additive", "lightgbm", "blend")
"""From the simplest up; in `additive` each tree uses one feature, and `blend` is a mean of `MEMBERS`."""
TREES: tuple[Rung, ...] = ("additive", "lightgbm")
MEMBERS: tuple[Rung, ...] = ("logistic", "additive", "lightgbm")
"""The rungs that a blend may be made of."""

MIN_PROBABILITY = 1e-12
"""The least distance of a probability from 0 and 1 where its logarithm is taken."""


def sigmoid(log_odds: Reals | float) -> Any:
    """The probability of log-odds, exact at both ends.

    >>> float(sigmoid(0.0))
    0.5
    >>> [round(float(p), 4) for p in sigmoid([-2.0, 2.0])]
    [0.1192, 0.8808]
    >>> float(sigmoid(-800.0)), float(sigmoid(800.0))
    (0.0, 1.0)
    """
    # logaddexp(0, -x) is log(1 + exp(-x)) without overflow, so the usual 1 / (1 + exp(-x)) is exp(-logaddexp(0, -x)).
    return np.exp(-np.logaddexp(0.0, -np.asarray(log_odds, dtype=np.float64)))


def logit(probability: Reals | float) -> Any:
    """The log-odds of a probability in (0, 1); the inverse of `sigmoid`.

    >>> float(logit(0.5))
    0.0
    >>> round(float(logit(0.2)), 4)  # log(0.2 / 0.8)
    -1.3863
    """
    p = np.asarray(probability, dtype=np.float64)
    return np.log(p) - np.log1p(-p)


def log_losses(won: Reals, probability: Reals) -> Reals:
    """Each row's log loss, in nats: the negative log-likelihood of its outcome (0 or 1).

    Probabilities are kept `MIN_PROBABILITY` away from 0 and 1, so that the loss is finite.
    """
    p = np.clip(probability, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    return -(won * np.log(p) + (1 - won) * np.log1p(-p))


class MarginModel(Protocol):
    """A rung: margins (log-odds before calibration) as sums of contributions."""

    @property
    def rung(self) -> Rung:
        """The rung's name."""

    def contributions(self, matrix: Matrix) -> Matrix:
        """The contributions (rows, features + 1) to each row's margin; the last column is the base."""

    def to_bytes(self) -> bytes:
        """The content of the model's file; `read_model` reads it back."""


@dataclass(frozen=True)
class BaseRate:
    """The lowest rung: every lead has the base rate of the training rows.

    Attributes:
        features: number of features in the encoding.
        log_odds: of the base rate.
    """

    features: int
    log_odds: float

    @property
    def rung(self) -> Rung:
        """The rung's name."""
        return "base_rate"

    def contributions(self, matrix: Matrix) -> Matrix:
        """No feature contributes; the margin is the base."""
        contributions = np.zeros((len(matrix), self.features + 1))
        contributions[:, -1] = self.log_odds
        return contributions

    def to_bytes(self) -> bytes:
        """JSON."""
        return _json(self)


@dataclass(frozen=True)
class SegmentRates:
    """The rate of each level of one category, shrunk towards the rate of all leads.

    A lead without a known level has the rate of all leads.

    Attributes:
        features: number of features in the encoding.
        segment: the category's position in the encoding.
        log_odds: of all leads.
        effects: log-odds that each level adds, by the level's code.
    """

    features: int
    segment: int
    log_odds: float
    effects: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.segment < self.features:
            raise ValueError(f"the segment must be one of {self.features} features, not {self.segment}")

    @property
    def rung(self) -> Rung:
        """The rung's name."""
        return "segment_rates"

    def contributions(self, matrix: Matrix) -> Matrix:
        """Only the segment contributes."""
        contributions = np.zeros((len(matrix), self.features + 1))
        codes = matrix[:, self.segment]
        known = ~np.isnan(codes)
        contributions[known, self.segment] = np.array(self.effects)[codes[known].astype(int)]
        contributions[:, -1] = self.log_odds
        return contributions

    def to_bytes(self) -> bytes:
        """JSON."""
        return _json(self)


@dataclass(frozen=True, kw_only=True)
class LogisticColumn:
    """One column of the logistic rung's design matrix: a transform of one feature, centred on its training mean.

    Attributes:
        feature: the feature's position in the encoding.
        transform: `number` is sign(x) * log(1 + |x|) (missing reads as the mean), `missing` is 1 where the feature is
            missing, `level` is 1 where the category has `level`.
        mean: training mean of the transformed column (of the present values for `number`).
        scale: training standard deviation, never 0.
        coefficient: log-odds for each scaled unit.
        level: the code of the category's level, for `level`.
    """

    feature: int
    transform: Literal["number", "missing", "level"]
    mean: float
    scale: float
    coefficient: float = 0.0
    level: int = -1

    def design(self, matrix: Matrix) -> Reals:
        """The centred, scaled column (rows,)."""
        raw = matrix[:, self.feature]
        missing = np.isnan(raw)
        if self.transform == "number":
            column = np.where(missing, self.mean, np.sign(raw) * np.log1p(np.abs(raw)))
        elif self.transform == "missing":
            column = missing.astype(np.float64)
        else:
            column = (raw == self.level).astype(np.float64)
        return (column - self.mean) / self.scale


@dataclass(frozen=True)
class Logistic:
    """A regularised logistic regression; a feature's contribution is the sum over its columns.

    Attributes:
        features: number of features in the encoding.
        intercept: log-odds of a lead at the training means.
        columns: the columns of the design matrix.
    """

    features: int
    intercept: float
    columns: tuple[LogisticColumn, ...]

    def __post_init__(self) -> None:
        if not all(0 <= column.feature < self.features and column.scale > 0 for column in self.columns):
            raise ValueError(f"every column must read one of {self.features} features and have a positive scale")

    @property
    def rung(self) -> Rung:
        """The rung's name."""
        return "logistic"

    def contributions(self, matrix: Matrix) -> Matrix:
        """Each coefficient times the distance from the training mean, summed by feature."""
        contributions = np.zeros((len(matrix), self.features + 1))
        contributions[:, -1] = self.intercept
        for column in self.columns:
            contributions[:, column.feature] += column.coefficient * column.design(matrix)
        return contributions

    def to_bytes(self) -> bytes:
        """JSON."""
        return _json(self)


@dataclass(frozen=True)
class LightGBM:
    """Gradient-boosted trees; contributions are LightGBM's exact TreeSHAP values (Lundberg et al. 2020).

    Attributes:
        text: the model in LightGBM's text form.
        rung: `additive` where each tree uses one feature, else `lightgbm`.
    """

    text: str
    rung: Rung = "lightgbm"

    @cached_property
    def _booster(self) -> "lightgbm.Booster":
        # The import takes seconds, and most commands need no trees.
        import lightgbm

        return lightgbm.Booster(model_str=checked_model_text(self.text))

    def contributions(self, matrix: Matrix) -> Matrix:
        """TreeSHAP values of the features, and the expected margin as the base."""
        contributions = self._booster.predict(matrix, pred_contrib=True, num_threads=1)
        return np.asarray(contributions, dtype=np.float64)

    def to_bytes(self) -> bytes:
        """LightGBM's text."""
        return self.text.encode()


@dataclass(frozen=True)
class Blend:
    """A convex combination of rungs on their margins.

    The Shapley values of a weighted sum are the weighted sum of Shapley values (linearity, Shapley 1953), so
    explanations stay exact. No weight is negative, so the margin obeys each direction that all members obey.

    Attributes:
        members: fitted rungs of `MEMBERS`, each once.
        weights: the weight of each member; they add up to 1.

    Raises:
        ValueError: a member is of another rung or repeated, or the weights are no convex combination.
    """

    members: tuple[MarginModel, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        rungs = [member.rung for member in self.members]
        if not rungs or len({*rungs}) < len(rungs) or not {*rungs} <= {*MEMBERS}:
            raise ValueError(f"a blend is made of {', '.join(MEMBERS)}, each at most once, not of {', '.join(rungs)}")
        if len(self.weights) != len(rungs) or min(self.weights) < 0 or abs(sum(self.weights) - 1) > _WEIGHTS_TOLERANCE:
            raise ValueError(f"a blend has a weight of 0 or more for each member, 1 in sum, not {list(self.weights)}")

    @property
    def rung(self) -> Rung:
        """The rung's name."""
        return "blend"

    def contributions(self, matrix: Matrix) -> Matrix:
        """The weighted sum of the members' contributions."""
        weighted = (
            weight * member.contributions(matrix) for weight, member in zip(self.weights, self.members, strict=True)
        )
        return np.asarray(sum(weighted))

    def to_bytes(self) -> bytes:
        """JSON, with the content of each member as text."""
        members = [{"rung": member.rung, "model": member.to_bytes().decode()} for member in self.members]
        return json.dumps({"weights": self.weights, "members": members}).encode()


_WEIGHTS_TOLERANCE = 1e-9


def _json(model: BaseRate | SegmentRates | Logistic) -> bytes:
    return json.dumps(asdict(model)).encode()


def read_model(rung: Rung, content: bytes, features: int) -> MarginModel:
    """The model that `to_bytes` wrote. Reading JSON or LightGBM's text runs no code from the content.

    A child process reads LightGBM's text first (see `models.lightgbm_trial`).

    Args:
        rung: the rung that the content must be of.
        content: the file's content.
        features: the number of features that the model must read.

    Raises:
        ValueError: the content is not such a model.
    """
    try:
        model = _read_model(rung, content, features)
        contributions = model.contributions(np.zeros((1, features)))
    except Exception as error:  # LightGBM raises a class of its own; naming it here would import LightGBM
        raise ValueError(f"not a model of rung {rung}: {error}") from None
    if contributions.shape != (1, features + 1):
        raise ValueError(f"the model reads {contributions.shape[1] - 1} features, not the encoding's {features}")
    return model


def _member(rung: str) -> Rung:
    found = next((member for member in MEMBERS if member == rung), None)
    if found is None:
        raise ValueError(f"a blend has no member of rung {rung}")
    return found


def _read_model(rung: Rung, content: bytes, features: int) -> MarginModel:
    if rung in TREES:
        model = LightGBM(content.decode(), rung)
        try_text(checked_model_text(model.text))
        return model
    fields: dict[str, Any] = json.loads(content)
    if rung == "blend":
        members = (_read_model(_member(each["rung"]), each["model"].encode(), features) for each in fields["members"])
        return Blend(tuple(members), tuple(fields["weights"]))
    # Checked before an array of that size is allocated.
    if fields["features"] != features:
        raise ValueError(f"it reads {fields['features']} features, not the encoding's {features}")
    if rung == "base_rate":
        return BaseRate(**fields)
    if rung == "segment_rates":
        return SegmentRates(**{**fields, "effects": tuple(fields["effects"])})
    return Logistic(**{**fields, "columns": tuple(LogisticColumn(**column) for column in fields["columns"])})
