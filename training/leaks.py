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
        auc: how well it alone ranks out-of-time outcomes.
        decisive: whether it blocks training.
        evidence: why, in words.
    """

    name: str
    auc: float
    decisive: bool
    evidence: str

    def to_json(self) -> Mapping[str, Any]:
        """JSON types."""
        return asdict(self)


def suspects(rows: Rows, encoding: Encoding, split: Split, attributes: Collection[str]) -> list[Suspect]:
    """Suspects among all features, worst first; only an import's `attributes` can be decisive.

    They are judged on the last rolling origin, so that the test window stays untouched.
    """
    if not split.folds:
        return []
    fold = split.folds[-1]
    fit, judge = rows.take(fold.fit[:: 1 + len(fold.fit) // _MOST_ROWS]), rows.take(fold.judge)
    if len({*fit.won}) < 2 or len({*judge.won}) < 2:
        return []
    found = []
    for position, feature in enumerate(encoding.features):
        alone = _auc_alone(fit, judge, position, feature.kind == "category")
        blank = _blank_with_one_outcome(rows, position) if feature.name in attributes else None
        if blank is not None:
            found.append(Suspect(feature.name, alone, True, f"is blank only where the lead was {blank}"))
        elif alone > SUSPECT_AUC:
            evidence = f"alone ranks out-of-time outcomes with AUC {alone:.3f}"
            found.append(Suspect(feature.name, alone, alone > DECISIVE_AUC and feature.name in attributes, evidence))
    return sorted(found, key=lambda suspect: (-suspect.decisive, -suspect.auc, suspect.name))


def _auc_alone(fit: Rows, judge: Rows, position: int, category: bool) -> float:
    """AUC of a few shallow trees on one feature."""
    column = [position]
    data = lightgbm.Dataset(
        fit.matrix[:, column], fit.won, categorical_feature=[0] if category else [], free_raw_data=True
    )
    parameters = {"objective": "binary", "num_leaves": 8, "min_data_in_leaf": 20, "num_threads": 1, "verbosity": -1}
    booster = lightgbm.train(parameters, data, num_boost_round=10)
    return auc(judge.won, np.asarray(booster.predict(judge.matrix[:, column])))


def _blank_with_one_outcome(rows: Rows, position: int) -> str | None:
    """The only outcome blanks come with, where chance hardly explains that."""
    blank = np.isnan(rows.matrix[:, position]) & rows.at_creation
    count, won, rate = int(blank.sum()), int(rows.won[blank].sum()), float(rows.won[rows.at_creation].mean())
    if not count or 0 < won < count or count == rows.at_creation.sum() or not 0 < rate < 1:
        return None
    by_chance = count * np.log(rate if won else 1 - rate)
    return ("won" if won else "lost") if by_chance < np.log(_CHANCE) else None
