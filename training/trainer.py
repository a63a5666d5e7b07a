"""Training: from a folder of records to a calibrated bundle, its report and its out-of-time predictions.

The rung is chosen, and the calibration fitted, on the rolling origins inside the training window; the test window is
touched once, to report. The report sets every rung beside the constant.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import Entry, Month
from features.engines.duckdb import DuckDBEngine
from features.partner_history import HORIZON_DAYS
from features.provenance import ATTRIBUTE_PREFIX, Attribute
from features.records import DERIVED
from features.values import DAY, rfc3339
from models.bundle import Bundle
from models.encoding import EncodedFeature, Encoding, Matrix
from models.probability import Calibration, MarginModel, sigmoid
from training import leaks
from training.calibrating import bootstrap, calibrate, shifted
from training.choosing import Choice, choose
from training.evaluation import Predictions, evaluate
from training.ladder import FEWEST_LEVEL_ROWS, MOST_LEVELS, Rows, base_rate
from training.snapshots import Snapshots, label
from training.splits import Split, split

NAME = "eql-close-probability"
Progress = Callable[[str], None]
Reals = NDArray[np.float64]

_GOLDEN = 20
_TWO_YEARS = 730 * DAY


@dataclass(frozen=True)
class Trained:
    """What training yields.

    Attributes:
        bundle: ready to serve.
        report: figures and words, JSON types only.
        predictions: the served rung's, on the test window.
        test_matrix: those rows, encoded.
        table: features of every labelled snapshot, as the engine gave them.
    """

    bundle: Bundle
    report: Mapping[str, Any]
    predictions: Predictions
    test_matrix: Matrix
    table: pa.Table


@dataclass(frozen=True)
class _Data:
    snapshots: Snapshots
    catalogue: Catalogue
    encoding: Encoding
    rows: Rows
    split: Split
    table: pa.Table


def train(
    folder: Path,
    catalogue: Catalogue,
    progress: Progress,
    *,
    seed: int = 0,
    horizon_days: int = HORIZON_DAYS,
    allowed_leaks: Collection[str] = (),
) -> Trained:
    """Train on a folder of records.

    Args:
        folder: the records (see features.folder).
        catalogue: the base catalogue; the folder's attributes are added.
        progress: told of each step, in words.
        seed: of every draw.
        horizon_days: days within which "close" counts.
        allowed_leaks: decisive features to train with all the same.

    Raises:
        NothingToLearn: no lead has a mature label.
        LeakFound: an attribute nearly decides the outcome.
        FolderError, UnreadableRecords: the folder cannot be read.
    """
    progress("reading records and labelling snapshots")
    with DuckDBEngine(folder, horizon_days) as engine:
        snapshots = label(engine, horizon_days)
        full = catalogue.with_attributes(engine.provenance.attributes)
        progress(f"evaluating {len(full)} features of {len(snapshots):,} snapshots")
        found = engine.evaluate(full, snapshots.table(), fields=True)
        # Beside the features only the source partner, by which promotion judges partners one by one.
        table = found.select(["lead_id", "as_of", *full.names, "lead.source_partner_id"])
        history = {kind.name: engine.sql(_LAST.format(kind=kind)).to_pylist() for kind in DERIVED}
        provenance = engine.provenance
    data = _prepare(snapshots, full, table)
    attributes = {entry.name for entry in full if entry.family == "attributes"}
    searched = leaks.examine(
        data.rows, data.encoding, data.split, attributes, data.table, leaks.History.of(snapshots), seed
    )
    allowed = {*allowed_leaks, *(f"{ATTRIBUTE_PREFIX}{name}" for name in allowed_leaks)}
    blocking = [suspect for suspect in searched.suspects if suspect.decisive and suspect.name not in allowed]
    if blocking:
        raise leaks.LeakFound(blocking)
    directions = [full[name].direction for name in data.encoding.names]
    choice = choose(data.rows, data.encoding, directions, data.split, snapshots.cluster, progress, seed)
    progress(f"fitting the {choice.rung} rung on {len(data.split.train):,} rows")
    bundle = _bundle(data, choice, directions, seed, history, tuple(provenance.attributes))
    return _report(data, choice, bundle, searched, provenance.point_in_time, seed)


_LAST = "SELECT * EXCLUDE (superseded_at) FROM {kind.name} WHERE superseded_at IS NULL ORDER BY {kind.id}"


def _prepare(snapshots: Snapshots, catalogue: Catalogue, table: pa.Table) -> _Data:
    """Align the engine's rows with the snapshots and encode them; levels come from training rows alone."""
    keys = {key: i for i, key in enumerate(zip(table["lead_id"].to_pylist(), table["as_of"].to_pylist(), strict=True))}
    wanted = zip(snapshots.lead_id.tolist(), snapshots.as_of.tolist(), strict=True)
    table = table.take(pa.array([keys[key] for key in wanted], pa.int64()))
    division = split(snapshots)
    encoding = _encoding(_tellable(catalogue, snapshots.as_of[division.train]), table.take(pa.array(division.train)))
    matrix = encoding.encode({name: table[name].to_pylist() for name in encoding.names}, len(table))
    rows = Rows(matrix, snapshots.won.astype(np.float64), snapshots.weight, snapshots.at_creation)
    return _Data(snapshots, catalogue, encoding, rows, division, table)


