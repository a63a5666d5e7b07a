"""The search for leaks: all searches over all features, and one ranked list of suspects."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.provenance import ATTRIBUTE_PREFIX
from models.encoding import Encoding
from training.data.attribute_fill import AttributeFill
from training.data.rows import Rows
from training.data.snapshots import MAX_SNAPSHOTS
from training.data.splits import Split
from training.evaluation.leak_findings import DriftingFeature, Evidence, Suspect
from training.leaks import drift, filled_at_close, group, id_order, near_close, single_feature_auc
from training.leaks.columns import FeatureColumn, feature_column
from training.leaks.evidence import ranked
from training.leaks.sample import FAMILY, LeadHistory, Sample
from training.leaks.value_leaks import evidence as mark_evidence
from training.leaks.value_leaks import marks


@dataclass(frozen=True)
class LeakSearch:
    """The result of the search.

    Attributes:
        suspects: features suspected of leaking, worst first.
        drifting: features that distinguish training from test leads, worst first; drift alone is no leak.
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
    fills: Collection[AttributeFill] = (),
) -> LeakSearch:
    """Search all features for leaks; only features among an import's `attributes` can be decisive.

    Only outcomes of training rows are read, so that the test window stays untouched. Features of test rows are read to
    name the features that drift.

    Args:
        rows: the rows as the model reads them.
        encoding: the encoding of their features.
        split: the split of the rows.
        attributes: names of the features that an import declared.
        table: the features of all rows as the engine gave them; it shows which cells are blank, also of features that
            no model reads.
        history: the history of the rows' leads; without it the searches near the close and for numbers given in order
            are skipped, and leads count as independent.
        seed: random seed of the halves that judge each other.
        fills: how often each attribute is filled in, of open and of closed leads.
    """
    sample = Sample.of(rows, split, history)
    columns = [feature_column(name, table[name], split.train) for name in dict.fromkeys((*encoding.names, *attributes))]
    findings: dict[str, list[Evidence]] = {each.name: [] for each in columns}
    declared = [each for each in columns if each.name in attributes]
    skipped = [*_search_marks(declared, sample, findings), *_search_id_order(declared, sample, history, findings)]
    for fill in fills:
        name = fill.name if fill.name in findings else f"{ATTRIBUTE_PREFIX}{fill.name}"
        findings.get(name, []).extend(filled_at_close.evidence(fill))
    aucs = _search_single_features(columns, rows, split, sample, findings)
    rng = np.random.default_rng(seed)
    skipped += _search_near_close(columns, rows, split, sample, history, findings, rng)
    if not any(found.decisive for each in findings.values() for found in each):
        for name, found in group.evidence(rows, encoding, split.folds, attributes, rng).items():
            findings[name].append(found)
    named = [Suspect.of(name, aucs[name], each, name in attributes) for name, each in findings.items() if each]
    drifting = drift.drifting(rows, encoding, split, rng)
    return LeakSearch(tuple(ranked(named)), tuple(drifting), tuple(skipped))


Findings = Mapping[str, list[Evidence]]


def _search_single_features(
    columns: Sequence[FeatureColumn], rows: Rows, split: Split, sample: Sample, findings: Findings
) -> Mapping[str, float | None]:
    """The AUC of each feature alone."""
    skills = {
        each.name: single_feature_auc.single_feature_skill(each, rows, split.folds, sample.overdispersion)
        for each in columns
    }
    for name, one in skills.items():
        findings[name].extend(single_feature_auc.evidence(one, FAMILY / len(skills)))
    return {name: None if one is None else one.auc for name, one in skills.items()}


def _search_marks(columns: Sequence[FeatureColumn], sample: Sample, findings: Findings) -> list[str]:
    if not sample.has_both_outcomes:
        return ["what is blank or holds one value was not looked at: all training leads had the same outcome"]
    found_marks = [marks(each, sample) for each in columns]
    chance = FAMILY / max(1, sum(map(len, found_marks)))
    for each in found_marks:
        findings[each.column].extend(mark_evidence(each, sample, chance))
    return []


def _search_id_order(
    columns: Sequence[FeatureColumn], sample: Sample, history: LeadHistory | None, findings: Findings
) -> list[str]:
    if history is None or history.position is None:
        return ["numbers given in order were not looked at: the order of creation is not known"]
    for each in columns:
        findings[each.name].extend(id_order.evidence(each, sample, history, FAMILY / len(columns)))
    return []


def _search_near_close(
    columns: Sequence[FeatureColumn],
    rows: Rows,
    split: Split,
    sample: Sample,
    history: LeadHistory | None,
    findings: Findings,
    rng: np.random.Generator,
) -> list[str]:
    skipped = "skill towards the close was not looked at: "
    if history is None or not history.closing.any():
        return [f"{skipped}leads have one snapshot each, or no dated close"]
    closed = near_close.closed_leads(rows, split.train, history, sample.overdispersion, rng)
    if not near_close.has_enough_outcomes(closed):
        return [f"{skipped}too few training leads closed within {MAX_SNAPSHOTS} weeks and after their first"]
    for each in columns:
        findings[each.name].extend(near_close.evidence(each, closed, FAMILY / len(columns)))
    return []
