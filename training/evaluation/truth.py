"""The true probabilities of a simulated world, which the world keeps apart from its records."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.arrays import Reals
from training.evaluation.metrics import Predictions

_COLUMNS = ["lead_id", "as_of", "probability"]


def true_probabilities(file: Path, predictions: Predictions) -> Reals:
    """The true probability of each predicted row, in the order of the predictions.

    Args:
        file: the truth of a simulated world, a Parquet file with a row for each lead and moment.
        predictions: predictions of leads of that world.

    Raises:
        ValueError: the file is not the truth of a simulated world, or lacks a predicted row.
    """
    predicted = pa.table({"lead_id": predictions.lead_id.tolist(), "as_of": predictions.as_of})
    predicted = predicted.append_column("position", pa.array(np.arange(len(predicted))))
    truth = _read(file)
    truth = truth.set_column(1, "as_of", truth["as_of"].cast(pa.int64()))
    joined = predicted.join(truth, ["lead_id", "as_of"], join_type="inner").sort_by("position")
    if len(joined) != len(predicted):
        raise ValueError(
            f"{file} has the true probabilities of {len(joined):,} of the {len(predicted):,} test leads; "
            "give the truth of the world that this version was trained on"
        )
    return np.asarray(joined["probability"].to_numpy())


def _read(file: Path) -> pa.Table:
    try:
        truth = pq.read_table(file, columns=_COLUMNS)
    except pa.ArrowInvalid:
        truth = None
    if truth is None or truth.column_names != _COLUMNS:
        raise ValueError(
            f"{file} is not a Parquet file with the columns {', '.join(_COLUMNS)}; "
            "give truth/probabilities.parquet of a simulated world"
        )
    return truth
