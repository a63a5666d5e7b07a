"""The exported matrix is what the trainer learned from; excluded leads are as if they had never been."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from app.commands.matrix import app
from features.catalogue import CATALOGUE
from features.folder import FolderWriter
from features.provenance import Attribute, Provenance
from features.records import KINDS
from features.value_types import DAY, Scalar
from models.encoding import EncodedFeature, Encoding
from models.probability import Blend, Logistic, sigmoid
from training.data.matrix import METADATA, TrainingData, data_sha256, export_table, prepare_training
from training.data.rows import Rows
from training.data.segments import Segment, UnknownSegment
from training.data.snapshots import NothingToLearn
from training.fitting.ladder import fit_logistic
from training.fitting.trainer import TrainingResult, train
from training.world.simulation import simulate

CUT = 20_000 * DAY
COUNT = 600
RNG = np.random.default_rng(11)
SIZE = RNG.normal(size=COUNT)
WON = RNG.random(COUNT) < sigmoid(2.0 * SIZE - 0.5)
ORIGIN = [("fair", "web", "mail")[n % 3] for n in range(COUNT)]
PART = [("new", "old")[n % 2] for n in range(COUNT)]
"""An attribute with the name of a column of the matrix."""
SIGNAL: Mapping[str, list[Any]] = {"size": SIZE.tolist(), "origin": ORIGIN, "part": PART}
FAIR = Segment("origin", "fair")


def records(folder: Path, kept: Callable[[int], bool] = lambda _n: True) -> Path:
    """An import: leads a day apart, won or lost within a month, some of them left out."""
    kinds = {name: "category" if isinstance(values[0], str) else "number" for name, values in SIGNAL.items()}
    declared = tuple(Attribute(name, kind, "at_creation") for name, kind in kinds.items())  # type: ignore[arg-type]
    leads, events = [], []
    for n in filter(kept, range(COUNT)):
        created = CUT - (COUNT + 40 - n) * DAY
        closed = created + (1 + n % 29) * DAY
        row: dict[str, Scalar] = {"lead_id": f"L{n:04}", "created_at": created, "deleted": False}
        row |= {"occurred_at": created, "recorded_at": created}
        leads.append(row | {f"attributes.{name}": values[n] for name, values in SIGNAL.items()})
        event: dict[str, Scalar] = {"lead_event_id": f"E{n}", "lead_id": f"L{n:04}", "deleted": False}
        events.append(event | {"occurred_at": closed, "recorded_at": closed, "event": "won" if WON[n] else "lost"})
    with FolderWriter(folder, Provenance(CUT, False, declared)) as writer:
        writer.write(KINDS["leads"], leads)
        writer.write(KINDS["lead_events"], events)
    return folder


def trained(folder: Path, *excluded: Segment) -> TrainingResult:
    return train(folder, CATALOGUE, lambda _words: None, horizon_days=30, excluded=excluded)


def prepared(folder: Path, *excluded: Segment, horizon_days: int = 30) -> TrainingData:
    return prepare_training(folder, CATALOGUE, lambda _words: None, horizon_days=horizon_days, excluded=excluded)


@pytest.fixture(scope="module")
def signal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return records(tmp_path_factory.mktemp("signal") / "records")


@pytest.fixture(scope="module")
def version(signal: Path) -> TrainingResult:
    return trained(signal)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "world"
    simulate(folder, 200, 1, dt.date(2026, 6, 30))
    return folder


class File:
    """An exported matrix, read as a data scientist would: pandas and the file's own metadata, nothing else."""

    def __init__(self, path: Path) -> None:
        self.frame = pd.read_parquet(path)
        self.says = json.loads(pq.read_schema(path).metadata[METADATA])
        self.encoding = Encoding(
            tuple(EncodedFeature(f["name"], f["kind"], tuple(f["levels"])) for f in self.says["encoding"])
        )
        self.directions = [feature["direction"] for feature in self.says["encoding"]]

    def matrix(self, rows: Any) -> NDArray[np.float64]:
        some = self.frame[rows]
        values = {f["name"]: some[f["column"]].tolist() for f in self.says["encoding"]}
        return self.encoding.encode(values, len(some))

    def logistic(self, rows: Any, strength: float) -> Logistic:
        some = self.frame[rows]
        learned = Rows(
            matrix=self.matrix(rows),
            won=some["won"].to_numpy(float),
            weight=some["weight"].to_numpy(),
            at_creation=some["at_creation"].to_numpy(),
        )
        return fit_logistic(learned, self.encoding, self.directions, strength)


