"""Guard-rails: the conditions that a model must meet to be served, each a named result with figures and words.

They are pure functions of a bundle and a frozen test window. Intervals resample or sum whole accounts. Where many
segments are judged at once, each is judged so strictly that all together hold at 95 % (Bonferroni).
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from features.catalogue.catalogue import Catalogue
from models.arrays import Reals
from models.bundle import Bundle
from models.probability import log_losses
from training.evaluation.bootstrap import ClusterBootstrap
from training.evaluation.calibration_slope import sandwich_slope
from training.evaluation.lift import top_shares
from training.evaluation.metrics import log_loss
from training.evaluation.test_window import FrozenWindow, log_odds

Name: TypeAlias = Literal[
    "replay",
    "additivity",
    "monotonicity",
    "constant",
    "calibration_slope",
    "segment_calibration",
    "segment_loss",
    "top_decile_overlap",
]
SLOPE = (0.9, 1.1)
MIN_OVERLAP = 0.7
TOP = 0.1
TOLERANCE = 1e-9
MIN_EXPECTED = 10.0
"""Expected wins, and log_losses, that a segment needs to be judged."""
ROWS_ADDED, ROWS_SWEPT, STEPS = 2000, 60, 9


@dataclass(frozen=True, kw_only=True)
class GuardrailResult:
    """The result of one guard-rail.

    Attributes:
        name: the guard-rail.
        passed: whether the model meets it.
        words: the finding in words.
        figures: the numbers behind the words.
        blocks: whether a failure forbids promotion.
    """

    name: Name
    passed: bool
    words: str
    figures: Mapping[str, float] = field(default_factory=dict)
    blocks: bool = True

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {**asdict(self), "figures": dict(self.figures)}


def replay(window: FrozenWindow, probability: Reals) -> GuardrailResult:
    """The bundle gives its test rows the probabilities that it gave them in training."""
    worst = float(np.abs(probability - window.predictions.probability).max())
    words = f"the test rows score as they did in training, within {worst:.1g}"
    if worst > TOLERANCE:
        words = f"the test rows score up to {worst:.2g} apart from what they did in training"
    return GuardrailResult(name="replay", passed=worst <= TOLERANCE, words=words, figures={"worst": worst})


def additivity(bundle: Bundle, window: FrozenWindow) -> GuardrailResult:
    """Contributions sum to the log-odds that the model gives without them."""
    rows = _spread(len(window), ROWS_ADDED)
    matrix = window.matrix(bundle)[rows]
    worst = float(np.abs(bundle.contributions(matrix).sum(axis=1) - log_odds(bundle, matrix)).max())
    words = f"explanations of {len(rows):,} test rows sum to their log-odds within {worst:.1g}"
    return GuardrailResult(
        name="additivity", passed=worst <= TOLERANCE, words=words, figures={"worst": worst, "rows": float(len(rows))}
    )


def monotonicity(bundle: Bundle, window: FrozenWindow, catalogue: Catalogue) -> GuardrailResult:
    """Raising a feature in its declared direction never lowers the log-odds: a sweep over test rows."""
    matrix = window.matrix(bundle)
    rows = matrix[_spread(len(matrix), ROWS_SWEPT)]
    falls = {
        name: _fall(bundle, rows, matrix[:, position], position, catalogue[name].direction)
        for position, name in enumerate(bundle.encoding.names)
        if catalogue[name].direction
    }
    against = sorted(name for name, fall in falls.items() if fall > TOLERANCE)
    words = f"{len(falls)} features with a direction keep it over {len(rows)} test rows"
    if against:
        words = f"against their direction: {', '.join(against)}"
    return GuardrailResult(
        name="monotonicity", passed=not against, words=words, figures={"worst": max(falls.values(), default=0.0)}
    )


def _fall(bundle: Bundle, rows: Reals, column: Reals, position: int, direction: int) -> float:
    """The largest fall of the log-odds while one feature rises, in its direction, through the values it has."""
    present = column[~np.isnan(column)]
    if not len(present):
        return 0.0
    # The sweep goes beyond the values of the window: a rise there must not lower the log-odds either.
    steps = np.unique(np.append(np.quantile(present, np.linspace(0, 1, STEPS)), [present.min() - 1, present.max() * 2]))
    swept = np.repeat(rows, len(steps), axis=0)
    swept[:, position] = np.tile(steps, len(rows))
    odds = log_odds(bundle, swept).reshape(len(rows), len(steps))
    return max(float(-(direction * np.diff(odds, axis=1)).min(initial=0.0)), 0.0)


def beats_constant(
    bundle: Bundle, window: FrozenWindow, probability: Reals, clusters: ClusterBootstrap
) -> GuardrailResult:
    """A fitted rung has a lower loss than the base rate of its training; the base rate itself claims no skill."""
    if bundle.rung == "base_rate":
        return GuardrailResult(name="constant", passed=True, words="it is the base rate and claims no more")
    won = window.predictions.won
    difference = log_losses(won, probability) - log_losses(won, np.full(len(won), window.predictions.constant))
    mean, (low, high) = float(difference.mean()), clusters.mean_interval(difference)
    words = f"log loss less the constant's: {mean:+z.4f} ({low:+z.4f} to {high:+z.4f})"
    return GuardrailResult(
        name="constant", passed=mean < 0, words=words, figures={"difference": mean, "low": low, "high": high}
    )


def slope(window: FrozenWindow, probability: Reals) -> GuardrailResult:
    """The calibration slope's 95 % interval meets .9 to 1.1."""
    estimate = sandwich_slope(window.predictions.won, probability, window.predictions.cluster)
    if estimate is None:
        return GuardrailResult(
            name="calibration_slope", passed=True, words="every lead has the same probability, or one outcome: no slope"
        )
    words = f"calibration slope {estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
    passed = estimate.low <= SLOPE[1] and estimate.high >= SLOPE[0]
    figures = {"slope": estimate.value, "low": estimate.low, "high": estimate.high}
    return GuardrailResult(name="calibration_slope", passed=passed, words=words, figures=figures)


