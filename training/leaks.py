"""Leak detection before training: what alone nearly decides the outcome cannot have been known at creation.

An attribute blocks training when, alone, it ranks out-of-time outcomes with an AUC above .9, or is blank with one
outcome only. Weaker suspects are ranked for the report. Statistics cannot tell every leak from an honest signal: the
mapping's `known` is what decides, this only catches what it missed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa
from scipy.stats import hypergeom

from models.encoding import Encoding
from training.evaluation import auc
from training.ladder import Rows
from training.splits import Split

DECISIVE_AUC = 0.9
SUSPECT_AUC = 0.75
_CHANCE = 1e-6
_MOST_ROWS = 50_000


class LeakFound(ValueError):
    """Attributes nearly decide the outcome; the message names them and the mend."""

    def __init__(self, suspects: Sequence["Suspect"]) -> None:
        named = "; ".join(f"{s.name!r} {s.evidence}" for s in suspects)
        super().__init__(
            f"training is blocked by what cannot have been known at creation: {named}. Declare it `known: later` in "
            f"the mapping and import again, or override with --allow-leak NAME"
        )
        self.suspects = tuple(suspects)


@dataclass(frozen=True)
class Suspect:
    """A feature that may have been recorded after the fact.

    Attributes:
        name: the feature.
        auc: how well it alone ranks out-of-time outcomes; None where that cannot be told.
        decisive: whether it blocks training.
        evidence: why, in words.
    """

    name: str
    auc: float | None
    decisive: bool
    evidence: str

    def to_json(self) -> Mapping[str, Any]:
        """JSON types."""
        return asdict(self)


def suspects(
    rows: Rows, encoding: Encoding, split: Split, attributes: Collection[str], table: pa.Table
) -> list[Suspect]:
    """Suspects among all features, worst first; only features of an import's `attributes` can be decisive.

    They are judged on the training rows alone, so that the test window stays untouched. `table` holds the features of
    all rows as the engine gave them: of attributes it tells what is blank, also where no model can read them.
    """
    alone = _aucs_alone(rows, encoding, split)
    found = []
    for name in dict.fromkeys((*alone, *attributes)):
        auc_alone = alone.get(name)
        blank = _blank_with_one_outcome(table[name], rows, split) if name in attributes else None
        if blank is not None:
            found.append(Suspect(name, auc_alone, True, f"is blank only where the lead was {blank}"))
        elif auc_alone is not None and auc_alone > SUSPECT_AUC:
            evidence = f"alone ranks out-of-time outcomes with AUC {auc_alone:.3f}"
            found.append(Suspect(name, auc_alone, auc_alone > DECISIVE_AUC and name in attributes, evidence))
    return sorted(found, key=lambda suspect: (-suspect.decisive, -(suspect.auc or 0.0), suspect.name))


def _aucs_alone(rows: Rows, encoding: Encoding, split: Split) -> Mapping[str, float]:
    """How well each feature alone ranks outcomes, over the rolling origins; nothing where that cannot be told."""
    found: dict[str, list[float]] = {}
    judged = []
    for fold in split.folds:
        fit, judge = rows.take(fold.fit[:: 1 + len(fold.fit) // _MOST_ROWS]), rows.take(fold.judge)
        if len({*fit.won}) < 2 or len({*judge.won}) < 2:
            continue
        judged.append(len(judge.won))
        for position, feature in enumerate(encoding.features):
            alone = _auc_alone(fit, judge, position, feature.kind == "category")
            found.setdefault(feature.name, []).append(alone)
    return {name: float(np.average(aucs, weights=judged)) for name, aucs in found.items()}


def _auc_alone(fit: Rows, judge: Rows, position: int, category: bool) -> float:
    """AUC of a few shallow trees on one feature."""
    column = [position]
    data = lightgbm.Dataset(
        fit.matrix[:, column], fit.won, categorical_feature=[0] if category else [], free_raw_data=True
    )
    booster = lightgbm.train(_PARAMETERS, data, num_boost_round=10)
    return auc(judge.won, np.asarray(booster.predict(judge.matrix[:, column], num_threads=1)))


_PARAMETERS = {
    "objective": "binary",
    "num_leaves": 8,
    "min_data_in_leaf": 20,
    "min_data_per_group": 20,
    "num_threads": 1,
    "verbosity": -1,
}


def _blank_with_one_outcome(values: pa.ChunkedArray, rows: Rows, split: Split) -> str | None:
    """The only outcome blanks come with at creation, where chance hardly explains that."""
    train = split.train[rows.at_creation[split.train]]
    blank, won = np.asarray(values.is_null())[train], rows.won[train] > 0
    blanks, wins = int(blank.sum()), int(won.sum())
    blank_wins = int((blank & won).sum())
    if blanks in (0, len(train)) or wins in (0, len(train)) or blank_wins not in (0, blanks):
        return None
    by_chance = hypergeom.logpmf(blank_wins, len(train), wins, blanks)
    return ("won" if blank_wins else "lost") if by_chance < np.log(_CHANCE) else None
