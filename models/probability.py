"""The close probability: the rungs of the ladder as served, their exact additive parts, and the calibration map.

Every rung yields contributions, one column a feature and a last one for the base; their sum is the margin by
definition, so an explanation adds up by construction. Calibration is affine on the log-odds, `slope * margin +
intercept`, which scales each contribution by the slope and keeps the sum exact.
"""

import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from models.encoding import Matrix
from models.trees import sound

if TYPE_CHECKING:
    import lightgbm

Rung = Literal["base_rate", "segment_rates", "logistic", "additive", "lightgbm"]
RUNGS: tuple[Rung, ...] = ("base_rate", "segment_rates", "logistic", "additive", "lightgbm")
"""From the simplest up; `additive` are trees of one feature each."""
TREES: tuple[Rung, ...] = ("additive", "lightgbm")


SMALLEST = 1e-12
"""How near to 0 and 1 a probability is taken where its logarithm is asked for."""


def sigmoid(log_odds: NDArray[np.float64] | float) -> Any:
    """The probability of log-odds, exact at both ends."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(log_odds, dtype=np.float64)))


def logit(probability: NDArray[np.float64] | float) -> Any:
    """The log-odds of a probability in (0, 1)."""
    p = np.asarray(probability, dtype=np.float64)
    return np.log(p) - np.log1p(-p)


def losses(won: NDArray[np.float64], probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row's negative log-likelihood of its outcome (0 or 1), in nats; `SMALLEST` keeps it finite."""
    p = np.clip(probability, SMALLEST, 1 - SMALLEST)
    return -(won * np.log(p) + (1 - won) * np.log1p(-p))


class MarginModel(Protocol):
    """A rung: margins (log-odds before calibration) as sums of exact parts."""

    @property
    def rung(self) -> Rung:
        """The rung's name."""

    def contributions(self, matrix: Matrix) -> Matrix:
        """Parts (rows, features + 1) of each row's margin; the last column is the base."""

    def to_bytes(self) -> bytes:
        """The model's own file, read back by `read_model`."""


@dataclass(frozen=True)
class BaseRate:
    """The lowest rung: every lead has the base rate of the training rows."""

    features: int
    log_odds: float

    @property
    def rung(self) -> Rung:
        """The rung's name."""
        return "base_rate"

    def contributions(self, matrix: Matrix) -> Matrix:
        """Nothing contributes; the base is all."""
        parts = np.zeros((len(matrix), self.features + 1))
        parts[:, -1] = self.log_odds
        return parts

    def to_bytes(self) -> bytes:
        """JSON."""
        return _json(self)


@dataclass(frozen=True)
class SegmentRates:
    """The rate of one category's level, shrunk to that of all; a lead of no known level has the rate of all.

    Attributes:
        features: of the encoding.
        segment: the category's position in it.
        log_odds: of all leads.
        effects: what each level adds to them, by code.
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
        """The segment alone contributes."""
        parts = np.zeros((len(matrix), self.features + 1))
        codes = matrix[:, self.segment]
        known = ~np.isnan(codes)
        parts[known, self.segment] = np.array(self.effects)[codes[known].astype(int)]
        parts[:, -1] = self.log_odds
        return parts

    def to_bytes(self) -> bytes:
        """JSON."""
        return _json(self)


@dataclass(frozen=True)
class LogisticColumn:
    """One column of the logistic rung's design: a transform of one feature, centred on its training mean.

    Attributes:
        feature: position in the encoding.
        transform: `number` is sign(x) * log(1 + |x|) (missing reads as the mean), `missing` is 1 where the feature is
            missing, `level` is 1 where the category has `level`.
        mean: training mean of the transformed column (of the present values for `number`).
        scale: training standard deviation, never 0.
        coefficient: log-odds a scaled unit.
        level: the category's code, for `level`.
    """

    feature: int
    transform: Literal["number", "missing", "level"]
    mean: float
    scale: float
    coefficient: float = 0.0
    level: int = -1

    def design(self, matrix: Matrix) -> NDArray[np.float64]:
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
    """A regularised logistic regression; a feature's part is the sum over its columns."""

    features: int
    intercept: float
    columns: tuple[LogisticColumn, ...]

    def __post_init__(self) -> None:
        if not all(0 <= column.feature < self.features and column.scale > 0 for column in self.columns):
            raise ValueError(f"every column must read one of {self.features} features, on a positive scale")

    @property
    def rung(self) -> Rung:
        """The rung's name."""
        return "logistic"

    def contributions(self, matrix: Matrix) -> Matrix:
        """Coefficient times distance from the training mean, by feature."""
        parts = np.zeros((len(matrix), self.features + 1))
        parts[:, -1] = self.intercept
        for column in self.columns:
            parts[:, column.feature] += column.coefficient * column.design(matrix)
        return parts

    def to_bytes(self) -> bytes:
        """JSON."""
        return _json(self)