def _tellable(catalogue: Catalogue, as_of: NDArray[np.int64]) -> Iterable[Entry]:
    """The features that can be told from the passing of time: the season only where every month came twice."""
    seasons = np.ptp(as_of) >= _TWO_YEARS
    return (entry for entry in catalogue if seasons or not isinstance(entry.value, Month))


def _encoding(catalogue: Iterable[Entry], table: pa.Table) -> Encoding:
    """Features that vary among the training rows, with their commonest levels."""
    features = []
    for entry in catalogue:
        counts = table[entry.name].value_counts().to_pylist()
        if len(counts) < 2:
            continue
        levels: tuple[str, ...] = ()
        if entry.kind == "category":
            common = [c for c in counts if c["values"] is not None and c["counts"] >= FEWEST_LEVEL_ROWS]
            common.sort(key=lambda c: (-c["counts"], c["values"]))
            levels = tuple(c["values"] for c in common[:MOST_LEVELS])
            if not levels:
                continue
        features.append(EncodedFeature(entry.name, entry.kind, levels))
    return Encoding(tuple(features))


def _bundle(
    data: _Data,
    choice: Choice,
    directions: Sequence[int],
    seed: int,
    history: Mapping[str, Sequence[Mapping[str, Any]]],
    attributes: tuple[Attribute, ...],
) -> Bundle:
    rows = data.rows.take(data.split.train)
    model = choice.fit(rows, data.encoding, directions, seed)
    map_ = _calibration(data, choice, model, seed)
    rate = base_rate(rows)
    bundle = Bundle(
        name=NAME,
        encoding=data.encoding,
        model=model,
        calibration=map_,
        horizon_days=data.snapshots.horizon_days,
        base_rate=rate,
        grades=None,
        attributes=attributes,
        features_sha256=data.catalogue.values_sha256(data.encoding.names),
        expected_amount=data.snapshots.expected_amount,
        reference=_reference(data),
        history=history,
        facts={
            "cut": rfc3339(data.snapshots.cut),
            "training_rows": len(data.split.train),
            "rung_reason": choice.reason,
            "settings": choice.settings,
        },
    )
    return _graded(bundle, data)


def _calibration(data: _Data, choice: Choice, model: MarginModel, seed: int) -> Calibration:
    """The map fitted on the rolling origins; a base rate keeps the identity, with its own uncertainty."""
    rng = np.random.default_rng(seed)
    if choice.rung == "base_rate":
        created = data.split.train[data.rows.at_creation[data.split.train]]
        margins, won = model.contributions(data.rows.matrix[created]).sum(axis=1), data.rows.won[created]
        return Calibration(1.0, 0.0, bootstrap(margins, won, data.snapshots.cluster[created], rng))
    won, cluster = data.rows.won[choice.judged], data.snapshots.cluster[choice.judged]
    recent = shifted(choice.margins, won, choice.latest)
    draws = bootstrap(choice.margins, won, cluster, rng, recent)
    return replace(calibrate(choice.margins, won, recent), draws=draws)


