"""The DuckDB engine reads files in place: what it refuses, how it says so, and that it leaves nothing behind."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.bounds import bounds
from features.catalogue import integration_usage
from features.catalogue.catalogue import Catalogue
from features.engines.duckdb import DuckDBEngine, OutOfSpace
from features.folder import FolderError, FolderWriter, Format, read
from features.provenance import Attribute, Provenance
from features.records import DERIVED, KINDS, Stored, parse
from features.value_types import DAY, Scalar

NOW = 20_000 * DAY
HORIZON = 90
USAGE = Catalogue(integration_usage.ENTRIES)


def usage(number: int, **columns: Scalar) -> dict[str, Scalar]:
    """A valid row of integration usage, then `columns` in place of its own."""
    content = {"integration": "slack", "day": NOW - number * DAY, "calls": number, "active_users": 1}
    return (
        Stored(KINDS["integration_usage"], f"U{number}", parse(KINDS["integration_usage"], content), "A1").row()
        | columns
    )


def shared(number: int, **columns: Scalar) -> dict[str, Scalar]:
    content = {"partner_id": "P1", "relationship": "customer", "since": NOW - DAY, "confidence": 0.5}
    return (
        Stored(KINDS["shared_customers"], f"S{number}", parse(KINDS["shared_customers"], content), "A1").row() | columns
    )


def lead() -> dict[str, Scalar]:
    content = {"lead_id": "L1", "account_id": "A1", "created_at": NOW - 300 * DAY}
    return Stored(KINDS["leads"], "L1", parse(KINDS["leads"], content)).row()


def write(folder: Path, rows: Mapping[str, list[dict[str, Scalar]]], format: Format = "parquet") -> Path:
    with FolderWriter(folder, Provenance(), format) as writer:
        for kind, found in rows.items():
            writer.write(KINDS[kind], found)
    return folder


def features(folder: Path, *as_ofs: int) -> list[dict[str, Scalar]]:
    snapshots = pa.table({"lead_id": ["L1"] * len(as_ofs), "as_of": [*as_ofs]})
    with DuckDBEngine(folder, HORIZON) as engine:
        return engine.evaluate(USAGE, snapshots).to_pylist()


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name) / "records"


def replaced(folder: Path, column: str, values: pa.Array, kind: str = "integration_usage") -> Path:
    """The same file as another tool would write it, with one column's values replaced."""
    path = folder / f"{kind}.parquet"
    found = pq.read_table(path)
    pq.write_table(found.set_column(found.schema.get_field_index(column), column, values), path)
    return path


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_a_correction_replaces_from_the_moment_it_was_recorded(folder: Path, format: Format) -> None:
    corrected = usage(4, calls=100, recorded_at=NOW - DAY)
    removed = usage(4, calls=100, recorded_at=NOW, deleted=True)
    write(folder, {"leads": [lead()], "integration_usage": [usage(3), usage(4), usage(5), corrected, removed]}, format)
    calls = [row["integration_calls_30d"] for row in features(folder, NOW - DAY - 1, NOW - DAY, NOW - 1, NOW)]
    assert calls == [3 + 4 + 5, 3 + 100 + 5, 3 + 100 + 5, 3 + 5]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("calls", pa.array(["12", "13"])),
        ("day", pa.array([1, 2])),
        ("day", pa.array([1, 2], pa.timestamp("us"))),
        ("deleted", pa.array([0, 0])),
        ("usage_id", pa.array([1, 2])),
    ],
)
def test_a_column_of_another_type_is_refused(folder: Path, column: str, values: pa.Array) -> None:
    path = replaced(write(folder, {"integration_usage": [usage(1), usage(2)]}), column, values)
    with pytest.raises(FolderError, match=f"{path}: column {column} must be .*, not {values.type}".replace("[", r"\[")):
        DuckDBEngine(folder, HORIZON)


@pytest.mark.parametrize("type", [pa.int16(), pa.uint64()])
def test_a_column_of_another_width_is_read(folder: Path, type: pa.DataType) -> None:
    write(folder, {"leads": [lead()], "integration_usage": [usage(1), usage(2)]})
    replaced(folder, "calls", pa.array([1, 2], type))
    assert features(folder, NOW)[0]["integration_calls_30d"] == 1 + 2


