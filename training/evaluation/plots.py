"""Plots of a version for its registry entry, as PNG bytes; drawn without a display."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from features.catalogue import CATALOGUE
from features.catalogue.catalogue import Catalogue
from models.arrays import Integers
from models.bundle import Bundle
from training.evaluation.bootstrap import ClusterBootstrap
from training.evaluation.importance import importance
from training.evaluation.lift import LEADS_A_WEEK, lift_at_capacity
from training.evaluation.metrics import Predictions

_BINS = 10
_SHOWN = 15
_DRAWS = 400


def plots(
    bundle: Bundle,
    predictions: Predictions,
    contributions: NDArray[np.float64],
    *,
    catalogue: Catalogue = CATALOGUE,
    leads_a_week: int = LEADS_A_WEEK,
) -> Mapping[str, bytes]:
    """Reliability, lift, importance and stability by file name.

    Args:
        bundle: the model.
        predictions: of the test window.
        contributions: calibrated contributions of its rows, the base last.
        catalogue: gives the family of each feature except the bundle's attributes, which are a family of their own.
        leads_a_week: the capacity of sales.
    """
    families = {entry.name: entry.family for entry in catalogue.with_attributes(bundle.attributes)}
    strength = importance(bundle.encoding.names, families, contributions)
    return {
        "reliability.png": _png(_reliability(predictions)),
        "lift.png": _png(_lift(predictions, leads_a_week)),
        "importance.png": _png(_bars("Mean absolute contribution by feature", strength.features)),
        "families.png": _png(_bars("Mean absolute contribution by family", strength.families)),
        "stability.png": _png(_stability(predictions)),
    }


def _figure(title: str, x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    return figure, axes


def _observed(predictions: Predictions, groups: list[Integers]) -> tuple[Any, Any]:
    """The share won of each group, and the distances to the ends of its clustered 95 % interval."""
    shares, distances = [], []
    for group in groups:
        won, cluster = predictions.won[group], predictions.cluster[group]
        low, high = ClusterBootstrap(cluster, np.random.default_rng(0), _DRAWS).mean_interval(won)
        shares.append(won.mean())
        distances.append((max(won.mean() - low, 0.0), max(high - won.mean(), 0.0)))
    return np.array(shares), np.array(distances).T


def _reliability(predictions: Predictions) -> Figure:
    figure, axes = _figure("Reliability, out of time, 95 % intervals", "predicted probability", "share won")
    order = np.argsort(predictions.probability, kind="stable")
    bins = min(_BINS, len(np.unique(predictions.probability)))
    groups = [group for group in np.array_split(order, bins) if len(group)]
    predicted = [predictions.probability[group].mean() for group in groups]
    shares, distances = _observed(predictions, groups)
    axes.plot([0, max(predicted)], [0, max(predicted)], color="grey", linewidth=1)
    axes.errorbar(predicted, shares, yerr=distances, marker="o", capsize=3)
    return figure


def _lift(predictions: Predictions, leads_a_week: int) -> Figure:
    figure, axes = _figure("Wins found by working the best leads first", "share of leads worked", "share of wins found")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    worked, found = _gains(predictions)
    axes.plot(worked, found)
    lift = lift_at_capacity(predictions, leads_a_week)
    if lift is not None:
        axes.plot(lift.worked, lift.found, marker="o", linestyle="", label=f"the best {leads_a_week} of each week")
        axes.legend(loc="lower right")
    return figure


def _gains(predictions: Predictions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cumulative shares of leads and of wins from the highest probability down; leads that tie are worked together."""
    _, tied = np.unique(-predictions.probability, return_inverse=True)
    worked, found = np.cumsum(np.bincount(tied)), np.cumsum(np.bincount(tied, weights=predictions.won))
    return np.append(0.0, worked / worked[-1]), np.append(0.0, found / max(found[-1], 1.0))


def _bars(title: str, strength: Mapping[str, float]) -> Figure:
    figure, axes = _figure(title, "log-odds", "")
    top = list(strength)[:_SHOWN][::-1]
    axes.barh(top, [strength[name] for name in top])
    return figure


def _stability(predictions: Predictions) -> Figure:
    """Predicted and observed share by the month of creation."""
    figure, axes = _figure("Stability over the test window, 95 % intervals", "month created", "share")
    months = predictions.as_of.astype("datetime64[us]").astype("datetime64[M]")
    names = np.unique(months)
    groups = [np.flatnonzero(months == name) for name in names]
    shares, distances = _observed(predictions, groups)
    positions = np.arange(len(names))
    axes.errorbar(positions, shares, yerr=distances, marker="o", capsize=3, label="won")
    axes.plot(positions, [predictions.probability[group].mean() for group in groups], marker="s", label="predicted")
    axes.set_xticks(positions, [str(name) for name in names], rotation=45)
    axes.legend()
    return figure


def _png(figure: Figure) -> bytes:
    target = BytesIO()
    figure.savefig(target, format="png", dpi=90)
    return target.getvalue()
