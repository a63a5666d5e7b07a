"""The test window of a version, frozen: the rows that judged it, with every feature of the catalogue at the time.

It is kept with the version so that any later model can be scored on exactly the same rows. The features are in the
order of the predictions. Beside them is the source partner of each lead, to judge partners one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import lightgbm
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.folding import FOLD_VERSION
from models.arrays import Matrix, Reals
from models.bundle import Bundle
from models.probability import LightGBM, MarginModel, sigmoid
from models.trees import checked_model_text
from training.evaluation.metrics import Predictions

SEGMENTS: Mapping[str, str] = {
    "partner": "lead.source_partner_id",
    "partner tier": "source_partner_tier",
    "region": "region",
    "partner channel": "partner_channel",
    "own channel": "own_channel",
}
"""The cuts of the window into segments, each with its column; cuts whose column the window lacks are left out."""


class NotComparable(ValueError):
    """Two versions cannot be compared on the same rows; the message says why."""


@dataclass(frozen=True)
class FrozenWindow:
    """The rows of a test window.

    Attributes:
        predictions: the predictions of the version that owns the window.
        features: a column a feature, in the order of the predictions.
        fold: the version of the folding of the features' texts (see `features.folding`).

    Raises:
        ValueError: the two differ in length.
    """

    predictions: Predictions
    features: pa.Table
    fold: int = FOLD_VERSION

    def __post_init__(self) -> None:
        if len(self.features) != len(self.predictions.won):
            raise ValueError(f"{len(self.features)} rows of features for {len(self.predictions.won)} predictions")

    def __len__(self) -> int:
        return len(self.features)

    @classmethod
    def of(cls, predictions: Predictions, table: pa.Table) -> "FrozenWindow":
        """The window of predictions, with features from a table of snapshots (lead_id, as_of, features).

        Raises:
            ValueError: the table lacks one of the rows.
        """
        keys = {"lead_id": predictions.lead_id.tolist(), "as_of": predictions.as_of.tolist()}
        wanted = pa.table({**keys, "_position": np.arange(len(predictions.won))})
        numbered = table.select(["lead_id", "as_of"]).append_column("_row", pa.array(np.arange(len(table))))
        joined = wanted.join(numbered, ["lead_id", "as_of"], join_type="inner").sort_by("_position")
        return cls(predictions, table.drop_columns(["lead_id", "as_of"]).take(joined["_row"]))

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
        return replace(self, predictions=some, features=self.features.filter(pa.array(chosen)))

    def matrix(self, bundle: Bundle) -> Matrix:
        """The rows as a bundle encodes them.

        Where the bundle folds texts by another version, a text of the window counts as the level that folds like it.

        Raises:
            NotComparable: the bundle reads a feature that the window lacks.
        """
        missing = sorted(set(bundle.encoding.names) - set(self.features.column_names))
        if missing:
            raise NotComparable(f"it reads {', '.join(missing)}, which the test rows do not have")
        columns = {name: self.features[name].to_pylist() for name in bundle.encoding.names}
        if self.fold != bundle.fold:
            columns |= {f.name: f.levels_that_fold_alike(columns[f.name]) for f in bundle.encoding.features if f.levels}
        return bundle.encoding.encode(columns, len(self))

    def probability(self, bundle: Bundle) -> Reals:
        """The probabilities of a bundle for the rows."""
        return np.asarray(sigmoid(log_odds(bundle, self.matrix(bundle))))

    def segments(self) -> Mapping[str, NDArray[np.str_]]:
        """The segment of each row, by cut; empty text where the row has no segment."""
        return {
            cut: np.array([value or "" for value in self.features[column].to_pylist()], dtype=np.str_)
            for cut, column in SEGMENTS.items()
            if column in self.features.column_names
        }

    def unseen(self, other: Predictions) -> NDArray[np.bool_]:
        """The rows that the version with the test window `other` cannot have been trained on.

        Where the split was by time, these are all rows from the start of its test window on. Otherwise these are only
        the rows of its own test window.
        """
        own = self.predictions
        if other.as_of.min() < other.as_of.max():
            return np.asarray(own.as_of >= other.as_of.min())
        return np.isin(own.lead_id, other.lead_id)


def log_odds(bundle: Bundle, matrix: Matrix) -> Reals:
    """Calibrated log-odds without contributions: for trees far faster than their sum, and a check of it."""
    return bundle.calibration.log_odds(_margins(bundle.model, matrix))


def _margins(model: MarginModel, matrix: Matrix) -> Reals:
    if isinstance(model, LightGBM):
        booster = lightgbm.Booster(model_str=checked_model_text(model.text))
        return np.asarray(booster.predict(matrix, raw_score=True, num_threads=1), dtype=np.float64)
    return np.asarray(model.contributions(matrix).sum(axis=1))