@pytest.mark.parametrize("unit", ["ms", "ns"])
def test_times_of_another_unit_are_read(folder: Path, unit: str) -> None:
    write(folder, {"leads": [lead()], "integration_usage": [usage(1), usage(2)]})
    before = features(folder, NOW)
    day = pq.read_table(folder / "integration_usage.parquet")["day"]
    replaced(folder, "day", day.cast(pa.timestamp(unit, "UTC")))
    assert features(folder, NOW) == before


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (usage(1, calls=-5), "calls must lie between 0 and"),
        (usage(1, calls=2**60), "calls must lie between 0 and"),
        (usage(1, recorded_at=40_000 * 365 * DAY // 100), "recorded_at must lie in the years 1970 to 2200"),
        (usage(1, occurred_at=-DAY), "occurred_at must lie in the years 1970 to 2200"),
        (usage(1, usage_id=None), "usage_id must be given"),
        (usage(1, account_id=None), "account_id must be given"),
        (usage(1, deleted=None), "deleted must be given"),
        (usage(1, day=None), "day must be given"),
        (usage(1, integration="x" * 501), "integration must have 1 to 500 characters"),
        (usage(1, usage_id=""), "usage_id must have 1 to 200 characters"),
    ],
)
def test_values_outside_the_contract_are_counted_and_refused(
    folder: Path, row: dict[str, Scalar], complaint: str
) -> None:
    write(folder, {"integration_usage": [usage(2), row, usage(3), {**row, "integration": row["integration"]}]})
    with pytest.raises(FolderError) as refused:
        DuckDBEngine(folder, HORIZON)
    told = str(refused.value)
    assert f"{folder / 'integration_usage.parquet'}: column {complaint}" in told
    assert "which 2 rows do not, first row 2" in told


@pytest.mark.parametrize("confidence", [1.5, -0.1, float("nan"), float("inf")])
def test_a_confidence_is_a_share(folder: Path, confidence: float) -> None:
    write(folder, {"shared_customers": [shared(1), shared(2, confidence=confidence)]})
    with pytest.raises(FolderError, match="confidence must lie between 0 and 1, which 1 row does not, first row 2"):
        DuckDBEngine(folder, HORIZON)


def test_an_unknown_word_is_named_with_those_known(folder: Path) -> None:
    write(folder, {"shared_customers": [shared(1, relationship="friend")]})
    with pytest.raises(FolderError, match="relationship must be one of customer, opportunity, prospect"):
        DuckDBEngine(folder, HORIZON)


def test_an_attribute_is_finite(folder: Path) -> None:
    with FolderWriter(folder, Provenance(attributes=(Attribute("cost", "number", "at_creation"),))) as writer:
        writer.write(KINDS["leads"], [lead() | {"attributes.cost": float("inf")}])
    with pytest.raises(FolderError, match=r"column attributes\.cost must be a finite number"):
        DuckDBEngine(folder, HORIZON)


def test_attributes_that_differ_by_case_alone_are_refused(folder: Path) -> None:
    attributes = (Attribute("Cost", "number", "at_creation"), Attribute("cost", "number", "at_creation"))
    with FolderWriter(folder, Provenance(attributes=attributes)) as writer:
        writer.write(KINDS["leads"], [lead()])
    with pytest.raises(FolderError, match=r"attributes\.Cost and attributes\.cost differ by case alone"):
        DuckDBEngine(folder, HORIZON)


@pytest.mark.parametrize(
    ("change", "complaint"), [("drop", "lacks the column calls"), ("add", "the unknown column extra")]
)
@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_other_columns_are_refused(folder: Path, format: Format, change: str, complaint: str) -> None:
    path = write(folder, {"integration_usage": [usage(1)]}, format) / f"integration_usage.{format}"
    found = pq.read_table(path) if format == "parquet" else pyarrow.csv.read_csv(path)
    found = found.drop(["calls"]) if change == "drop" else found.append_column("extra", pa.array([1]))
    (pq.write_table if format == "parquet" else pyarrow.csv.write_csv)(found, path)
    with pytest.raises(FolderError, match=complaint):
        DuckDBEngine(folder, HORIZON)


@pytest.mark.parametrize(
    ("written", "instead", "complaint"),
    [
        (",2,1", ",1.5,1", "calls must be an integer in digits"),
        (",false,", ",0,", "deleted must be true or false"),
        ("2024-10-02T00:00:00Z", "2024-10-02 00:00:00", "must be an RFC 3339 time"),
        ('"2024-10-02"', "2024-02-30", "day must be a calendar day that exists"),
        (",2,1", ",-2,1", "calls must lie between 0 and"),
    ],
)
def test_texts_of_a_csv_are_read_strictly(folder: Path, written: str, instead: str, complaint: str) -> None:
    rows = [usage(3), usage(2, day=NOW - 2 * DAY)]
    path = write(folder, {"integration_usage": rows}, "csv") / "integration_usage.csv"
    text = path.read_text()
    assert written in text, text
    path.write_text(text.replace(written, instead))
    with pytest.raises(FolderError, match=complaint):
        DuckDBEngine(folder, HORIZON)