def written(folder: Path, out: Path, *arguments: object) -> dict[str, Any]:
    """What the command says of the matrix it wrote."""
    done = CliRunner().invoke(app, [str(out), "--records", str(folder), "--json", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_model_fitted_on_the_file_is_the_one_that_training_yields(
    signal: Path, version: TrainingResult, tmp_path: Path
) -> None:
    served = version.bundle.model
    assert isinstance(served, Blend)
    written(signal, tmp_path / "matrix.parquet", "--horizon-days", 30)
    file = File(tmp_path / "matrix.parquet")
    strength = version.bundle.training_summary["settings"]["logistic"]["strength"]
    member = file.logistic(file.frame["part"] == "train", strength)
    refitted = replace(version.bundle, model=replace(served, members=(member, *served.members[1:])))
    probability = sigmoid(refitted.contributions(file.matrix(file.frame["part"] == "test")).sum(axis=1))
    assert refitted.sha256 == version.bundle.sha256
    assert probability.tolist() == version.predictions.probability.tolist()
    assert file.says["data_sha256"] == data_sha256(version.table)


def test_weights_parts_and_rolling_origins_are_the_trainers(world: Path, tmp_path: Path) -> None:
    data, said = prepared(world, horizon_days=90), written(world, tmp_path / "matrix.parquet")
    file = File(tmp_path / "matrix.parquet")
    frame = file.frame
    assert said["rows"] == len(frame) == len(data.snapshots)
    assert frame["lead_id"].tolist() == data.snapshots.lead_id.tolist()
    assert np.flatnonzero(frame["part"] == "train").tolist() == data.split.train.tolist()
    assert np.flatnonzero(frame["part"] == "test").tolist() == data.split.test.tolist()
    for number, fold in enumerate(data.split.folds, start=1):
        assert np.flatnonzero(frame[f"fit_{number}"]).tolist() == fold.fit.tolist()
        assert np.flatnonzero(frame[f"judge_{number}"]).tolist() == fold.judge.tolist()
    ours = fit_logistic(data.rows.take(data.split.train), data.encoding, data.directions, 0.03)
    assert file.logistic(frame["part"] == "train", 0.03).to_bytes() == ours.to_bytes()
    tested = frame.loc[frame["part"] == "test", "as_of"].min()
    assert (frame.loc[frame["part"] == "purged", "as_of"] < tested).all()
    assert (frame.loc[frame["part"] == "later", "as_of"] >= tested).all()
    horizon = pd.Timedelta(days=file.says["horizon_days"])
    assert (frame.loc[frame["part"] == "purged", "as_of"] + horizon > tested).all()


def test_the_file_holds_features_and_pseudonyms_and_nothing_else_of_the_records(world: Path) -> None:
    data = prepared(world, horizon_days=90)
    own = {"lead_id", "as_of", "created", "at_creation", "cluster", "won", "weight", "part", "source_partner_id"}
    origins = {f"{name}_{n}" for n in range(1, len(data.split.folds) + 1) for name in ("fit", "judge")}
    assert {*export_table(data).column_names} == own | origins | {*CATALOGUE.names}
    assert not (own | origins) & {*CATALOGUE.names}


def test_an_attribute_named_like_a_column_of_the_file_keeps_its_values_under_its_full_name(signal: Path) -> None:
    table = export_table(prepared(signal))
    assert {*table["part"].to_pylist()} <= {"train", "test", "purged", "later"}
    assert table["attributes.part"].to_pylist() == PART
    described = json.loads((table.schema.metadata or {})[METADATA])
    assert {f["name"]: f["column"] for f in described["encoding"]}["part"] == "attributes.part"


def without_metadata(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata(None)


def test_excluded_leads_are_as_if_they_had_never_been(signal: Path, tmp_path: Path) -> None:
    bereft = records(tmp_path / "records", lambda n: ORIGIN[n] != "fair")
    some = prepared(signal, FAIR)
    assert some.excluded == {FAIR: ORIGIN.count("fair")}
    assert without_metadata(export_table(some)).equals(without_metadata(export_table(prepared(bereft))))
    assert some.encoding == prepared(bereft).encoding


def test_training_says_what_it_left_out(signal: Path, version: TrainingResult) -> None:
    web_and_new = trained(signal, FAIR, Segment("part", "new"), FAIR)
    left = [{"segment": "origin=fair", "leads": 200}, {"segment": "part=new", "leads": 300}]
    assert web_and_new.report.to_dict()["excluded"] == left == web_and_new.bundle.training_summary["excluded"]
    kept = {f"L{n:04}" for n in range(COUNT) if ORIGIN[n] != "fair" and PART[n] != "new"}
    assert {*web_and_new.table["lead_id"].to_pylist()} == kept >= {*web_and_new.predictions.lead_id.tolist()}
    assert version.report.excluded == ()


def test_training_names_the_categories_whose_levels_it_leaves_out(tmp_path: Path) -> None:
    """70 towns with 35 leads each; streets of one lead beside a high street; and a plate for each lead."""
    names = ("town", "street", "plate")
    declared = tuple(Attribute(name, "category", "at_creation") for name in names)
    leads, events = [], []
    for n in range(70 * 35):
        created = CUT - (2600 - n) * DAY // 4
        row: dict[str, Scalar] = {"lead_id": f"L{n:04}", "created_at": created, "deleted": False}
        row |= {"occurred_at": created, "recorded_at": created, "attributes.plate": f"Plate {n}"}
        street = f"Street {n}" if n % 2 else ("high street", "High Street ")[n % 4 // 2]
        leads.append(row | {"attributes.town": f"Town {n % 70}", "attributes.street": street})
        event: dict[str, Scalar] = {"lead_event_id": f"E{n}", "lead_id": f"L{n:04}", "deleted": False}
        events.append(event | {"occurred_at": created, "recorded_at": created, "event": "won" if n % 3 else "lost"})
    with FolderWriter(tmp_path / "records", Provenance(CUT, False, declared)) as writer:
        writer.write(KINDS["leads"], leads)
        writer.write(KINDS["lead_events"], events)
    data = prepared(tmp_path / "records")
    town, street, plate = ({each.feature: each for each in data.left_out_levels}[name] for name in names)
    learned = data.table.take(pa.array(data.split.train)).to_pydict()
    counts = {name: Counter(learned[name]) for name in names}
    rows = len(learned["town"])
    assert (town.levels, town.kept) == (70, 50)
    assert town.rows == pytest.approx(1 - sum(n for _, n in counts["town"].most_common(50)) / rows)
    assert str(town).startswith("town: 50 of 70 levels are kept; ")
    assert (street.levels, street.kept) == (len(counts["street"]), 1)
    assert street.rows == pytest.approx(1 - counts["street"]["high street"] / rows)
    assert (plate.levels, plate.kept, plate.rows) == (rows, 0, 1)
    assert str(plate) == (
        f"plate: none of {rows:,} levels has 20 training rows, so the category is not read; "
        "100.0% of the training rows have a level"
    )
    assert {*data.encoding.names} >= {"town", "street"}
    assert "plate" not in data.encoding.names


def versions(lead_id: str, *regions: tuple[str, int]) -> list[dict[str, Scalar]]:
    """A lead in its regions, each since a moment."""
    lead: dict[str, Scalar] = {"lead_id": lead_id, "created_at": regions[0][1], "deleted": False}
    return [lead | {"region": region, "occurred_at": at, "recorded_at": at} for region, at in regions]


def test_what_counts_is_what_a_lead_was_at_creation(tmp_path: Path) -> None:
    """A lead that moves to another region a week later stays what it was."""
    start = CUT - 400 * DAY
    moved = versions("moved", ("emea", start), ("apac", start + 7 * DAY))
    others = [row for n in range(60) for row in versions(f"O{n}", ("amer", start + n * 5 * DAY))]
    touch: dict[str, Scalar] = {"touchpoint_id": "T", "lead_id": "moved", "channel": "webinar", "deleted": False}
    with FolderWriter(tmp_path / "records", Provenance(CUT)) as writer:
        writer.write(KINDS["leads"], [*moved, *others])
        writer.write(KINDS["touchpoints"], [touch | {"occurred_at": start, "recorded_at": start}])
    every, some = (
        prepared(tmp_path / "records", *out).snapshots.lead_id.tolist() for out in ([], [Segment("region", "emea")])
    )
    assert every.count("moved") > 2
    assert {*every} - {*some} == {"moved"}
    with pytest.raises(UnknownSegment, match=r"no lead had region=apac .* amer \(60 leads\), emea \(1 lead\)"):
        prepared(tmp_path / "records", Segment("region", "apac"))
    with pytest.raises(NothingToLearn, match="exclude fewer"):
        prepared(tmp_path / "records", Segment("region", "emea"), Segment("region", "amer"))


def test_a_segment_that_is_none_is_refused_with_the_choices(signal: Path) -> None:
    with pytest.raises(UnknownSegment, match=r"'size' is no category to exclude by; choose among .*region.*origin"):
        prepared(signal, Segment("size", "3"))
    with pytest.raises(UnknownSegment, match=r"no lead had origin=moon .*; origin is .*web \(200 leads\)"):
        prepared(signal, Segment("origin", "moon"))
    with pytest.raises(UnknownSegment, match="region is missing for every lead"):
        prepared(signal, Segment("region", "emea"))
    for text in ("region", "region=", "=emea", ""):
        with pytest.raises(UnknownSegment, match="NAME=VALUE"):
            Segment.parse(text)
    assert Segment.parse("Lead Source = a=b") == Segment("Lead Source", "a=b")


def test_the_command_leaves_segments_out_and_writes_nothing_where_it_fails(signal: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "matrix.parquet"
    said = written(signal, out, "--horizon-days", 30, "--exclude", "origin=fair", "--exclude", "part=new")
    assert [segment["leads"] for segment in said["excluded"]] == [200, 300]
    assert "fair" not in pd.read_parquet(out)["origin"].unique()
    failed = CliRunner().invoke(app, [str(tmp_path / "x.parquet"), "--records", str(signal), "--exclude", "origin=x"])
    assert isinstance(failed.exception, UnknownSegment)
    assert CliRunner().invoke(app, [str(tmp_path / "x.csv"), "--records", str(signal)]).exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
