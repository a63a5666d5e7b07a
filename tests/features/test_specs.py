"""Every spec of the catalogue comes out as written, on every engine; every feature has one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from features.catalogue import CATALOGUE
from features.catalogue.entry import FAMILIES
from features.catalogue.specs import Expected, InvalidSpec, Spec, agrees, of_family, read
from features.engines.duckdb import DuckDBEngine
from features.engines.engine import Engine
from features.engines.postgres import PostgresEngine
from features.engines.python import evaluate
from features.engines.spark import SparkEngine
from features.folder import FolderWriter
from features.partner_history import HORIZON_DAYS, histories
from features.provenance import Provenance
from features.records import KINDS, Kind
from features.value_types import Scalar

SPECS = [spec for family in FAMILIES for spec in of_family(family)]
IDS = ("lead_id", "account_id", "partner_id", "source_partner_id")
HISTORY = [spec for spec in SPECS if spec.family == "partner_history"]
Rows = dict[str, list[dict[str, Scalar]]]


@dataclass(frozen=True)
class World:
    """Specs evaluated at once, the names of each made its own; those about partners' history stand alone."""

    specs: Sequence[Spec]

    def rows(self) -> Rows:
        found: Rows = {}
        for number, spec in enumerate(self.specs):
            for record in spec.records:
                row = record.row()
                own = {name: own_name(number, row[name]) for name in (*IDS, record.kind.id) if name in row}
                found.setdefault(record.kind.name, []).append(row | own)
        return found

    def expected(self) -> Iterator[tuple[Spec, str, Expected]]:
        for number, spec in enumerate(self.specs):
            for expected in spec.expected:
                yield spec, str(own_name(number, expected.lead_id)), expected

    def snapshots(self) -> pa.Table:
        asked = sorted({(lead_id, expected.as_of) for _, lead_id, expected in self.expected()})
        return pa.table({"lead_id": [lead for lead, _ in asked], "as_of": [as_of for _, as_of in asked]})


def own_name(number: int, name: Scalar) -> Scalar:
    return None if name is None else f"{number}/{name}"


WORLDS = [World([spec for spec in SPECS if spec not in HISTORY]), *(World([spec]) for spec in HISTORY)]


def check(found: Mapping[tuple[str, int], Mapping[str, Scalar]], world: World) -> None:
    wrong = [
        (spec.title, lead_id, name, written, found[lead_id, expected.as_of][name])
        for spec, lead_id, expected in world.expected()
        for name, written in expected.features.items()
        if not agrees(written, found[lead_id, expected.as_of][name])
    ]
    assert not wrong


def derived(rows: Rows) -> Mapping[Kind, list[dict[str, Scalar]]]:
    return histories(rows["leads"], rows.get("partners", []), rows.get("lead_events", []), HORIZON_DAYS)


@pytest.mark.parametrize("world", WORLDS, ids=range(len(WORLDS)))
def test_the_direct_engine_does_as_the_specs_say(world: World) -> None:
    rows = world.rows()
    facts = {**rows, **{kind.name: made for kind, made in derived(rows).items()}}
    found = {}
    for _, lead_id, expected in world.expected():
        own = {**facts, "leads": [row for row in rows["leads"] if row["lead_id"] == lead_id]}
        found[lead_id, expected.as_of] = evaluate(CATALOGUE, own, expected.as_of).features
    check(found, world)


def evaluated(engine: Engine, world: World) -> None:
    table = engine.evaluate(CATALOGUE, world.snapshots())
    check({(row["lead_id"], row["as_of"]): row for row in table.to_pylist()}, world)


@pytest.fixture(params=WORLDS, ids=range(len(WORLDS)))
def world(request: pytest.FixtureRequest) -> World:
    found: World = request.param
    return found


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    with FolderWriter(tmp_path / "records", Provenance()) as writer:
        for name, rows in world.rows().items():
            writer.write(KINDS[name], rows)
    return tmp_path / "records"


def test_duckdb_does_as_the_specs_say(world: World, folder: Path) -> None:
    with DuckDBEngine(folder, HORIZON_DAYS) as engine:
        evaluated(engine, world)


def test_postgresql_does_as_the_specs_say(world: World, folder: Path, postgres_url: str) -> None:
    with PostgresEngine(folder, HORIZON_DAYS, postgres_url) as engine:
        evaluated(engine, world)


def test_spark_does_as_the_specs_say(world: World, folder: Path, spark: SparkSession) -> None:
    with SparkEngine(folder, HORIZON_DAYS, spark) as engine:
        evaluated(engine, world)


def test_every_feature_has_a_spec_of_its_family() -> None:
    told = {(spec.family, name) for spec in SPECS for expected in spec.expected for name in expected.features}
    assert {(entry.family, entry.name) for entry in CATALOGUE} <= told


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ("referrals\noccurred_at\n2026-10-01T00:00:00Z", "expected"),
        ("referals\npartner_id\nP\n\nexpected\nas_of | x\n2026-10-01 | 1", "referals"),
        ("referrals\npartner\nP\n\nexpected\nas_of | x\n2026-10-01 | 1", "partner"),
        ("referrals\npartner_id | occurred_at\nP\n\nexpected\nas_of | x\n2026-10-01 | 1", "shorter"),
        ("referrals\npartner_id\nP\n\nexpected\nas_of | x\n2026-10-01 | 1", "occurred_at is required"),
        ("expected\nas_of | x\n2026-13-01 | 1", "calendar day"),
    ],
)
def test_a_spec_that_cannot_be_read_is_named(tables: str, says: str) -> None:
    with pytest.raises(InvalidSpec, match=f"lead, A title: .*{says}"):
        read("lead", f"A title\n\n```text\n{tables}\n```\n")


def test_reals_are_compared_to_the_digits_written() -> None:
    assert agrees("0.33", 1 / 3)
    assert not agrees("0.34", 1 / 3)
    assert agrees("2", 2.0)
    assert agrees("", None)
    assert not agrees("", 0.0)
    assert not agrees("0", None)
    assert not agrees("1", "one")
