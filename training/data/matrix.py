"""The training matrix: labelled snapshots with their features, encoded, weighted and split in time.

The trainer and the export of the matrix use the same preparation. Whole segments of leads may be left out.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import Entry, Month
from features.engines.duckdb import DuckDBEngine
from features.provenance import ATTRIBUTE_PREFIX, Provenance
from features.records import DERIVED
from features.value_types import DAY, rfc3339
from models.encoding import EncodedFeature, Encoding
from training.data.attribute_fill import AttributeFill, attribute_fills
from training.data.levels import CountedLevels, LeftOutLevels
from training.data.rows import Rows
from training.data.segments import ExcludedSegment, Segment, segment_leads
from training.data.snapshots import NothingToLearn, Snapshots, label_snapshots
from training.data.splits import Split, split

Progress = Callable[[str], None]
_TWO_YEARS = 730 * DAY


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """The data of a training; every array and table has one row a snapshot, in the same order.

    Attributes:
        snapshots: the labelled snapshots, without the excluded leads.
        catalogue: the features, with the folder's attributes.
        encoding: how the features that vary among the training rows become numbers.
        rows: the encoded matrix with outcomes and weights.
        split: the training rows, the test rows and the rolling origins.
        table: lead_id, as_of, every feature as the engine gave it, and `lead.source_partner_id`, to judge partners one
            by one.
        provenance: the provenance of the folder.
        history: the last row of each partner and tier, by derived kind.
        excluded: how many leads each excluded segment left out; a lead of two segments counts in both.
        fills: how often each attribute is filled in, of open and of closed leads.
        left_out_levels: the categories some of whose levels the model does not know.
    """

    snapshots: Snapshots
    catalogue: Catalogue
    encoding: Encoding
    rows: Rows
    split: Split
    table: pa.Table
    provenance: Provenance
    history: Mapping[str, Sequence[Mapping[str, Any]]]
    excluded: Mapping[Segment, int]
    fills: tuple[AttributeFill, ...]
    left_out_levels: tuple[LeftOutLevels, ...]

    @property
    def directions(self) -> list[int]:
        """The direction of each encoded feature, in order."""
        return [self.catalogue[name].direction for name in self.encoding.names]

    @property
    def created(self) -> NDArray[np.int64]:
        """Positions of the training leads at creation."""
        return self.split.train[self.rows.at_creation[self.split.train]]

    @property
    def excluded_segments(self) -> tuple[ExcludedSegment, ...]:
        """The segments left out, for reports."""
        return tuple(ExcludedSegment(str(segment), leads) for segment, leads in self.excluded.items())


def prepare_training(
    folder: Path, catalogue: Catalogue, progress: Progress, *, horizon_days: int, excluded: Collection[Segment] = ()
) -> TrainingData:
    """The matrix of a folder of records.

    Args:
        folder: the records (see features.folder).
        catalogue: the base catalogue; the folder's attributes are added.
        progress: gets a message at each step.
        horizon_days: days within which "close" counts.
        excluded: segments of leads to leave out, by their values at creation.

    Raises:
        NothingToLearn: no lead has a mature label, or none is left.
        UnknownSegment: an excluded segment has no lead.
        FolderError, UnreadableRecords: the folder cannot be read.
    """
    progress("reading records and labelling snapshots")
    with DuckDBEngine(folder, horizon_days) as engine:
        snapshots = label_snapshots(engine, horizon_days)
        full = catalogue.with_attributes(engine.provenance.attributes)
        progress(f"evaluating {len(full)} features of {len(snapshots):,} snapshots")
        evaluated = engine.evaluate(full, snapshots.table(), fields=True)
        history = {kind.name: engine.sql(_LAST.format(kind=kind)).to_pylist() for kind in DERIVED}
        provenance, fills = engine.provenance, attribute_fills(engine, engine.provenance.attributes)
    table = _aligned(evaluated.select(["lead_id", "as_of", *full.names, "lead.source_partner_id"]), snapshots)
    left_out = {segment: segment_leads(segment, snapshots, full, table) for segment in dict.fromkeys(excluded)}
    kept = ~np.isin(snapshots.lead_id, np.concatenate([np.zeros(0, str), *left_out.values()]))
    if not kept.all():
        snapshots, table = _take(snapshots, kept), table.filter(pa.array(kept))
    counts = {segment: len(leads) for segment, leads in left_out.items()}
    return _encoded(snapshots, full, table, provenance, history, counts, fills)


_LAST = "SELECT * EXCLUDE (superseded_at) FROM {kind.name} WHERE superseded_at IS NULL ORDER BY {kind.id}"


def _aligned(table: pa.Table, snapshots: Snapshots) -> pa.Table:
    """The engine's rows in the order of the snapshots."""
    keys = {key: i for i, key in enumerate(zip(table["lead_id"].to_pylist(), table["as_of"].to_pylist(), strict=True))}
    wanted = zip(snapshots.lead_id.tolist(), snapshots.as_of.tolist(), strict=True)
    return table.take(pa.array([keys[key] for key in wanted], pa.int64()))


def _take(snapshots: Snapshots, kept: NDArray[np.bool_]) -> Snapshots:
    if not kept.any():
        raise NothingToLearn("no lead is left once the segments are excluded; exclude fewer")
    arrays = {name: array[kept] for name, array in vars(snapshots).items() if isinstance(array, np.ndarray)}
    return replace(snapshots, **cast(dict[str, Any], arrays))


