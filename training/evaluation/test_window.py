"""A version's test window, frozen: the rows it was judged on, with every feature of the catalogue at the time.

Kept with the version so that any later model can be scored on exactly the same rows. The features stand in the order of
the predictions; beside them only the lead's source partner, to judge partners one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import lightgbm
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.arrays import Reals
from models.bundle import Bundle
from models.encoding import Matrix
from models.probability import LightGBM, MarginModel, sigmoid
from training.evaluation.metrics import Predictions

SEGMENTS: Mapping[str, str] = {
    "partner": "lead.source_partner_id",
    "partner tier": "source_partner_tier",
    "region": "region",
    "partner channel": "partner_channel",
    "own channel": "own_channel",
}
"""What the window is cut by, and the column that says so; those the window lacks are left out."""


class NotComparable(ValueError):
    """Two versions cannot be judged on the same rows; the message says why."""


@dataclass(frozen=True)
class FrozenWindow:
    """The rows of a test window.

    Attributes:
        predictions: what the version that owns the window said of its rows.
        features: a column a feature, in the order of the predictions.

    Raises:
        ValueError: the two are not of one length.
    """

    predictions: Predictions
    features: pa.Table

    def __post_init__(self) -> None:
        if len(self.features) != len(self.predictions.won):
            raise ValueError(f"{len(self.features)} rows of features for {len(self.predictions.won)} predictions")

    def __len__(self) -> int:
        return len(self.features)

    @classmethod
    def of(cls, predictions: Predictions, table: pa.Table) -> "FrozenWindow":
        """The window of predictions, its features taken from a table of snapshots (lead_id, as_of, features).

        Raises:
            ValueError: the table lacks one of the rows.
        """
        keys = {"lead_id": predictions.lead_id.tolist(), "as_of": predictions.as_of.tolist()}
        wanted = pa.table({**keys, "_place": np.arange(len(predictions.won))})
        numbered = table.select(["lead_id", "as_of"]).append_column("_row", pa.array(np.arange(len(table))))
        found = wanted.join(numbered, ["lead_id", "as_of"], join_type="inner").sort_by("_place")
        return cls(predictions, table.drop_columns(["lead_id", "as_of"]).take(found["_row"]))

    def take(self, chosen: NDArray[np.bool_]) -> "FrozenWindow":
        """Some of the rows."""
        p = self.predictions
        some = Predictions(
            lead_id=p.lead_id[chosen],
            as_of=p.as_of[chosen],
            cluster=p.cluster[chosen],
            won=p.won[chosen],
            probability=p.probability[chosen],
            constant=p.constant,
        )
        return FrozenWindow(some, self.features.filter(pa.array(chosen)))

    def matrix(self, bundle: Bundle) -> Matrix:
        """The rows as a bundle reads them.

        Raises:
            NotComparable: the bundle reads a feature that the window lacks.
        """
        missing = sorted(set(bundle.encoding.names) - set(self.features.column_names))
        if missing:
            raise NotComparable(f"it reads {', '.join(missing)}, which the test rows do not have")
        columns = {name: self.features[name].to_pylist() for name in bundle.encoding.names}
        return bundle.encoding.encode(columns, len(self))

    def probability(self, bundle: Bundle) -> Reals:
        """What a bundle says of the rows."""
        return np.asarray(sigmoid(log_odds(bundle, self.matrix(bundle))))

    def segments(self) -> Mapping[str, NDArray[np.str_]]:
        """Each row's segment by what it is cut by; empty text where it has none."""
        return {
            cut: np.array([value or "" for value in self.features[column].to_pylist()], dtype=np.str_)
            for cut, column in SEGMENTS.items()
            if column in self.features.column_names
        }

    def unseen(self, other: Predictions) -> NDArray[np.bool_]:
        """Which rows the version with the test window `other` cannot have been trained on.

        Where time divided it, everything from the start of its test window on; else only what it was tested on itself.
        """
        own = self.predictions
        if other.as_of.min() < other.as_of.max():
            return np.asarray(own.as_of >= other.as_of.min())
        return np.isin(own.lead_id, other.lead_id)


def log_odds(bundle: Bundle, matrix: Matrix) -> Reals:
    """Calibrated log-odds without their parts: of trees far faster than a sum of contributions, and a check on it."""
    return bundle.calibration.log_odds(_margins(bundle.model, matrix))


def _margins(model: MarginModel, matrix: Matrix) -> Reals:
    if isinstance(model, LightGBM):
        booster = lightgbm.Booster(model_str=model.text)
        return np.asarray(booster.predict(matrix, raw_score=True, num_threads=1), dtype=np.float64)
    return np.asarray(model.contributions(matrix).sum(axis=1))
