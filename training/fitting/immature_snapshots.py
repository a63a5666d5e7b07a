"""Immature snapshots: is the selected rung better if it also learns from snapshots too young for a label?

Take a snapshot made at s with the horizon H, at a moment before s + H, its lead open after c days. Its label is not
known. Its expected label is q = [F(H) - F(c)] / S(c), by a hazard model that never saw the account. The snapshot counts
as a win with weight q and as a loss with weight 1 - q. Such soft labels must earn their place: at every rolling origin
the rung is fitted again with the facts known by the origin, and soft labels are used only where they lower the
out-of-time loss.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from features.value_types import DAY
from models.arrays import Integers, Reals
from models.encoding import Encoding
from models.probability import MEMBERS, Rung, log_losses
from training.data.rows import MIN_WINS, Rows
from training.data.splits import Fold
from training.evaluation.report import ImmatureSnapshots
from training.fitting.model_selection import Choice
from training.fitting.rolling_origins import RollingOrigins
from training.hazard.follow_up import LOST, WON, FollowUp, KnownOutcomes
from training.hazard.incidence import Incidence, periods_for
from training.hazard.model import CrossFitted, HazardData

_WEIGHTED_RUNGS: tuple[Rung, ...] = (*MEMBERS, "blend")
"""The rungs that accept weights; the others count whole leads."""


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Snapshots with their features and follow-up.

    Attributes:
        rows: encoded features, complete labels and weights.
        follow_up: when their leads closed and when the closes were recorded.
        encoding: the encoding of the features.
        directions: the direction of each feature.
        horizon_days: the horizon H.

    Raises:
        ValueError: rows and follow-up differ in length.
    """

    rows: Rows
    follow_up: FollowUp
    encoding: Encoding
    directions: Sequence[int]
    horizon_days: int

    def __post_init__(self) -> None:
        if len(self.rows.won) != len(self.follow_up):
            raise ValueError(f"{len(self.rows.won)} rows cannot have {len(self.follow_up)} follow-ups; give one each")

    @property
    def periods(self) -> tuple[int, ...]:
        """The ends of the periods, with the horizon among them."""
        return periods_for(self.horizon_days)

    def immature(self, moment: int) -> Integers:
        """Positions of the snapshots made before a moment whose horizon ends after it."""
        as_of = self.follow_up.as_of
        return np.flatnonzero((as_of < moment) & (as_of + self.horizon_days * DAY > moment))

    def hazard_data(self, moment: int) -> HazardData:
        """The data that a hazard model may learn from by a moment."""
        return HazardData.of(self.rows.matrix, self.follow_up, moment, self.periods, self.encoding)


@dataclass(frozen=True, kw_only=True)
class SoftLabelTrial:
    """The comparison of the rung with and without soft labels.

    Attributes:
        used: whether soft labels are used.
        reason: why, in words.
        margins: the rung's margins of the scored rows, with soft labels where they are used, else those of the choice.
        gain, error: nats a lead gained by soft labels, and the clustered standard error; None where not compared.
    """

    used: bool
    reason: str
    margins: tuple[Reals, ...]
    gain: float | None = None
    error: float | None = None

    @property
    def summary(self) -> ImmatureSnapshots:
        """The comparison as reports keep it."""
        return ImmatureSnapshots(self.used, self.reason, self.gain, self.error)


def soft_labels(known: KnownOutcomes, incidence: Incidence, horizon_days: int) -> Reals:
    """P(won within the horizon | known facts) of immature snapshots.

    A known win is 1 and a known loss 0; an open lead has q = [F(H) - F(c)] / S(c), c days after the snapshot.
    """
    followed = np.minimum(known.days, float(horizon_days))
    ahead = incidence.won_by(float(horizon_days)) - incidence.won_by(followed)
    q = np.clip(ahead / np.maximum(incidence.open_at(followed), 1e-9), 0.0, 1.0)
    return np.where(known.event == WON, 1.0, np.where(known.event == LOST, 0.0, q))


