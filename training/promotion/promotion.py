"""Promotion: the challenger against the champion on the same frozen test rows, by a paired comparison and guard-rails.

Both are scored on the challenger's test window, without the rows that the champion was trained on. The challenger is
promoted in two cases: its loss is significantly lower (95 %, whole accounts resampled), or it is certainly not worse by
more than .002 nats and passes a guard-rail that the champion fails. A guard-rail that both fail is reported and does
not block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from features.catalogue.catalogue import Catalogue
from models.arrays import Reals
from models.bundle import Bundle
from models.probability import log_losses
from training.data.rows import MIN_WINS
from training.evaluation.bootstrap import ClusterBootstrap
from training.evaluation.metrics import Predictions
from training.evaluation.test_window import FrozenWindow, NotComparable
from training.promotion import guardrails
from training.promotion.guardrails import GuardrailResult

DRAWS = 2000
MARGIN = 0.002
"""Nats a lead: the most by which a challenger that gains a guard-rail may be worse."""


class PromotionRefused(ValueError):
    """A version is not good enough to be promoted; the message says why, and how to override the refusal."""


@dataclass(frozen=True)
class ComparedVersion:
    """A version in a comparison, the challenger or the champion.

    Attributes:
        version: its number.
        bundle: the model.
        predictions: of its own test window.
    """

    version: str
    bundle: Bundle
    predictions: Predictions


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The paired log-loss difference, challenger less champion, in nats a lead: below 0 the challenger is better.

    Attributes:
        rows, accounts: the number of rows and accounts compared.
        excluded: test rows left out because the champion was trained on them.
        difference: the mean difference.
        low, high: its central 95 % by the bootstrap of whole accounts.
    """

    rows: int
    accounts: int
    excluded: int
    difference: float
    low: float
    high: float

    @property
    def words(self) -> str:
        """The comparison in words."""
        return (
            f"log loss less the champion's is {self.difference:+z.4f} ({self.low:+z.4f} to {self.high:+z.4f}) "
            f"on {self.rows:,} leads of {self.accounts:,} accounts"
        )