def _graded(bundle: Bundle, data: _Data) -> Bundle:
    """The bundle with grade cut-offs from the training leads at creation, and golden rows."""
    created = data.split.train[data.rows.at_creation[data.split.train]]
    odds = bundle.parts(data.rows.matrix[created]).sum(axis=1)
    chosen = np.linspace(0, len(created) - 1, min(_GOLDEN, len(created))).astype(int)
    golden = data.table.select(["lead_id", *bundle.encoding.names]).take(pa.array(created[chosen])).to_pylist()
    rows = [{name: row[name] for name in bundle.encoding.names} for row in golden]
    return replace(bundle, grades=cut_offs(odds), golden=tuple(zip(rows, odds[chosen].tolist(), strict=True)))


def cut_offs(log_odds: Reals) -> tuple[float, float, float] | None:
    """Least probabilities of the grades A, B and C, quarters by rank; None where all leads get the same.

    Leads with the same probability share the rank in their middle, so that many equal ones are not all an A.
    """
    distinct, counts = np.unique(sigmoid(log_odds), return_counts=True)
    if len(distinct) == 1:
        return None
    middle = (np.cumsum(counts) - counts / 2) / counts.sum()
    a, b, c = np.append(distinct, 1.0)[np.searchsorted(middle, [0.75, 0.5, 0.25])]
    return float(a), float(b), float(c)


def _reference(data: _Data) -> Mapping[str, Any]:
    """What training leads looked like at creation, for drift: missing shares, quantiles, level shares."""
    created = data.rows.matrix[data.split.train][data.rows.at_creation[data.split.train]]
    found: dict[str, Any] = {}
    for column, feature in zip(created.T, data.encoding.features, strict=True):
        present = column[~np.isnan(column)]
        entry: dict[str, Any] = {"missing": float(np.isnan(column).mean())}
        if feature.kind == "category":
            entry["levels"] = [
                float((present == code).mean()) if len(present) else 0.0 for code in range(len(feature.levels))
            ]
        elif len(present):
            entry["deciles"] = [float(q) for q in np.quantile(present, np.linspace(0, 1, 11))]
        found[feature.name] = entry
    return found


def _report(
    data: _Data, choice: Choice, bundle: Bundle, searched: leaks.Examination, point_in_time: bool, seed: int
) -> Trained:
    test = data.split.test
    probability = sigmoid(bundle.parts(data.rows.matrix[test]).sum(axis=1))
    snapshots = data.snapshots
    predictions = Predictions(
        lead_id=snapshots.lead_id[test],
        as_of=snapshots.as_of[test],
        cluster=snapshots.cluster[test],
        won=data.rows.won[test],
        probability=np.asarray(probability),
        constant=bundle.base_rate,
    )
    figures = evaluate(predictions, bundle.rung != "base_rate", seed)
    report = {
        **figures,
        "rung": bundle.rung,
        "rung_reason": choice.reason,
        "horizon_days": snapshots.horizon_days,
        "target": f"won within {snapshots.horizon_days} days"
        if snapshots.horizon_days
        else "ever won: weaker evidence",
        "split": data.split.how,
        "point_in_time": "recorded times" if point_in_time else "not verifiable: the export has no recorded times",
        "training_rows": len(data.split.train),
        "training_leads": len(set(snapshots.lead_id[data.split.train].tolist())),
        "features": len(bundle.encoding.features),
        "calibration": {"slope": bundle.calibration.slope, "intercept": bundle.calibration.intercept},
        "out_of_time_rungs": list(choice.table),
        "leaks": [suspect.to_json() for suspect in searched.suspects],
        "drifting": [each.to_json() for each in searched.drifting],
        "leak_searches_skipped": list(searched.skipped),
        "cut": rfc3339(snapshots.cut),
    }
    return Trained(bundle, report, predictions, data.rows.matrix[test], data.table)
