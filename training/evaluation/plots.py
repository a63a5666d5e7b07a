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
        contributions: calibrated parts of its rows.
        catalogue: says the family of each feature but the bundle's attributes, which are of their own.
        leads_a_week: how many leads sales can work.
    """
    families = {entry.name: entry.family for entry in catalogue.with_attributes(bundle.attributes)}
    found = importance(bundle.encoding.names, families, contributions)
    return {
        "reliability.png": _png(_reliability(predictions)),
        "lift.png": _png(_lift(predictions, leads_a_week)),
        "importance.png": _png(_bars("Mean absolute contribution by feature", found.features)),
        "families.png": _png(_bars("Mean absolute contribution by family", found.families)),
        "stability.png": _png(_stability(predictions)),
    }


def _figure(title: str, x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    return figure, axes


def _observed(predictions: Predictions, groups: list[Integers]) -> tuple[Any, Any]:
    """The share won of each group, and how far its clustered 95 % interval reaches below and above."""
    shares, reach = [], []
    for group in groups:
        won, cluster = predictions.won[group], predictions.cluster[group]
        low, high = ClusterBootstrap(cluster, np.random.default_rng(0), _DRAWS).mean_interval(won)
        shares.append(won.mean())
        reach.append((max(won.mean() - low, 0.0), max(high - won.mean(), 0.0)))
    return np.array(shares), np.array(reach).T


def _reliability(predictions: Predictions) -> Figure:
    figure, axes = _figure("Reliability, out of time, 95 % intervals", "predicted probability", "share won")
    order = np.argsort(predictions.probability, kind="stable")
    bins = min(_BINS, len(np.unique(predictions.probability)))
    groups = [group for group in np.array_split(order, bins) if len(group)]
    predicted = [predictions.probability[group].mean() for group in groups]
    shares, reach = _observed(predictions, groups)
    axes.plot([0, max(predicted)], [0, max(predicted)], color="grey", linewidth=1)
    axes.errorbar(predicted, shares, yerr=reach, marker="o", capsize=3)
    return figure


def _lift(predictions: Predictions, leads_a_week: int) -> Figure:
    figure, axes = _figure("Wins found by working the best leads first", "share of leads worked", "share of wins found")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    worked, found = _gains(predictions)
    axes.plot(worked, found)
    real = lift_at_capacity(predictions, leads_a_week)
    if real is not None:
        axes.plot(real.worked, real.found, marker="o", linestyle="", label=f"the best {leads_a_week} of each week")
        axes.legend(loc="lower right")
    return figure


def _gains(predictions: Predictions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of leads and of wins from the best probability down; leads of one probability are worked together."""
    _, tied = np.unique(-predictions.probability, return_inverse=True)
    worked, found = np.cumsum(np.bincount(tied)), np.cumsum(np.bincount(tied, weights=predictions.won))
    return np.append(0.0, worked / worked[-1]), np.append(0.0, found / max(found[-1], 1.0))


def _bars(title: str, strength: Mapping[str, float]) -> Figure:
    figure, axes = _figure(title, "log-odds", "")
    top = list(strength)[:_SHOWN][::-1]
    axes.barh(top, [strength[name] for name in top])
    return figure


def _stability(predictions: Predictions) -> Figure:
    """Predicted and observed share by the month in which leads were created."""
    figure, axes = _figure("Stability over the test window, 95 % intervals", "month created", "share")
    months = predictions.as_of.astype("datetime64[us]").astype("datetime64[M]")
    names = np.unique(months)
    groups = [np.flatnonzero(months == name) for name in names]
    shares, reach = _observed(predictions, groups)
    places = np.arange(len(names))
    axes.errorbar(places, shares, yerr=reach, marker="o", capsize=3, label="won")
    axes.plot(places, [predictions.probability[group].mean() for group in groups], marker="s", label="predicted")
    axes.set_xticks(places, [str(name) for name in names], rotation=45)
    axes.legend()
    return figure


def _png(figure: Figure) -> bytes:
    target = BytesIO()
    figure.savefig(target, format="png", dpi=90)
    return target.getvalue()
