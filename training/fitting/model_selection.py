"""Model selection: each rung is fitted at every rolling origin and judged by out-of-time log loss.

The blend is served where any rung has skill beyond the base rate, unless a simpler rung does as well at every origin.
To pick a winner among the fitted rungs would be to pick from noise: their differences are small beside their errors.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.arrays import Matrix, Reals
from models.encoding import Encoding
from models.probability import MEMBERS, RUNGS, TREES, Blend, MarginModel, Rung, SegmentRates, log_losses
from training.data.rows import Rows, has_enough_outcomes
from training.evaluation.metrics import auc, log_loss
from training.evaluation.report import RungMetrics
from training.fitting.blend import Member, stacked_weights
from training.fitting.intercept_sample import InterceptSample, intercept_leads
from training.fitting.ladder import (
    STAGES,
    TreeSettings,
    fit_base_rate,
    fit_logistic,
    fit_logistics,
    fit_segment_rates,
    fit_trees,
    staged_margins,
)
from training.fitting.rolling_origins import RollingOrigins
from training.fitting.tuning import NOT_TUNED, Tuned

Settings = Mapping[str, float]

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3)
"""The logistic rung's regularisation, as scikit-learn's C."""
_USUAL_STRENGTH = 0.01
"""The strength where few wins tell strengths apart."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The selected rung.

    Attributes:
        rung: the rung to serve.
        reason: why this rung, in words.
        settings: the value of the rung's own setting, by its name.
        members: of a blend, its members.
        tuned: the settings of tree rungs, except the number of trees.
        intercept_sample: the training leads that set the intercept.
        margins: the rung's uncalibrated margins of the rows that each origin scores, an array an origin.
        table: the metrics of each rung on the judged rows, calibrated.
    """

    rung: Rung
    reason: str
    settings: Settings
    tuned: Tuned
    intercept_sample: InterceptSample
    members: tuple[Member, ...] = ()
    margins: tuple[Reals, ...] = ()
    table: tuple[RungMetrics, ...] = ()

    def with_scaled_trees(self, origins: RollingOrigins, leads: int) -> "Choice":
        """The choice with its number of trees scaled up for the number of leads that the served model trains on.

        The best number of trees is found at the rolling origins, which train on fewer leads than the served model. It
        is multiplied by the square root of the ratio of leads (docs/model.md has the figures).
        """
        if "trees" not in self.settings and not self.members:
            return self
        learned = np.mean([origins.rows.at_creation[fold.fit].sum() for fold in origins.folds])
        scale = float(np.sqrt(leads / learned))
        members = tuple(replace(member, settings=_scaled(member.settings, scale)) for member in self.members)
        return replace(self, settings=_scaled(self.settings, scale), members=members)

    @property
    def description(self) -> Mapping[str, Any]:
        """The settings as reports and bundles keep them; of a blend, those of each member with its weight."""
        if not self.members:
            return self.settings
        return {member.rung: {**member.settings, "weight": member.weight} for member in self.members}

    def fit(self, rows: Rows, encoding: Encoding, directions: Sequence[int], seed: int) -> MarginModel:
        """The rung fitted on rows; the base rate is fitted on the intercept sample of the rows."""
        if self.members:
            fitted = (self._alone(member).fit(rows, encoding, directions, seed) for member in self.members)
            return Blend(tuple(fitted), tuple(member.weight for member in self.members))
        if self.rung == "base_rate":
            return fit_base_rate(_intercept_rows(rows, self.intercept_sample))
        if self.rung == "segment_rates":
            return _segment_rates(rows, encoding, int(self.settings["segment"]))
        if self.rung == "logistic":
            return fit_logistic(rows, encoding, directions, self.settings["strength"])
        settings = _of_rung(self.tuned.settings, self.rung, int(self.settings["trees"]))
        return fit_trees(rows, encoding, directions, settings, seed)

    def _alone(self, member: Member) -> "Choice":
        return replace(self, rung=member.rung, settings=member.settings, members=())


def _scaled(settings: Settings, scale: float) -> Settings:
    return {name: round(value * scale) if name == "trees" else value for name, value in settings.items()}


def _intercept_rows(rows: Rows, sample: InterceptSample) -> Rows:
    return rows.take(intercept_leads(rows, np.arange(len(rows.won)), sample))


@dataclass(frozen=True)
class FittedRung:
    """A rung with its setting, its margins of the scored rows, and its probabilities of the judged rows.

    A blend has members in place of a setting.
    """

    rung: Rung
    settings: Settings
    margins: tuple[Reals, ...]
    probability: Reals
    members: tuple[Member, ...] = ()


def choose(
    origins: RollingOrigins, too_few: Callable[[], str], progress: Callable[[str], None], tuned: Tuned = NOT_TUNED
) -> Choice:
    """The rung to serve, from the rolling origins alone.

    Args:
        origins: the rows to fit on and to judge by.
        too_few: says why the origins have too few outcomes; called only where they have.
        progress: gets a message at each origin.
        tuned: the settings of tree rungs, except the number of trees.
    """
    if not origins.encoding.features:
        return _base_rate(origins, "no feature varies among the training leads")
    if not has_enough_outcomes(origins.won):
        return _base_rate(origins, too_few())
    fitted_rungs = candidates(origins, progress, tuned.settings)
    rung, reason = select_rung(origins, {c.rung: c.probability for c in fitted_rungs})
    chosen = next(c for c in fitted_rungs if c.rung == rung)
    table = tuple(_metrics(fitted, origins, chosen) for fitted in fitted_rungs)
    return Choice(
        rung=rung,
        reason=reason,
        settings=chosen.settings,
        tuned=tuned,
        intercept_sample=origins.intercept_sample,
        members=chosen.members,
        margins=chosen.margins,
        table=table,
    )


def _base_rate(origins: RollingOrigins, reason: str) -> Choice:
    """The base rate, selected before any rung was judged."""
    return Choice(
        rung="base_rate", reason=reason, settings={}, tuned=NOT_TUNED, intercept_sample=origins.intercept_sample
    )


def candidates(origins: RollingOrigins, progress: Callable[[str], None], trees: TreeSettings) -> list[FittedRung]:
    """Every rung that the features allow, the simplest first, each with its setting from the origins."""
    by_rung: dict[Rung, dict[float, list[Reals]]] = {"base_rate": {}, **{rung: {} for rung in SETTINGS}}
    for number, fold in enumerate(origins.folds, start=1):
        rows, leads = len(fold.fit), len(fold.judge)
        progress(f"rolling origin {number} of {len(origins.folds)}: {rows:,} rows, judged on {leads:,} leads")
        fit, scored = origins.rows.take(fold.fit), origins.rows.matrix[origins.scored_rows(fold)]
        for rung, value, margin in _margins(origins, fit, scored, trees):
            by_rung[rung].setdefault(value, []).append(margin)
    fitted = [_with_setting(rung, margins, origins) for rung, margins in by_rung.items() if margins]
    return [*fitted, _blend([each for each in fitted if each.rung in MEMBERS], origins)]


SETTINGS: Mapping[Rung, str] = {
    "segment_rates": "segment",
    "logistic": "strength",
    "additive": "trees",
    "lightgbm": "trees",
}
"""The setting that is selected for each fitted rung: the category, the regularisation, the number of trees."""


def _margins(
    origins: RollingOrigins, fit: Rows, scored: Matrix, trees: TreeSettings
) -> Iterator[tuple[Rung, float, Reals]]:
    """The margins of every rung at every setting: rung, setting, margins of the rows `scored`."""
    encoding, directions = origins.encoding, origins.directions
    yield (
        "base_rate",
        0,
        fit_base_rate(_intercept_rows(fit, origins.intercept_sample)).contributions(scored).sum(axis=1),
    )
    for segment, feature in enumerate(encoding.features):
        if feature.kind == "category":
            yield "segment_rates", segment, _segment_rates(fit, encoding, segment).contributions(scored).sum(axis=1)
    for strength, fitted in zip(STRENGTHS, fit_logistics(fit, encoding, directions, STRENGTHS), strict=True):
        yield "logistic", strength, fitted.contributions(scored).sum(axis=1)
    for rung in TREES:
        booster = fit_trees(fit, encoding, directions, _of_rung(trees, rung, STAGES[-1]), origins.seed)
        for stage, margin in staged_margins(booster, scored, STAGES).items():
            yield rung, stage, margin


def _of_rung(settings: TreeSettings, rung: Rung, trees: int) -> TreeSettings:
    """The settings of a tree rung with this number of trees."""
    return replace(settings.stumps() if rung == "additive" else settings, trees=trees)


def _segment_rates(rows: Rows, encoding: Encoding, segment: int) -> SegmentRates:
    return fit_segment_rates(rows, segment, len(encoding.features[segment].levels))


def _with_setting(rung: Rung, margins: Mapping[float, list[Reals]], origins: RollingOrigins) -> FittedRung:
    """The rung at its setting: of numbers the mean over origins of the best one, of segments the best over all.

    The strength is shrunk towards the usual one, the more the fewer the wins.
    """
    probability = {value: origins.calibrated(found) for value, found in margins.items()}
    if rung in TREES:
        value = float(np.mean(_best_by_origin(probability, origins)))
        settings: Settings = {"trees": round(value)}
    elif rung == "logistic":
        found = float(np.mean(np.log(_best_by_origin(probability, origins))))
        value = float(np.exp(origins.trust * found + (1 - origins.trust) * np.log(_USUAL_STRENGTH)))
        settings = {"strength": value}
    else:
        value = min(probability, key=lambda candidate: log_loss(origins.won, probability[candidate]))
        settings = {SETTINGS[rung]: value} if rung in SETTINGS else {}
    # The margins are those of the nearest setting that was fitted.
    nearest = min(margins, key=lambda candidate: abs(np.log1p(candidate) - np.log1p(value)))
    return FittedRung(rung, settings, tuple(margins[nearest]), probability[nearest])


def _best_by_origin(probability: Mapping[float, Reals], origins: RollingOrigins) -> list[float]:
    """At each origin the setting that loses least there; the first one in ties."""
    losses = {value: _by_origin(origins, found) for value, found in probability.items()}
    return [min(losses, key=lambda value: losses[value][number]) for number in range(len(origins.folds))]


def _by_origin(origins: RollingOrigins, probability: Reals) -> list[float]:
    """The mean log loss of the judged rows of each origin."""
    losses = log_losses(origins.won, probability)
    return [float(losses[origins.fold_of == number].mean()) for number in range(len(origins.folds))]


def _blend(fitted: Sequence[FittedRung], origins: RollingOrigins) -> FittedRung:
    """The blend of fitted rungs."""
    weights = stacked_weights([each.probability for each in fitted], origins.won, origins.trust)
    members = tuple(
        Member(rung=each.rung, settings=each.settings, weight=weight)
        for each, weight in zip(fitted, weights, strict=True)
    )
    of_folds = zip(*(each.margins for each in fitted), strict=True)
    margins = tuple(np.column_stack(parts) @ np.array(weights) for parts in of_folds)
    return FittedRung("blend", {}, margins, origins.calibrated(margins), members)


_FIRST_STEP = 2.5
"""Standard errors: with five candidates, chance alone takes this step in at most 1 of 30 trainings (Bonferroni)."""


def select_rung(origins: RollingOrigins, probabilities: Mapping[Rung, Reals]) -> tuple[Rung, str]:
    """The rung to serve and the reason.

    A rung has skill where it gains significantly on the base rate (clustered), because the base rate claims none. Where
    none has skill the base rate is served. Else the blend is, unless a simpler rung with skill loses no more than the
    blend at every origin.

    Args:
        origins: the judged rows.
        probabilities: each rung's calibrated probabilities of these rows.
    """
    gains = {rung: _gain(origins, probabilities, rung) for rung in RUNGS if rung in probabilities}
    skilled = [rung for rung, (gain, error) in gains.items() if gain > _FIRST_STEP * error]
    if not skilled:
        return "base_rate", "no fitted rung predicts out of time significantly better than the base rate"
    losses = {rung: _by_origin(origins, probabilities[rung]) for rung in (*skilled, "blend") if rung in probabilities}
    best = "blend" if "blend" in losses else skilled[-1]
    bar = np.array(losses[best])
    rung = next(rung for rung in (*skilled, best) if bool((np.array(losses[rung]) <= bar).all()))
    gain, error = gains[rung]
    reason = (
        f"out of time it loses {gain:.4f} nats a lead less than base_rate, "
        f"with a standard error of {error:.4f}, and "
        + ("no simpler rung does as well" if rung == best else f"no more than {best}")
        + f" at every one of the {len(origins.folds)} origins"
    )
    return rung, reason


def _gain(origins: RollingOrigins, probabilities: Mapping[Rung, Reals], rung: Rung) -> tuple[float, float]:
    """The nats a lead by which a rung loses less than the base rate, and the clustered standard error."""
    gain = log_losses(origins.won, probabilities["base_rate"]) - log_losses(origins.won, probabilities[rung])
    return float(gain.mean()), origins.bootstrap.standard_error(gain)


def _metrics(fitted: FittedRung, origins: RollingOrigins, chosen: FittedRung) -> RungMetrics:
    weights = {chosen.rung: 1.0, **{member.rung: member.weight for member in chosen.members}}
    won, probability = origins.won, fitted.probability
    return RungMetrics(
        rung=fitted.rung,
        rows=len(np.unique(origins.judged)),
        log_loss=log_loss(won, probability),
        auc=auc(won, probability),
        brier=float(np.mean((won - probability) ** 2)),
        log_loss_by_origin=tuple(_by_origin(origins, probability)),
        settings=dict(fitted.settings),
        weight=weights.get(fitted.rung, 0.0),
    )
