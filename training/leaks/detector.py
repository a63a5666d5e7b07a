"""The search for leaks: every search over every feature, one ranked list of suspects."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from models.encoding import Encoding
from training.data.rows import Rows
from training.data.snapshots import MAX_SNAPSHOTS
from training.data.splits import Split
from training.evaluation.leak_findings import DriftingFeature, Evidence, Suspect
from training.leaks import drift, id_order, near_close, single_feature_auc
from training.leaks.columns import FeatureColumn, feature_column
from training.leaks.evidence import ranked
from training.leaks.sample import FAMILY, LeadHistory, Sample
from training.leaks.value_leaks import evidence as telling
from training.leaks.value_leaks import marks


@dataclass(frozen=True)
class LeakSearch:
    """What the search came to.

    Attributes:
        suspects: of leaking, worst first.
        drifting: features by which training and test leads are told apart, worst first; no leak for that alone.
        skipped: searches that could not be made, each with the reason.
    """

    suspects: tuple[Suspect, ...]
    drifting: tuple[DriftingFeature, ...]
    skipped: tuple[str, ...]


def search_for_leaks(
    rows: Rows,
    encoding: Encoding,
    split: Split,
    attributes: Collection[str],
    table: pa.Table,
    history: LeadHistory | None = None,
    seed: int = 0,
) -> LeakSearch:
    """Suspects among all features, worst first; only features of an import's `attributes` can be decisive.

    Outcomes are those of the training rows alone, so that the test window stays untouched; of test rows only features
    are read, to name what drifts.

    Args:
        rows: the rows as the model reads them.
        encoding: of their features.
        split: the split of the rows.
        attributes: names of the features that an import declared.
        table: the features of all rows as the engine gave them: it tells what is blank, also where no model reads it.
        history: of the rows' leads; without one, neither skill towards the close nor numbers given in order are
            looked at, and leads count as independent.
        seed: of the halves that judge each other.
    """
    sample = Sample.of(rows, split, history)
    columns = [feature_column(name, table[name], split.train) for name in dict.fromkeys((*encoding.names, *attributes))]
    found: dict[str, list[Evidence]] = {each.name: [] for each in columns}
    declared = [each for each in columns if each.name in attributes]
    skipped = [*_by_tells(declared, sample, found), *_by_order(declared, sample, history, found)]
    alone = _by_skill(columns, rows, split, sample, found)
    rng = np.random.default_rng(seed)
    skipped += _towards_the_close(columns, rows, split, sample, history, found, rng)
    named = [Suspect.of(name, alone[name], each, name in attributes) for name, each in found.items() if each]
    drifting = drift.drifting(rows, encoding, split, rng)
    return LeakSearch(tuple(ranked(named)), tuple(drifting), tuple(skipped))


Findings = Mapping[str, list[Evidence]]


def _by_skill(
    columns: Sequence[FeatureColumn], rows: Rows, split: Split, sample: Sample, found: Findings
) -> Mapping[str, float | None]:
    """The AUC of each feature alone."""
    skills = {
        each.name: single_feature_auc.single_feature_skill(each, rows, split.folds, sample.overdispersion)
        for each in columns
    }
    for name, one in skills.items():
        found[name].extend(single_feature_auc.evidence(one, FAMILY / len(skills)))
    return {name: None if one is None else one.auc for name, one in skills.items()}


def _by_tells(columns: Sequence[FeatureColumn], sample: Sample, found: Findings) -> list[str]:
    if not sample.told_apart:
        return ["what is blank or holds one value was not looked at: all training leads had the same outcome"]
    seen = [marks(each, sample) for each in columns]
    chance = FAMILY / max(1, sum(map(len, seen)))
    for each in seen:
        found[each.column].extend(telling(each, sample, chance))
    return []


def _by_order(
    columns: Sequence[FeatureColumn], sample: Sample, history: LeadHistory | None, found: Findings
) -> list[str]:
    if history is None or history.place is None:
        return ["numbers given in order were not looked at: the order of creation is not known"]
    for each in columns:
        found[each.name].extend(id_order.evidence(each, sample, history, FAMILY / len(columns)))
    return []


def _towards_the_close(
    columns: Sequence[FeatureColumn],
    rows: Rows,
    split: Split,
    sample: Sample,
    history: LeadHistory | None,
    found: Findings,
    rng: np.random.Generator,
) -> list[str]:
    untold = "skill towards the close was not looked at: "
    if history is None or not history.closing.any():
        return [f"{untold}leads have one snapshot each, or no dated close"]
    closed = near_close.closed_leads(rows, split.train, history, sample.overdispersion, rng)
    if not near_close.enough(closed):
        return [f"{untold}too few training leads closed within {MAX_SNAPSHOTS} weeks and after their first"]
    for each in columns:
        found[each.name].extend(near_close.evidence(each, closed, FAMILY / len(columns)))
    return []
