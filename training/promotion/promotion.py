"""Promotion: challenger against champion on the same frozen test rows, by a paired comparison and guard-rails.

Both are scored on the challenger's test window, without the rows that the champion was trained on. The challenger is
promoted where it loses significantly less (95 %, whole accounts resampled), or where it is certainly not worse by more
than .002 nats and holds a guard-rail that the champion fails. A guard-rail that both fail is told and does not block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from features.catalogue.catalogue import Catalogue
from models.arrays import Reals
from models.bundle import Bundle
from models.probability import losses
from training.data.rows import MIN_WINS
from training.evaluation.bootstrap import ClusterBootstrap
from training.evaluation.metrics import Predictions
from training.evaluation.test_window import FrozenWindow, NotComparable
from training.promotion import guardrails
from training.promotion.guardrails import GuardrailResult

DRAWS = 2000
MARGIN = 0.002
"""Nats a lead by which a challenger with a guard-rail gain may at most be worse."""


class PromotionRefused(ValueError):
    """A version is not good enough to be promoted; the message says why and what overrides it."""


@dataclass(frozen=True)
class ComparedVersion:
    """A version that stands for promotion, or holds the place.

    Attributes:
        version: its number.
        bundle: the model.
        predictions: of its own test window.
    """

    version: str
    bundle: Bundle
    predictions: Predictions


@dataclass(frozen=True)
class Comparison:
    """The paired log-loss difference, challenger less champion, in nats a lead: below 0 the challenger is better.

    Attributes:
        rows, accounts: what it rests on.
        excluded: test rows left out because the champion was trained on them.
        difference: its mean.
        low, high: its central 95 % under the bootstrap of whole accounts.
    """

    rows: int
    accounts: int
    excluded: int
    difference: float
    low: float
    high: float

    @property
    def words(self) -> str:
        """It for readers."""
        return (
            f"log loss less the champion's is {self.difference:+z.4f} ({self.low:+z.4f} to {self.high:+z.4f}) "
            f"on {self.rows:,} leads of {self.accounts:,} accounts"
        )


@dataclass(frozen=True)
class PromotionDecision:
    """Whether a version is promoted, and why.

    Attributes:
        promote: whether it is.
        words: why, in a sentence.
        champion: the version it was compared with; None where there was none.
        comparison: None without a champion to compare with, or where none can be made.
        checks: every guard-rail's result.
    """

    promote: bool
    words: str
    champion: str | None
    comparison: Comparison | None
    checks: tuple[GuardrailResult, ...]

    def to_json(self) -> dict[str, Any]:
        """It as JSON types."""
        comparison = None if self.comparison is None else asdict(self.comparison)
        checks = [check.to_json() for check in self.checks]
        return {**self.__dict__, "comparison": comparison, "checks": checks}

    @property
    def figures(self) -> Mapping[str, float]:
        """Its numbers by name, for a registry."""
        found = {f"{check.name}.{name}": value for check in self.checks for name, value in check.figures.items()}
        own = (
            {} if self.comparison is None else {f"comparison.{k}": float(v) for k, v in asdict(self.comparison).items()}
        )
        return {**own, **found}


def decide(
    challenger: ComparedVersion,
    champion: ComparedVersion | None,
    window: FrozenWindow,
    catalogue: Catalogue,
    *,
    draws: int = DRAWS,
) -> PromotionDecision:
    """Whether the challenger, whose test window is given, takes the champion's place.

    Args:
        challenger: the version asked about.
        champion: what serves; None before the first promotion, or where it cannot be served any more.
        window: the challenger's test window.
        catalogue: says the directions of the challenger's features.
        draws: bootstrap replicates.
    """
    if champion is None:
        return _first(challenger, window, catalogue, draws)
    if champion.version == challenger.version:
        return PromotionDecision(False, "it is the champion already", champion.version, None, ())
    own = _own_checks(challenger.bundle, window, catalogue, draws)
    try:
        rows = _common(challenger, champion, window)
        theirs = rows.probability(champion.bundle)
    except NotComparable as error:
        words = f"it cannot be compared with the champion, version {champion.version}: {error}"
        return PromotionDecision(False, words, champion.version, None, own)
    ours = rows.probability(challenger.bundle)
    comparison = compare(rows, ours, theirs, len(window) - len(rows), draws)
    fitness = _fitness(rows, ours, theirs, draws)
    gains = [mine.name for mine, other in fitness if mine.passed and not other.passed]
    checks = (*own, *(_excused(*pair) for pair in fitness), *_against(rows, ours, theirs, draws))
    return _weigh(comparison, checks, gains, champion.version)


def compare(rows: FrozenWindow, ours: Reals, theirs: Reals, excluded: int, draws: int = DRAWS) -> Comparison:
    """The paired comparison of two sets of probabilities of the same rows."""
    predictions = rows.predictions
    difference = losses(predictions.won, ours) - losses(predictions.won, theirs)
    low, high = ClusterBootstrap(predictions.cluster, np.random.default_rng(0), draws).mean_interval(difference)
    accounts = len(np.unique(predictions.cluster))
    return Comparison(len(rows), accounts, excluded, float(difference.mean()), low, high)


def _common(challenger: ComparedVersion, champion: ComparedVersion, window: FrozenWindow) -> FrozenWindow:
    """The rows on which both can be judged fairly."""
    horizons = challenger.bundle.horizon_days, champion.bundle.horizon_days
    if horizons[0] != horizons[1]:
        raise NotComparable("it predicts within {} days and the champion within {}".format(*horizons))
    rows = window.take(window.unseen(champion.predictions))
    won = rows.predictions.won
    if min(won.sum(), (1 - won).sum()) < MIN_WINS:
        raise NotComparable(
            f"{len(rows):,} of {len(window):,} test leads are new to the champion, {won.sum():.0f} of them won, and it "
            f"takes {MIN_WINS} wins and as many losses; import later outcomes and train again"
        )
    return rows


def _own_checks(bundle: Bundle, window: FrozenWindow, catalogue: Catalogue, draws: int) -> tuple[GuardrailResult, ...]:
    """What a model must hold whoever serves."""
    probability = window.probability(bundle)
    clusters = ClusterBootstrap(window.predictions.cluster, np.random.default_rng(0), draws)
    return (
        guardrails.replay(window, probability),
        guardrails.additivity(bundle, window),
        guardrails.monotonicity(bundle, window, catalogue),
        guardrails.beats_constant(bundle, window, probability, clusters),
    )


def _fitness(
    rows: FrozenWindow, ours: Reals, theirs: Reals, draws: int
) -> list[tuple[GuardrailResult, GuardrailResult]]:
    """Calibration of the challenger beside the champion's."""
    return [
        (guardrails.slope(rows, ours), guardrails.slope(rows, theirs)),
        (guardrails.segment_calibration(rows, ours, draws), guardrails.segment_calibration(rows, theirs, draws)),
    ]


