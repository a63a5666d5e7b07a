"""Plots of a version for its registry entry, as PNG bytes; drawn without a display."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.bundle import Bundle
from training.evaluation import Predictions

_BINS = 10


def plots(bundle: Bundle, predictions: Predictions, contributions: NDArray[np.float64]) -> Mapping[str, bytes]:
    """Reliability, lift and importance by file name; `contributions` are calibrated parts of the test rows."""
    return {
        "reliability.png": _png(_reliability(predictions)),
        "lift.png": _png(_lift(predictions)),
        "importance.png": _png(_importance(bundle, contributions)),
    }


def _figure(title: str, x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    return figure, axes


def _reliability(predictions: Predictions) -> Figure:
    figure, axes = _figure("Reliability, out of time", "predicted probability", "share won")
    order = np.argsort(predictions.probability, kind="stable")
    bins = min(_BINS, len(np.unique(predictions.probability)))
    groups = [group for group in np.array_split(order, bins) if len(group)]
    predicted = [predictions.probability[group].mean() for group in groups]
    axes.plot([0, max(predicted)], [0, max(predicted)], color="grey", linewidth=1)
    axes.plot(predicted, [predictions.won[group].mean() for group in groups], marker="o")
    return figure


def _lift(predictions: Predictions) -> Figure:
    figure, axes = _figure("Wins found by working the best leads first", "share of leads worked", "share of wins found")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    worked, found = _gains(predictions)
    axes.plot(worked, found)
    return figure


def _gains(predictions: Predictions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of leads and of wins from the best probability down; leads of one probability are worked together."""
    _, tied = np.unique(-predictions.probability, return_inverse=True)
    worked, found = np.cumsum(np.bincount(tied)), np.cumsum(np.bincount(tied, weights=predictions.won))
    return np.append(0.0, worked / worked[-1]), np.append(0.0, found / max(found[-1], 1.0))


def _importance(bundle: Bundle, contributions: NDArray[np.float64]) -> Figure:
    figure, axes = _figure("Mean absolute contribution", "log-odds", "")
    strength = np.abs(contributions[:, :-1]).mean(axis=0)
    top = np.argsort(strength)[-15:]
    axes.barh([bundle.encoding.names[i] for i in top], strength[top])
    return figure


def _png(figure: Figure) -> bytes:
    target = BytesIO()
    figure.savefig(target, format="png", dpi=90)
    return target.getvalue()