@dataclass(frozen=True, kw_only=True)
class PromotionDecision:
    """Whether a version is promoted, and why.

    Attributes:
        promote: whether the version is promoted.
        words: why, in a sentence.
        champion: the version of the champion; None without a champion.
        comparison: None without a champion, or where the two cannot be compared.
        checks: the result of every guard-rail.
    """

    promote: bool
    words: str
    champion: str | None
    comparison: Comparison | None
    checks: tuple[GuardrailResult, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        comparison = None if self.comparison is None else asdict(self.comparison)
        checks = [check.to_dict() for check in self.checks]
        return {**self.__dict__, "comparison": comparison, "checks": checks}

    @property
    def figures(self) -> Mapping[str, float]:
        """The numbers of comparison and guard-rails by name, for the registry."""
        of_checks = {f"{check.name}.{name}": value for check in self.checks for name, value in check.figures.items()}
        own = (
            {} if self.comparison is None else {f"comparison.{k}": float(v) for k, v in asdict(self.comparison).items()}
        )
        return {**own, **of_checks}


def decide(
    challenger: ComparedVersion,
    champion: ComparedVersion | None,
    window: FrozenWindow,
    catalogue: Catalogue,
    *,
    draws: int = DRAWS,
) -> PromotionDecision:
    """Decide whether the challenger, whose test window is given, replaces the champion.

    Args:
        challenger: the version to decide on.
        champion: the serving version; None before the first promotion, or where it can no longer be served.
        window: the challenger's test window.
        catalogue: gives the directions of the challenger's features.
        draws: bootstrap replicates.
    """
    if champion is None:
        return _first(challenger, window, catalogue, draws)
    if champion.version == challenger.version:
        return PromotionDecision(
            promote=False, words="it is the champion already", champion=champion.version, comparison=None, checks=()
        )
    own = _own_checks(challenger.bundle, window, catalogue, draws)
    try:
        rows = _common(challenger, champion, window)
        theirs = rows.probability(champion.bundle)
    except NotComparable as error:
        words = f"it cannot be compared with the champion, version {champion.version}: {error}"
        return PromotionDecision(promote=False, words=words, champion=champion.version, comparison=None, checks=own)
    ours = rows.probability(challenger.bundle)
    comparison = compare(rows, ours, theirs, len(window) - len(rows), draws)
    calibration = _calibration(rows, ours, theirs, draws)
    gains = [mine.name for mine, other in calibration if mine.passed and not other.passed]
    checks = (*own, *(_excused(*pair) for pair in calibration), *_against(rows, ours, theirs, draws))
    return _weigh(comparison, checks, gains, champion.version)


def compare(rows: FrozenWindow, ours: Reals, theirs: Reals, excluded: int, draws: int = DRAWS) -> Comparison:
    """The paired comparison of two sets of probabilities of the same rows."""
    predictions = rows.predictions
    difference = log_losses(predictions.won, ours) - log_losses(predictions.won, theirs)
    low, high = ClusterBootstrap(predictions.cluster, np.random.default_rng(0), draws).mean_interval(difference)
    accounts = len(np.unique(predictions.cluster))
    return Comparison(
        rows=len(rows), accounts=accounts, excluded=excluded, difference=float(difference.mean()), low=low, high=high
    )


def _common(challenger: ComparedVersion, champion: ComparedVersion, window: FrozenWindow) -> FrozenWindow:
    """The rows that neither version was trained on."""
    horizons = challenger.bundle.horizon_days, champion.bundle.horizon_days
    if horizons[0] != horizons[1]:
        raise NotComparable("it predicts within {} days and the champion within {}".format(*horizons))
    rows = window.take(window.unseen(champion.predictions))
    won = rows.predictions.won
    if min(won.sum(), (1 - won).sum()) < MIN_WINS:
        raise NotComparable(
            f"{len(rows):,} of {len(window):,} test leads are new to the champion, {won.sum():.0f} of them won, and it "
            f"takes {MIN_WINS} wins and as many log_losses; import later outcomes and train again"
        )
    return rows


def _own_checks(bundle: Bundle, window: FrozenWindow, catalogue: Catalogue, draws: int) -> tuple[GuardrailResult, ...]:
    """The guard-rails of a model that do not depend on the champion."""
    probability = window.probability(bundle)
    clusters = ClusterBootstrap(window.predictions.cluster, np.random.default_rng(0), draws)
    return (
        guardrails.replay(window, probability),
        guardrails.additivity(bundle, window),
        guardrails.monotonicity(bundle, window, catalogue),
        guardrails.beats_constant(bundle, window, probability, clusters),
    )


def _calibration(
    rows: FrozenWindow, ours: Reals, theirs: Reals, draws: int
) -> list[tuple[GuardrailResult, GuardrailResult]]:
    """The calibration guard-rails of the challenger, each beside that of the champion."""
    return [
        (guardrails.slope(rows, ours), guardrails.slope(rows, theirs)),
        (guardrails.segment_calibration(rows, ours, draws), guardrails.segment_calibration(rows, theirs, draws)),
    ]


def _excused(mine: GuardrailResult, other: GuardrailResult) -> GuardrailResult:
    """The challenger's result; a failure that the champion shares does not block."""
    if mine.passed or other.passed:
        return mine
    return replace(mine, blocks=False, words=f"{mine.words}; the champion fails too: {other.words}")


def _against(rows: FrozenWindow, ours: Reals, theirs: Reals, draws: int) -> tuple[GuardrailResult, ...]:
    return (
        guardrails.segment_loss(rows, ours, theirs, "the champion", draws),
        guardrails.top_decile_overlap(ours, theirs),
    )


def _first(challenger: ComparedVersion, window: FrozenWindow, catalogue: Catalogue, draws: int) -> PromotionDecision:
    """Decide without a champion: the version must be sound and beat the constant; calibration does not block."""
    probability = window.probability(challenger.bundle)
    constant = np.full(len(window), window.predictions.constant)
    reported = (
        guardrails.slope(window, probability),
        guardrails.segment_calibration(window, probability, draws),
        guardrails.segment_loss(window, probability, constant, "the constant", draws),
    )
    checks = (*_own_checks(challenger.bundle, window, catalogue, draws), *(replace(c, blocks=False) for c in reported))
    failed = _failed(checks)
    if failed:
        return PromotionDecision(promote=False, words=_list(failed), champion=None, comparison=None, checks=checks)
    constant_words = next(check.words for check in checks if check.name == "constant")
    return PromotionDecision(
        promote=True,
        words=f"there is no champion to compare with; {constant_words}",
        champion=None,
        comparison=None,
        checks=checks,
    )


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
    return PromotionDecision(
        promote=not failed and (better or even), words=words, champion=champion, comparison=comparison, checks=checks
    )


def _failed(checks: Sequence[GuardrailResult]) -> list[GuardrailResult]:
    return [check for check in checks if check.blocks and not check.passed]


def _list(failed: Sequence[GuardrailResult]) -> str:
    return "; ".join(f"it fails {check.name.replace('_', ' ')}: {check.words}" for check in failed)