def _encoded(
    snapshots: Snapshots,
    catalogue: Catalogue,
    table: pa.Table,
    provenance: Provenance,
    history: Mapping[str, Sequence[Mapping[str, Any]]],
    excluded: Mapping[Segment, int],
    fills: tuple[AttributeFill, ...],
) -> TrainingData:
    """The snapshots split in time, and encoded with levels from the training rows alone."""
    division = split(snapshots)
    usable = _usable_features(catalogue, snapshots.as_of[division.train])
    encoding, left_out = _encoding(usable, table.take(pa.array(division.train)))
    matrix = encoding.encode({name: table[name].to_pylist() for name in encoding.names}, len(table))
    rows = Rows(
        matrix=matrix,
        won=snapshots.won.astype(np.float64),
        weight=snapshots.weight,
        at_creation=snapshots.at_creation,
        position=snapshots.position,
    )
    return TrainingData(
        snapshots=snapshots,
        catalogue=catalogue,
        encoding=encoding,
        rows=rows,
        split=division,
        table=table,
        provenance=provenance,
        history=history,
        excluded=excluded,
        fills=fills,
        left_out_levels=left_out,
    )


def _usable_features(catalogue: Catalogue, as_of: NDArray[np.int64]) -> Iterable[Entry]:
    """The features without those confounded with time: the month needs two years, so that every month came twice."""
    seasons = np.ptp(as_of) >= _TWO_YEARS
    return (entry for entry in catalogue if seasons or not isinstance(entry.value, Month))


def _encoding(catalogue: Iterable[Entry], table: pa.Table) -> tuple[Encoding, tuple[LeftOutLevels, ...]]:
    """The features that vary among the training rows, with their most frequent levels; and the levels left out."""
    features, left_out = [], []
    for entry in catalogue:
        counts = {c["values"]: c["counts"] for c in table[entry.name].value_counts().to_pylist()}
        if len(counts) < 2:
            continue
        levels: tuple[str, ...] = ()
        if entry.kind == "category":
            counted = CountedLevels(entry.name, {v: rows for v, rows in counts.items() if v is not None}, len(table))
            levels = counted.kept
            left_out.append(counted.left_out)
            if not levels:
                continue
        features.append(EncodedFeature(entry.name, entry.kind, levels))
    return Encoding(tuple(features)), tuple(each for each in left_out if each is not None)


METADATA = b"eql"
"""The key of the exported matrix's Parquet metadata that holds its description as JSON."""
_INSTANT = pa.timestamp("us", "UTC")


def export_table(data: TrainingData) -> pa.Table:
    """The matrix as one table, a row a labelled snapshot in the trainer's order, with a description in its metadata.

    The columns are those of the snapshot, `part`, `fit_1` and `judge_1` for the first rolling origin and so on,
    `source_partner_id`, then every feature as the engine gave it. An attribute of an import with the name of another
    column gets the prefix `attributes.`.
    """
    columns = {**_own_columns(data), **_origins(data), "source_partner_id": data.table["lead.source_partner_id"]}
    names = {name: _column(name, columns) for name in data.catalogue.names}
    features = {column: data.table[name] for name, column in names.items()}
    described = json.dumps(_described(data, names)).encode()
    return pa.table({**columns, **features}).replace_schema_metadata({METADATA: described})


def _own_columns(data: TrainingData) -> dict[str, pa.Array]:
    snapshots = data.snapshots
    return {
        "lead_id": pa.array(snapshots.lead_id.tolist(), pa.string()),
        "as_of": pa.array(snapshots.as_of, _INSTANT),
        "created": pa.array(snapshots.created, _INSTANT),
        "at_creation": pa.array(snapshots.at_creation),
        "cluster": pa.array(snapshots.cluster.tolist(), pa.string()),
        "won": pa.array(snapshots.won),
        "weight": pa.array(snapshots.weight),
        "part": pa.array(_parts(data).tolist(), pa.string()),
    }


def _parts(data: TrainingData) -> NDArray[np.str_]:
    """`train` or `test`; other rows are `purged` where their label was incomplete when testing starts, else `later`."""
    as_of, test = data.snapshots.as_of, data.split.test
    parts = np.where(as_of < as_of[test].min(), "purged", "later")
    parts[data.split.train] = "train"
    parts[test] = "test"
    return parts


def _origins(data: TrainingData) -> dict[str, pa.Array]:
    """For each rolling origin, whether a row is fitted on and whether it is judged."""
    return {
        f"{name}_{number}": pa.array(np.isin(np.arange(len(data.table)), positions))
        for number, fold in enumerate(data.split.folds, start=1)
        for name, positions in (("fit", fold.fit), ("judge", fold.judge))
    }


def _column(name: str, taken: Collection[str]) -> str:
    return f"{ATTRIBUTE_PREFIX}{name}" if name in taken else name


def _described(data: TrainingData, names: Mapping[str, str]) -> Mapping[str, Any]:
    return {
        "horizon_days": data.snapshots.horizon_days,
        "cut": rfc3339(data.snapshots.cut),
        "split": data.split.how,
        "point_in_time": data.provenance.point_in_time,
        "excluded": [excluded.to_dict() for excluded in data.excluded_segments],
        "left_out_levels": [each.to_dict() for each in data.left_out_levels],
        "encoding": [
            {**asdict(feature), "column": names[feature.name], "direction": direction}
            for feature, direction in zip(data.encoding.features, data.directions, strict=True)
        ],
        "catalogue_sha256": data.catalogue.sha256,
        "data_sha256": data_sha256(data.table),
    }


def data_sha256(table: pa.Table) -> str:
    """The hash of every value of a table, column by column; the digest of MLflow reads only the first rows."""
    digest = hashlib.sha256()
    for name in table.column_names:
        digest.update(name.encode())
        # The memory under a null is arbitrary, so nulls and values are hashed separately.
        for values in (table[name].is_null(), table[name].drop_null()):
            for batch in pa.table({"values": values}).combine_chunks().to_batches():
                digest.update(batch.serialize())
    return digest.hexdigest()
