"""Numbers given out in order: one given at the close is out of step with the lead's creation, and that tells.

An identifier of almost as many values as leads, that runs with the order of creation, says nothing but when it was
given. What remains once the lead's own place is taken off must not tell the outcome.
"""

import re

import numpy as np
from scipy.stats import norm, rankdata, spearmanr

from models.arrays import Reals
from training.evaluation.leak_findings import Evidence
from training.evaluation.metrics import auc, null_auc_error
from training.leaks.columns import FeatureColumn
from training.leaks.sample import LeadHistory, Sample

RUNS = 0.8
"""Least rank correlation with the order of creation of what is given out in order."""
OUT_OF_STEP = 0.6
"""Least AUC of being out of step."""
_UNIQUE, _FEWEST = 0.95, 50
_LAST_NUMBER = re.compile(r"(\d+)\D*$")


def evidence(column: FeatureColumn, sample: Sample, history: LeadHistory, chance: float) -> list[Evidence]:
    """Whether a column's values run in the order of creation, and being out of step with it tells the outcome."""
    if history.place is None:
        return []
    numbers = _numbers(column)[sample.positions]
    filled = ~np.isnan(numbers)
    place, won = history.place[sample.positions][filled], sample.won[filled]
    numbers = numbers[filled]
    if len(numbers) < _FEWEST or len(np.unique(numbers)) < _UNIQUE * len(numbers) or won.all() or not won.any():
        return []
    runs = float(spearmanr(numbers, place).statistic)
    if not abs(runs) >= RUNS:
        return []
    ahead = rankdata(numbers) * np.sign(runs) - rankdata(place)
    later = auc(won.astype(np.float64), ahead)
    strength = max(later, 1 - later)
    error = null_auc_error(won.astype(np.float64)) * np.sqrt(sample.overdispersion)
    if strength < OUT_OF_STEP or 2 * norm.sf((strength - 0.5) / error) >= chance:
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
    found = [_LAST_NUMBER.search(label) for label in column.labels]
    values = np.array([*(float(match[1]) if match else np.nan for match in found), np.nan])
    return np.asarray(values[column.codes])
