"""Identifiers given in order: an identifier given at the close is out of step with the lead's creation.

An identifier with almost as many values as leads, that rises with the order of creation, carries one piece of
information: when it was given. Once the lead's own position in time is subtracted, the rest must not predict the
outcome.
"""

import re

import numpy as np
from scipy.stats import norm, rankdata, spearmanr

from models.arrays import Reals
from training.evaluation.leak_findings import Evidence
from training.evaluation.metrics import auc, null_auc_error
from training.leaks.columns import FeatureColumn
from training.leaks.sample import LeadHistory, Sample

MIN_RANK_CORRELATION = 0.8
"""A column is given in order from this rank correlation with the order of creation on."""
MIN_AUC = 0.6
"""Evidence needs at least this AUC of being out of step."""
_MIN_UNIQUE, _MIN_ROWS = 0.95, 50
_LAST_NUMBER = re.compile(r"(\d+)\D*$")


def evidence(column: FeatureColumn, sample: Sample, history: LeadHistory, chance: float) -> list[Evidence]:
    """Evidence that a column is given in the order of creation and that being out of step predicts the outcome."""
    if history.position is None:
        return []
    numbers = _numbers(column)[sample.positions]
    filled = ~np.isnan(numbers)
    position, won = history.position[sample.positions][filled], sample.won[filled]
    numbers = numbers[filled]
    if len(numbers) < _MIN_ROWS or len(np.unique(numbers)) < _MIN_UNIQUE * len(numbers) or won.all() or not won.any():
        return []
    runs = float(spearmanr(numbers, position).statistic)
    if not abs(runs) >= MIN_RANK_CORRELATION:
        return []
    ahead = rankdata(numbers) * np.sign(runs) - rankdata(position)
    later = auc(won.astype(np.float64), ahead)
    strength = max(later, 1 - later)
    error = null_auc_error(won.astype(np.float64)) * np.sqrt(sample.overdispersion)
    if strength < MIN_AUC or 2 * norm.sf((strength - 0.5) / error) >= chance:
        return []
    which = "later" if later > 0.5 else "earlier"
    words = (
        f"runs with the order of creation (rank correlation {abs(runs):.2f}), but the won come {which} in it than they "
        f"were created: that alone ranks outcomes with AUC {strength:.3f}"
    )
    return [
        Evidence(
            kind="order",
            words=words,
            strength=strength,
            decisive=False,
            figures={"auc": strength, "rank_correlation": abs(runs)},
        )
    ]


def _numbers(column: FeatureColumn) -> Reals:
    """A number itself, or the last number in each text."""
    if column.numbers is not None:
        return column.numbers
    matches = [_LAST_NUMBER.search(label) for label in column.labels]
    values = np.array([*(float(match[1]) if match else np.nan for match in matches), np.nan])
    return np.asarray(values[column.codes])
