"""Guard-rails: what a model must hold to be served, each a named result with figures and words.

Pure functions of a bundle and a frozen test window. Intervals resample or sum whole accounts. Where many segments are
judged at once, each is judged so strictly that all hold together at 95 % (Bonferroni).
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
from models.probability import losses
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
LEAST_OVERLAP = 0.7
TOP = 0.1
TOLERANCE = 1e-9
FEWEST_EXPECTED = 10.0
"""Wins, and losses, that a segment must lead one to expect to be judged apart."""
ROWS_ADDED, ROWS_SWEPT, STEPS = 2000, 60, 9


@dataclass(frozen=True)
class GuardrailResult:
    """What one guard-rail came to.

    Attributes:
        name: the guard-rail.
        passed: whether it holds.
        words: what was found.
        figures: the numbers behind the words.
        blocks: whether its failing forbids promotion.
    """

    name: Name
    passed: bool
    words: str
    figures: Mapping[str, float] = field(default_factory=dict)
    blocks: bool = True

    def to_json(self) -> dict[str, Any]:
        """It as JSON types."""
        return {**asdict(self), "figures": dict(self.figures)}


def replay(window: FrozenWindow, probability: Reals) -> GuardrailResult:
    """The bundle says of its test rows what it said when it was trained."""
    worst = float(np.abs(probability - window.predictions.probability).max())
    words = f"the test rows score as they did in training, within {worst:.1g}"
    if worst > TOLERANCE:
        words = f"the test rows score up to {worst:.2g} apart from what they did in training"
    return GuardrailResult("replay", worst <= TOLERANCE, words, {"worst": worst})


def additivity(bundle: Bundle, window: FrozenWindow) -> GuardrailResult:
    """Contributions sum to the log-odds that the model yields without them."""
    rows = _spread(len(window), ROWS_ADDED)
    matrix = window.matrix(bundle)[rows]
    worst = float(np.abs(bundle.parts(matrix).sum(axis=1) - log_odds(bundle, matrix)).max())
    words = f"explanations of {len(rows):,} test rows sum to their log-odds within {worst:.1g}"
    return GuardrailResult("additivity", worst <= TOLERANCE, words, {"worst": worst, "rows": float(len(rows))})


def monotonicity(bundle: Bundle, window: FrozenWindow, catalogue: Catalogue) -> GuardrailResult:
    """Raising a feature in its declared direction never lowers the log-odds: a sweep over test rows."""
    matrix = window.matrix(bundle)
    rows = matrix[_spread(len(matrix), ROWS_SWEPT)]
    falls = {
        name: _fall(bundle, rows, matrix[:, place], place, catalogue[name].direction)
        for place, name in enumerate(bundle.encoding.names)
        if catalogue[name].direction
    }
    against = sorted(name for name, fall in falls.items() if fall > TOLERANCE)
    words = f"{len(falls)} features with a direction keep it over {len(rows)} test rows"
    if against:
        words = f"against their direction: {', '.join(against)}"
    return GuardrailResult("monotonicity", not against, words, {"worst": max(falls.values(), default=0.0)})


def _fall(bundle: Bundle, rows: Reals, column: Reals, place: int, direction: int) -> float:
    """The most the log-odds fall while one feature rises, in its direction, through the values it has."""
    present = column[~np.isnan(column)]
    if not len(present):
        return 0.0
    # Beyond the values seen too: a rise there must not hurt either.
    steps = np.unique(np.append(np.quantile(present, np.linspace(0, 1, STEPS)), [present.min() - 1, present.max() * 2]))
    swept = np.repeat(rows, len(steps), axis=0)
    swept[:, place] = np.tile(steps, len(rows))
    odds = log_odds(bundle, swept).reshape(len(rows), len(steps))
    return max(float(-(direction * np.diff(odds, axis=1)).min(initial=0.0)), 0.0)


def beats_constant(
    bundle: Bundle, window: FrozenWindow, probability: Reals, clusters: ClusterBootstrap
) -> GuardrailResult:
    """A fitted rung loses less than the base rate of its training; the base rate itself claims nothing."""
    if bundle.rung == "base_rate":
        return GuardrailResult("constant", True, "it is the base rate and claims no more")
    won = window.predictions.won
    difference = losses(won, probability) - losses(won, np.full(len(won), window.predictions.constant))
    mean, (low, high) = float(difference.mean()), clusters.mean_interval(difference)
    words = f"log loss less the constant's: {mean:+z.4f} ({low:+z.4f} to {high:+z.4f})"
    return GuardrailResult("constant", mean < 0, words, {"difference": mean, "low": low, "high": high})


def slope(window: FrozenWindow, probability: Reals) -> GuardrailResult:
    """The calibration slope's 95 % interval meets .9 to 1.1."""
    found = sandwich_slope(window.predictions.won, probability, window.predictions.cluster)
    if found is None:
        return GuardrailResult(
            "calibration_slope", True, "every lead has the same probability, or one outcome: no slope"
        )
    words = f"calibration slope {found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
    passed = found.low <= SLOPE[1] and found.high >= SLOPE[0]
    figures = {"slope": found.value, "low": found.low, "high": found.high}
    return GuardrailResult("calibration_slope", passed, words, figures)