def with_immature_rows(cohort: Cohort, complete: Integers, moment: int, seed: int) -> Rows:
    """The rows at `complete`, followed by the immature snapshots at a moment with their soft labels.

    Two hazard models are fitted, each on half of the accounts.
    """
    young = cohort.immature(moment)
    hazard = cohort.hazard_data(moment).cross_fit(cohort.follow_up.cluster, seed)
    q = _soft(cohort, hazard, young, moment)
    won, weight = np.repeat([1.0, 0.0], len(young)), np.tile(cohort.rows.weight[young], 2) * np.append(q, 1 - q)
    counted = weight > 0
    both = np.tile(young, 2)[counted]
    whole, parts = cohort.rows.take(complete), cohort.rows.take(both)
    return Rows(
        matrix=np.concatenate([whole.matrix, parts.matrix]),
        won=np.append(whole.won, won[counted]),
        weight=np.append(whole.weight, weight[counted]),
        # A soft-labelled row is part of a lead: counts of leads at creation include complete labels only.
        at_creation=np.append(whole.at_creation, np.zeros(len(both), dtype=bool)),
        position=None
        if whole.position is None or parts.position is None
        else np.append(whole.position, parts.position),
    )


def _soft(cohort: Cohort, hazard: CrossFitted, young: Integers, moment: int) -> Reals:
    incidence = hazard.incidence(cohort.rows.matrix, young)
    return soft_labels(cohort.follow_up.take(young).known_by(moment), incidence, cohort.horizon_days)


def try_soft_labels(
    cohort: Cohort, origins: RollingOrigins, choice: Choice, progress: Callable[[str], None]
) -> SoftLabelTrial:
    """Compare the selected rung, at its settings, with and without soft labels; two hazard fits an origin.

    Soft labels are used where they lower the loss by more than one standard error, paired and by account, with both
    calibrated alike.
    """
    reason = _reason_not_tried(cohort, choice, origins.folds)
    if reason:
        return SoftLabelTrial(used=False, reason=reason, margins=choice.margins)
    margins = tuple(_margins(cohort, origins, fold, choice, progress) for fold in origins.folds)
    without, with_ = (log_losses(origins.won, origins.calibrated(some)) for some in (choice.margins, margins))
    return _conclude(
        choice, margins, float((without - with_).mean()), origins.bootstrap.standard_error(without - with_)
    )


def _conclude(choice: Choice, margins: tuple[Reals, ...], gain: float, error: float) -> SoftLabelTrial:
    used = gain > error
    words = (
        f"with soft-labelled immature snapshots the {choice.rung} rung loses {abs(gain):.4f} nats a lead "
        f"{'less' if gain >= 0 else 'more'} out of time"
    )
    bar = f"the standard error of {error:.4f}"
    reason = f"{words}, {'more than' if used else 'which is no gain beyond'} {bar}"
    return SoftLabelTrial(used=used, reason=reason, margins=margins if used else choice.margins, gain=gain, error=error)


def origin(cohort: Cohort, fold: Fold) -> int:
    """The moment of a rolling origin: that of its first judged row."""
    return int(cohort.follow_up.as_of[fold.judge].min())


def _reason_not_tried(cohort: Cohort, choice: Choice, folds: Sequence[Fold]) -> str | None:
    """Why soft labels are not tried; None where they are."""
    if choice.rung not in _WEIGHTED_RUNGS:
        return f"not tried: the {choice.rung} rung counts whole leads"
    for fold in folds:
        moment = origin(cohort, fold)
        wins = cohort.follow_up.wins(moment)
        if wins < MIN_WINS:
            return f"not tried: only {wins} wins were known by a rolling origin, {MIN_WINS} are needed"
        if cohort.horizon_days not in cohort.hazard_data(moment).periods:
            return f"not tried: too few leads were watched for {cohort.horizon_days} days by a rolling origin"
    return None


def _margins(
    cohort: Cohort, origins: RollingOrigins, fold: Fold, choice: Choice, progress: Callable[[str], None]
) -> Reals:
    """The rung's margins of the rows that a fold scores, fitted with soft labels as known by its origin."""
    moment = origin(cohort, fold)
    progress(f"soft labels for {len(cohort.immature(moment)):,} immature snapshots at a rolling origin")
    rows = with_immature_rows(cohort, fold.fit, moment, origins.seed)
    fitted = choice.fit(rows, cohort.encoding, cohort.directions, origins.seed)
    margins: Reals = fitted.contributions(cohort.rows.matrix[origins.scored_rows(fold)]).sum(axis=1)
    return margins