mutations = st.one_of(
    st.fixed_dictionaries({"calls": st.integers(-2, 2) | st.integers(2**53 - 1, 2**53 + 1)}),
    st.fixed_dictionaries({"active_users": st.none() | st.integers(-3, 3)}),
    st.fixed_dictionaries({"integration": st.none() | st.text(st.sampled_from("aé"), max_size=501)}),
    st.fixed_dictionaries({"partner_id": st.none() | st.sampled_from(["", "P", "p" * 200, "é" * 200, "é" * 201])}),
    st.fixed_dictionaries({"recorded_at": st.integers(-2, 2) | st.integers(2, 4).map(lambda n: n * 10**15)}),
)


@settings(max_examples=25, deadline=None)
@given(mutations)
def test_the_engine_refuses_what_the_reader_refuses(mutation: dict[str, Scalar]) -> None:
    """Of one row with one column of any value: both read it or neither does."""
    with TemporaryDirectory() as name:
        folder = write(Path(name) / "records", {"integration_usage": [usage(1, **mutation)]})
        try:
            list(read(folder, KINDS["integration_usage"]))
        except FolderError:
            with pytest.raises(FolderError):
                DuckDBEngine(folder, HORIZON)
        else:
            DuckDBEngine(folder, HORIZON).__exit__(None, None, None)


def test_every_column_a_model_describes_has_bounds() -> None:
    """Flags may be any; what stands beside a field, and the order and group of an undated export, are of any value."""
    free = {"order", "group", "email_domain"}
    for kind in (*KINDS.values(), *DERIVED):
        bounded = {bound.column for bound in bounds(kind)}
        assert {c.name for c in kind.columns if c not in bounded and c.type != "flag"} <= free, kind.name


def test_a_file_that_goes_away_is_named(folder: Path) -> None:
    write(folder, {"leads": [lead()], "integration_usage": [usage(1)]})
    with DuckDBEngine(folder, HORIZON) as engine:
        (folder / "integration_usage.parquet").unlink()
        with pytest.raises(FolderError, match=r"integration_usage\.parquet.*leave the folder as it is"):
            engine.sql("SELECT sum(calls) FROM integration_usage")


MANY = """
import sys
from pathlib import Path
from features.engines.duckdb import DuckDBEngine
with DuckDBEngine(Path(sys.argv[1]), 90, memory_limit="40MB", spill=Path(sys.argv[2])) as engine:
    many = "FROM (SELECT i, hash(i) AS h FROM range(2000000) AS r(i) ORDER BY h)"
    print(engine.sql(f"SELECT sum(i) {many} WHERE h > 0").to_pylist())
"""


def test_a_full_disk_is_told_in_a_sentence_and_left_empty(folder: Path, tmp_path: Path) -> None:
    write(folder, {"leads": [lead()]})
    (tmp_path / "many.py").write_text(MANY)
    small = f"mount -t tmpfs -o size=4m none {tmp_path} 2>/dev/null || exit 99"
    run = f"{small}; {sys.executable} -c '{MANY}' {folder} {tmp_path}; code=$?; ls {tmp_path}; exit $code"
    root = Path(__file__).parents[2]
    ended = subprocess.run(["unshare", "-rm", "sh", "-c", run], cwd=root, capture_output=True, text=True)
    if ended.returncode == 99 or "unshare" in ended.stderr:
        pytest.skip("this machine lets nobody mount a small disk")
    assert OutOfSpace.__name__ in ended.stderr
    assert "free space there, set TMPDIR to a larger disk, or allow more memory" in ended.stderr
    assert ended.stdout == ""


def test_what_spilled_is_gone_afterwards(folder: Path, tmp_path: Path) -> None:
    write(folder, {"leads": [lead()]})
    with DuckDBEngine(folder, HORIZON, memory_limit="40MB", spill=tmp_path) as engine:
        many = "SELECT sum(h) AS total FROM (SELECT hash(i) % 7 AS h FROM range(1500000) AS r(i) ORDER BY hash(i), i)"
        total = engine.sql(many)["total"]
    assert pc.sum(total).as_py() > 0
    assert list(tmp_path.iterdir()) == []