@dataclass(frozen=True)
class LightGBM:
    """Gradient-boosted trees; contributions are exact TreeSHAP values (Lundberg et al. 2020), LightGBM's own.

    Attributes:
        text: the model in LightGBM's own form.
        rung: whether each tree keeps to one feature (`additive`) or not.
    """

    text: str
    rung: Rung = "lightgbm"

    @cached_property
    def _booster(self) -> "lightgbm.Booster":
        # Imported here because it takes seconds, which most commands need not wait.
        import lightgbm

        return lightgbm.Booster(model_str=sound(self.text))

    def contributions(self, matrix: Matrix) -> Matrix:
        """TreeSHAP values and the expected value."""
        parts = self._booster.predict(matrix, pred_contrib=True, num_threads=1)
        return np.asarray(parts, dtype=np.float64)

    def to_bytes(self) -> bytes:
        """LightGBM's own text."""
        return self.text.encode()


def _json(model: BaseRate | SegmentRates | Logistic) -> bytes:
    return json.dumps(asdict(model)).encode()


def read_model(rung: Rung, content: bytes, features: int) -> MarginModel:
    """The model of so many features that `to_bytes` wrote. Only JSON and LightGBM text are read, never code.

    Raises:
        ValueError: the content is no such model.
    """
    try:
        model = _read_model(rung, content, features)
        parts = model.contributions(np.zeros((1, features)))
    except Exception as error:  # LightGBM has an error class of its own, which to name would take loading it
        raise ValueError(f"not a model of rung {rung}: {error}") from None
    if parts.shape != (1, features + 1):
        raise ValueError(f"a model of {parts.shape[1] - 1} features, not of the encoding's {features}")
    return model


def _read_model(rung: Rung, content: bytes, features: int) -> MarginModel:
    if rung in TREES:
        return LightGBM(content.decode(), rung)
    fields: dict[str, Any] = json.loads(content)
    # Before anything of that size is made.
    if fields["features"] != features:
        raise ValueError(f"it reads {fields['features']} features")
    if rung == "base_rate":
        return BaseRate(**fields)
    if rung == "segment_rates":
        return SegmentRates(**{**fields, "effects": tuple(fields["effects"])})
    return Logistic(**{**fields, "columns": tuple(LogisticColumn(**column) for column in fields["columns"])})


@dataclass(frozen=True)
class Calibration:
    """The affine map of margins to log-odds, and its uncertainty.

    Attributes:
        slope: positive.
        intercept: added to slope times margin.
        draws: (slope, intercept) of account-clustered bootstrap refits of the map; their spread at a margin is the
            range of the probability. It speaks of the map's uncertainty, not of one lead's truth.
    """

    slope: float
    intercept: float
    draws: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.slope < math.inf:
            raise ValueError(f"the calibration's slope must be positive and finite, not {self.slope}")

    @cached_property
    def _drawn(self) -> NDArray[np.float64]:
        """The draws' slopes, and their intercepts."""
        return np.array(self.draws).T

    def log_odds(self, margin: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated log-odds of margins."""
        return self.slope * margin + self.intercept

    def range(self, margin: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The central 95 % of the draws' probabilities at each margin, widened to hold the value itself."""
        value = sigmoid(self.log_odds(margin))
        if not self.draws:
            return value, value
        slopes, intercepts = self._drawn
        drawn = np.sort(sigmoid(np.outer(margin, slopes) + intercepts), axis=1)
        return np.minimum(_quantile(drawn, 0.025), value), np.maximum(_quantile(drawn, 0.975), value)


def _quantile(ordered: Matrix, share: float) -> NDArray[np.float64]:
    """`np.quantile` of each row of values in order, to the last bit; that takes ten times as long for a single row."""
    place = share * (ordered.shape[1] - 1)
    below = math.floor(place)
    part = place - below
    low, high = ordered[:, below], ordered[:, min(below + 1, ordered.shape[1] - 1)]
    # From the nearer of the two, as there.
    quantile: NDArray[np.float64] = low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)
    return quantile