@dataclass(frozen=True)
class WindowSegment:
    """Some rows of a window: what they are cut by, which value, and where they are."""

    cut: str
    value: str
    rows: NDArray[np.bool_]

    @property
    def words(self) -> str:
        """Its name for readers."""
        return f"{self.cut} {self.value}"


def segments(window: FrozenWindow, probability: Reals) -> list[WindowSegment]:
    """Those large enough to be judged: at least 10 wins and 10 losses expected."""
    return [
        s
        for s in _segments(window)
        if min(probability[s.rows].sum(), (1 - probability[s.rows]).sum()) >= FEWEST_EXPECTED
    ]


def _segments(window: FrozenWindow) -> Iterator[WindowSegment]:
    for cut, of in window.segments().items():
        for value in np.unique(of[of != ""]):
            yield WindowSegment(cut, str(value), of == value)


def segment_calibration(window: FrozenWindow, probability: Reals, draws: int) -> GuardrailResult:
    """In no partner, region or channel do observed and predicted shares differ by more than chance allows."""
    found = segments(window, probability)
    if not found:
        return GuardrailResult(
            "segment_calibration", True, "no partner, region or channel has leads enough to be judged apart"
        )
    residual = window.predictions.won - probability
    scores = {s.words: _z(residual[s.rows], window.predictions.cluster[s.rows], draws) for s in found}
    limit = _limit(len(found))
    off = [s for s in found if abs(scores[s.words]) > limit]
    off.sort(key=lambda s: -abs(scores[s.words]))
    words = f"observed and predicted shares agree in all {len(found)} partners, regions and channels judged"
    if off:
        shown = [
            f"{s.words} (predicted {probability[s.rows].mean():.1%}, won {window.predictions.won[s.rows].mean():.1%})"
            for s in off[:3]
        ]
        words = f"observed and predicted shares differ in {len(off)} of {len(found)} segments: {', '.join(shown)}"
    worst = max(map(abs, scores.values()))
    figures = {"segments": float(len(found)), "off": float(len(off)), "worst_z": worst, "limit_z": limit}
    return GuardrailResult("segment_calibration", not off, words, figures)


def segment_loss(
    window: FrozenWindow, probability: Reals, other: Reals, other_name: str, draws: int
) -> GuardrailResult:
    """In no segment is log loss significantly above that of `other` probabilities; the worst segment is named."""
    found = segments(window, probability)
    if not found:
        return GuardrailResult(
            "segment_loss", True, "no partner, region or channel has leads enough to be judged apart"
        )
    won, cluster, limit = window.predictions.won, window.predictions.cluster, _limit(len(found))
    gap = losses(won, probability) - losses(won, other)
    worse = [s for s in found if _z(gap[s.rows], cluster[s.rows], draws) > limit]
    worst = max(found, key=lambda s: log_loss(won[s.rows], probability[s.rows]))
    own, theirs = (log_loss(won[worst.rows], p[worst.rows]) for p in (probability, other))
    words = f"in no segment worse than {other_name}; its worst is {worst.words}, {own:.4f} against {theirs:.4f}"
    if worse:
        words = f"significantly worse than {other_name} in {', '.join(s.words for s in worse[:3])}"
    figures = {"segments": float(len(found)), "worse": float(len(worse)), "worst": own, "worst_other": theirs}
    return GuardrailResult("segment_loss", not worse, words, figures)


def _z(values: Reals, cluster: NDArray[np.str_], draws: int) -> float:
    """How many clustered standard errors a mean is from 0."""
    error = ClusterBootstrap(cluster, np.random.default_rng(0), draws).standard_error(values)
    return float(values.mean() / error) if error > 0 else 0.0


def _limit(count: int) -> float:
    return float(norm.ppf(1 - 0.025 / count))


def top_decile_overlap(probability: Reals, other: Reals) -> GuardrailResult:
    """The tenth of leads that sales would work first is mostly the champion's."""
    if min(np.ptp(probability), np.ptp(other)) < TOLERANCE:
        return GuardrailResult(
            "top_decile_overlap", True, "one of the two gives every lead the same: there is no top tenth"
        )
    places = TOP * len(probability)
    shared = float(np.minimum(top_shares(probability, places), top_shares(other, places)).sum() / places)
    words = f"{shared:.0%} of the champion's top tenth stays in the top tenth (at least {LEAST_OVERLAP:.0%})"
    return GuardrailResult("top_decile_overlap", shared >= LEAST_OVERLAP, words, {"shared": shared})


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """At most so many positions, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))