def _excused(mine: GuardrailResult, other: GuardrailResult) -> GuardrailResult:
    """A failing that the champion shares is no reason to keep the champion."""
    if mine.passed or other.passed:
        return mine
    return replace(mine, blocks=False, words=f"{mine.words}; the champion fails too: {other.words}")


def _against(rows: FrozenWindow, ours: Reals, theirs: Reals, draws: int) -> tuple[GuardrailResult, ...]:
    return (
        guardrails.segment_loss(rows, ours, theirs, "the champion", draws),
        guardrails.top_decile_overlap(ours, theirs),
    )


def _first(challenger: ComparedVersion, window: FrozenWindow, catalogue: Catalogue, draws: int) -> PromotionDecision:
    """Without a champion: sound, and better than the constant or honestly it; calibration is told, and blocks not."""
    probability = window.probability(challenger.bundle)
    constant = np.full(len(window), window.predictions.constant)
    told = (
        guardrails.slope(window, probability),
        guardrails.segment_calibration(window, probability, draws),
        guardrails.segment_loss(window, probability, constant, "the constant", draws),
    )
    checks = (*_own_checks(challenger.bundle, window, catalogue, draws), *(replace(c, blocks=False) for c in told))
    failed = _failed(checks)
    if failed:
        return PromotionDecision(False, _list(failed), None, None, checks)
    constant_words = next(check.words for check in checks if check.name == "constant")
    return PromotionDecision(True, f"there is no champion to compare with; {constant_words}", None, None, checks)


def _weigh(
    comparison: Comparison, checks: tuple[GuardrailResult, ...], gains: Sequence[str], champion: str
) -> PromotionDecision:
    failed = _failed(checks)
    better = comparison.high < 0
    even = comparison.high <= MARGIN and bool(gains)
    if failed:
        words = f"{_list(failed)}; {comparison.words}"
    elif better:
        words = f"significantly better: {comparison.words}"
    elif even:
        words = f"not worse by {MARGIN}, and it holds where the champion fails ({', '.join(gains)}): {comparison.words}"
    else:
        words = f"{'worse' if comparison.low > 0 else 'not significantly better'}: {comparison.words}"
    return PromotionDecision(not failed and (better or even), words, champion, comparison, checks)


def _failed(checks: Sequence[GuardrailResult]) -> list[GuardrailResult]:
    return [check for check in checks if check.blocks and not check.passed]


def _list(failed: Sequence[GuardrailResult]) -> str:
    return "; ".join(f"it fails {check.name.replace('_', ' ')}: {check.words}" for check in failed)