@dataclass(frozen=True)
class WindowSegment:
    """A segment of a window: the cut, its value, and flags of the rows."""

    cut: str
    value: str
    rows: NDArray[np.bool_]

    @property
    def words(self) -> str:
        """The segment in words."""
        return f"{self.cut} {self.value}"


def segments(window: FrozenWindow, probability: Reals) -> list[WindowSegment]:
    """The segments large enough to be judged: at least 10 expected wins and 10 expected log_losses."""
    return [
        s for s in _segments(window) if min(probability[s.rows].sum(), (1 - probability[s.rows]).sum()) >= MIN_EXPECTED
    ]


def _segments(window: FrozenWindow) -> Iterator[WindowSegment]:
    for cut, of in window.segments().items():
        for value in np.unique(of[of != ""]):
            yield WindowSegment(cut, str(value), of == value)


def segment_calibration(window: FrozenWindow, probability: Reals, draws: int) -> GuardrailResult:
    """Observed and predicted shares of every partner, region and channel differ by no more than chance allows."""
    judged = segments(window, probability)
    if not judged:
        return GuardrailResult(
            name="segment_calibration",
            passed=True,
            words="no partner, region or channel has leads enough to be judged apart",
        )
    residual = window.predictions.won - probability
    scores = {s.words: _z(residual[s.rows], window.predictions.cluster[s.rows], draws) for s in judged}
    limit = _limit(len(judged))
    off = [s for s in judged if abs(scores[s.words]) > limit]
    off.sort(key=lambda s: -abs(scores[s.words]))
    words = f"observed and predicted shares agree in all {len(judged)} partners, regions and channels judged"
    if off:
        shown = [
            f"{s.words} (predicted {probability[s.rows].mean():.1%}, won {window.predictions.won[s.rows].mean():.1%})"
            for s in off[:3]
        ]
        words = f"observed and predicted shares differ in {len(off)} of {len(judged)} segments: {', '.join(shown)}"
    worst = max(map(abs, scores.values()))
    figures = {"segments": float(len(judged)), "off": float(len(off)), "worst_z": worst, "limit_z": limit}
    return GuardrailResult(name="segment_calibration", passed=not off, words=words, figures=figures)


def segment_loss(
    window: FrozenWindow, probability: Reals, other: Reals, other_name: str, draws: int
) -> GuardrailResult:
    """The log loss of every segment is not significantly above that of `other` probabilities; the worst is named."""
    judged = segments(window, probability)
    if not judged:
        return GuardrailResult(
            name="segment_loss", passed=True, words="no partner, region or channel has leads enough to be judged apart"
        )
    won, cluster, limit = window.predictions.won, window.predictions.cluster, _limit(len(judged))
    gap = log_losses(won, probability) - log_losses(won, other)
    worse = [s for s in judged if _z(gap[s.rows], cluster[s.rows], draws) > limit]
    worst = max(judged, key=lambda s: log_loss(won[s.rows], probability[s.rows]))
    own, theirs = (log_loss(won[worst.rows], p[worst.rows]) for p in (probability, other))
    words = f"in no segment worse than {other_name}; its worst is {worst.words}, {own:.4f} against {theirs:.4f}"
    if worse:
        words = f"significantly worse than {other_name} in {', '.join(s.words for s in worse[:3])}"
    figures = {"segments": float(len(judged)), "worse": float(len(worse)), "worst": own, "worst_other": theirs}
    return GuardrailResult(name="segment_loss", passed=not worse, words=words, figures=figures)


def _z(values: Reals, cluster: NDArray[np.str_], draws: int) -> float:
    """The mean divided by its clustered standard error; 0 where the error is 0."""
    error = ClusterBootstrap(cluster, np.random.default_rng(0), draws).standard_error(values)
    return float(values.mean() / error) if error > 0 else 0.0


def _limit(count: int) -> float:
    """The two-sided 95 % limit of |z| for `count` segments together (Bonferroni)."""
    return float(norm.ppf(1 - 0.025 / count))


def top_decile_overlap(probability: Reals, other: Reals) -> GuardrailResult:
    """Most of the top tenth of leads stays in the top tenth."""
    if min(np.ptp(probability), np.ptp(other)) < TOLERANCE:
        return GuardrailResult(
            name="top_decile_overlap",
            passed=True,
            words="one of the two gives every lead the same: there is no top tenth",
        )
    places = TOP * len(probability)
    shared = float(np.minimum(top_shares(probability, places), top_shares(other, places)).sum() / places)
    words = f"{shared:.0%} of the champion's top tenth stays in the top tenth (at least {MIN_OVERLAP:.0%})"
    return GuardrailResult(
        name="top_decile_overlap", passed=shared >= MIN_OVERLAP, words=words, figures={"shared": shared}
    )


def _spread(count: int, limit: int) -> NDArray[np.int64]:
    """At most `limit` positions out of `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).astype(np.int64))
