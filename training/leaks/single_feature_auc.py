"""The AUC of one feature alone, out of time.

A feature is read in two ways and the better one counts. The first is the share won of each level: shares are shrunk to
the mean, so that a category with thousands of levels is calibrated too, and blanks are a level of their own. The
second, for numbers only, is the rank of the value.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from models.arrays import Integers, Reals
from training.data.rows import Rows
from training.data.splits import Fold
from training.evaluation.leak_findings import Evidence
from training.evaluation.metrics import auc, null_auc_error
from training.leaks.columns import FeatureColumn

DECISIVE_AUC = 0.9
SUSPECT_AUC = 0.75
_SHRINK = 5.0
"""Each level's share won is shrunk as if this many more rows had the mean share."""


@dataclass(frozen=True)
class SingleFeatureSkill:
    """How well a feature alone ranks outcomes.

    Attributes:
        auc: the mean over the rolling origins, weighted by their rows.
        error: standard deviation of that mean for a feature independent of the outcome.
    """

    auc: float
    error: float

    @property
    def p_value(self) -> float:
        """Probability that a feature independent of the outcome has an AUC as high."""
        return float(norm.sf((self.auc - 0.5) / self.error))


def single_feature_skill(
    column: FeatureColumn, rows: Rows, folds: Collection[Fold], overdispersion: float
) -> SingleFeatureSkill | None:
    """The AUC over the rolling origins; None where no origin has both outcomes before and after it.

    Args:
        column: the feature, of all rows.
        rows: outcomes and weights.
        folds: the rows to fit on and to judge by.
        overdispersion: the variance of the mean outcome divided by that of independent rows.
    """
    judged = [(_auc(column, rows, fold), rows.won[fold.judge]) for fold in folds if _judgeable(rows, fold)]
    if not judged:
        return None
    shares = np.array([len(won) for _, won in judged]) / sum(len(won) for _, won in judged)
    errors = np.array([null_auc_error(won) for _, won in judged])
    error = float(np.sqrt(overdispersion * (shares**2 @ errors**2)))
    return SingleFeatureSkill(float(shares @ [found for found, _ in judged]), error)


def evidence(skill: SingleFeatureSkill | None, chance: float) -> Sequence[Evidence]:
    """Evidence of an AUC above `SUSPECT_AUC` that chance alone reaches with a probability below `chance`."""
    if skill is None or skill.auc <= SUSPECT_AUC or skill.p_value >= chance:
        return ()
    words = f"alone ranks out-of-time outcomes with AUC {skill.auc:.3f}"
    return (
        Evidence(
            kind="skill", words=words, strength=skill.auc, decisive=skill.auc > DECISIVE_AUC, figures={"auc": skill.auc}
        ),
    )


def shares_won(codes: Integers, won: Reals, weight: Reals, levels: int) -> Reals:
    """The share won of each level, shrunk to the mean; the last entry is that of blanks."""
    total = np.bincount(codes, weights=weight, minlength=levels + 1)[: levels + 1]
    wins = np.bincount(codes, weights=weight * won, minlength=levels + 1)[: levels + 1]
    mean = wins.sum() / total.sum()
    return np.asarray((wins + _SHRINK * mean) / (total + _SHRINK))


def _judgeable(rows: Rows, fold: Fold) -> bool:
    return all(len(part) and 0 < rows.won[part].mean() < 1 for part in (fold.fit, fold.judge))


def _auc(column: FeatureColumn, rows: Rows, fold: Fold) -> float:
    levels = len(column.labels)
    codes = np.where(column.blank, levels, column.codes)
    fit, judge = fold.fit, fold.judge
    shares = shares_won(codes[fit], rows.won[fit], rows.weight[fit], levels)
    by_level = auc(rows.won[judge], shares[codes[judge]])
    return by_level if column.numbers is None else max(by_level, _auc_of_rank(column.numbers, rows, fold))


def _auc_of_rank(numbers: Reals, rows: Rows, fold: Fold) -> float:
    """The AUC of the number's rank, in the direction found among the rows fitted on; blanks rank lowest."""
    values = np.nan_to_num(numbers, nan=-np.inf, neginf=-np.inf, posinf=np.inf)
    before = auc(rows.won[fold.fit], values[fold.fit], rows.weight[fold.fit])
    after = auc(rows.won[fold.judge], values[fold.judge])
    return after if before >= 0.5 else 1 - after
