"""Forecasts: metrics of the curve out of time, and the curves of open leads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.catalogue.catalogue import Catalogue
from features.engines.duckdb import DuckDBEngine
from models.arrays import Integers, Reals
from models.bundle import Bundle
from models.probability import log_losses
from training.evaluation.bootstrap import ClusterBootstrap
from training.evaluation.metrics import log_loss
from training.evaluation.report import CurveMetrics
from training.hazard.follow_up import WON, FollowUp
from training.hazard.incidence import CURVE, Curve, aalen_johansen
from training.hazard.model import Hazard


def curve_metrics(
    hazard: Hazard, matrix: Reals, follow_up: FollowUp, judge: Integers, moment: int, cut: int, seed: int = 0
) -> tuple[CurveMetrics, ...]:
    """The metrics of the curve on later leads, beside the incidence without features of the earlier leads.

    Args:
        hazard: fitted on the facts known by `moment`.
        matrix: encoded features of all snapshots.
        follow_up: of all snapshots.
        judge: positions of creation snapshots made from `moment` on.
        moment: microseconds.
        cut: the data cut; a lead is judged at a number of days only if it was observed that long by the cut.
        seed: random seed of the bootstrap by account.
    """
    created = (follow_up.as_of == follow_up.created) & (follow_up.as_of < moment)
    before = follow_up.take(created)
    constant = aalen_johansen(before.known_by(moment), before.weight, hazard.periods)
    known = follow_up.take(judge).known_by(cut)
    incidence = hazard.incidence(matrix[judge])
    curve: list[CurveMetrics] = []
    for days in (some for some in CURVE if some <= hazard.periods[-1]):
        seen = np.flatnonzero(known.watched >= days)
        if len(seen):
            won = ((known.event == WON) & (known.days <= days))[seen].astype(np.float64)
            forecast = incidence.won_by(float(days))[seen]
            clusters = ClusterBootstrap(follow_up.cluster[judge][seen], np.random.default_rng(seed))
            curve.append(_curve_metrics(days, won, forecast, float(constant.won_by(float(days))[0]), clusters))
    return tuple(curve)


def _curve_metrics(days: int, won: Reals, forecast: Reals, constant: float, clusters: ClusterBootstrap) -> CurveMetrics:
    flat = np.full(len(won), constant)
    return CurveMetrics(
        days=days,
        rows=len(won),
        observed_rate=float(won.mean()),
        mean_probability=float(forecast.mean()),
        constant=constant,
        log_loss=log_loss(won, forecast),
        log_loss_constant=log_loss(won, flat),
        log_loss_difference_95=clusters.mean_interval(log_losses(won, forecast) - log_losses(won, flat)),
    )


@dataclass(frozen=True)
class Forecast:
    """The forecast of the leads open at a moment.

    Attributes:
        as_of: the moment, microseconds.
        lead_id: the leads, the most probable to be won by the last day of the curve first.
        curve: a row each, in that order.
    """

    as_of: int
    lead_id: Sequence[str]
    curve: Curve

    def to_rows(self) -> list[Mapping[str, Any]]:
        """One row a lead, JSON types."""
        return [
            {
                "lead_id": lead,
                **{f"won_{days}_days": float(p) for days, p in zip(self.curve.days, won, strict=True)},
                "expected_days_if_won": float(expected),
            }
            for lead, won, expected in zip(self.lead_id, self.curve.won, self.curve.expected_days, strict=True)
        ]


def forecast_open_leads(
    engine: DuckDBEngine, bundle: Bundle, hazard: Hazard, catalogue: Catalogue, as_of: int
) -> Forecast:
    """The curves of the leads open at a moment, from the features known then.

    Args:
        engine: the records.
        bundle: the bundle of the hazard's version; it names and encodes the features.
        hazard: the hazard model of that version.
        catalogue: the base catalogue.
        as_of: the moment, microseconds.

    Raises:
        UntrustedBundle: the bundle reads features that this software no longer has.
    """
    full = bundle.catalogue(catalogue)
    read = full.subset(bundle.encoding.names)
    features = engine.evaluate(read, engine.open_leads(as_of))
    matrix = bundle.encoding.encode({name: features[name].to_pylist() for name in read.names}, len(features))
    curve = hazard.curve(matrix)
    order = np.argsort(-curve.won[:, -1], kind="stable")
    names = features["lead_id"].to_pylist()
    ranked = Curve(curve.days, curve.won[order], curve.expected_days[order])
    return Forecast(as_of, [names[position] for position in order], ranked)
