"""A folder of records: what is written is what is read, and every error is named with its fix."""

import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import NoneType, UnionType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from features import folder as folders
from features.folder import FolderError, FolderWriter, Format, read, read_provenance, schema
from features.provenance import Attribute, Provenance
from features.records import KINDS, PARTNER_HISTORY, Kind, Stored, parse
from features.value_types import (
    DAY,
    MAX_INTEGER,
    Category,
    Count,
    Country,
    Currency,
    Date,
    Domain,
    Email,
    Id,
    Instant,
    Measure,
    Money,
    Scalar,
    Share,
    Size,
    Text,
    Url,
    parse_instant,
)

FORMATS = typing.get_args(Format)
LAST = parse_instant("2200-12-31T00:00:00Z")
NUMBER = Attribute('cost, in "€"', "number", "at_creation")
CATEGORY = Attribute("landing page", "category", "at_creation")
PROVENANCE = Provenance(cut=LAST, attributes=(NUMBER, CATEGORY))

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
ids = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=20)
items = st.text(st.characters(exclude_characters="\0|", exclude_categories=["Cs"]), min_size=1, max_size=9)
counts = st.integers(0, MAX_INTEGER)
numbers = st.floats(allow_nan=False, allow_infinity=False)
money = {"currency": st.sampled_from(["EUR", "USD"])}
VALUES: Mapping[Any, st.SearchStrategy[Any]] = {
    Id: ids,
    Text: text,
    Category: text,
    Url: text,
    Currency: st.sampled_from(["EUR", "USD"]),
    Email: st.sampled_from(["Kai@Acme.example", "a.b+c@x-y.example", "zoë@bücher.example"]),
    Domain: st.sampled_from(["acme.example", "Bücher.example"]),
    Country: st.sampled_from(["DE", "US"]),
    Count: counts,
    float: st.floats(1e-300, 1e300),
    Measure: st.floats(0, allow_infinity=False),
    Share: st.floats(0, 1),
    bool: st.booleans(),
    Instant: st.integers(0, LAST),
    Date: st.integers(0, LAST // DAY - 1).map(lambda day: day * DAY),
    Size: st.fixed_dictionaries({"minor": counts, **money}),
    Money: st.fixed_dictionaries({"minor": st.integers(-MAX_INTEGER, MAX_INTEGER), **money}),
}


def of(annotation: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type, or none where the field may be unknown."""
    if annotation in VALUES:
        return VALUES[annotation]
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return st.sampled_from([value for arg in args for value in (typing.get_args(arg) or (arg,))])
    if origin is tuple:
        choices = typing.get_args(args[0])
        return st.lists(st.sampled_from(choices) if choices else items, min_size=1 if choices else 0, max_size=2)
    if origin in (UnionType, typing.Union):
        return st.one_of(st.none() if arg is NoneType else of(arg) for arg in args)
    return of(args[0])


@st.composite
def records(draw: st.DrawFn, kind: Kind) -> Stored:
    fields = kind.model.model_fields
    content = {name: draw(of(info.annotation)) for name, info in fields.items()}
    record = parse(kind, {name: value for name, value in content.items() if value is not None})
    extra: dict[str, Any] = {}
    if kind.name == "leads":
        values = st.fixed_dictionaries({}, optional={NUMBER.name: numbers, CATEGORY.name: st.just("") | text})
        extra = {"attributes": draw(values), "order": draw(st.none() | counts), "group": draw(st.none() | text)}
    identity = content[kind.id] if kind.entity else draw(ids)
    parent = draw(ids) if kind.parent else None
    return Stored(kind, identity, record, parent, deleted=draw(st.booleans()), **extra)


def write(folder: Path, kind: Kind, rows: Iterable[Mapping[str, Scalar]], format: Format = "parquet") -> None:
    with FolderWriter(folder, PROVENANCE, format) as writer:
        writer.write(kind, rows)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", [*KINDS.values(), PARTNER_HISTORY], ids=lambda kind: kind.name)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_is_written_is_what_is_read(kind: Kind, format: Format, data: st.DataObject) -> None:
    written = data.draw(st.lists(records(kind), max_size=4))
    with TemporaryDirectory() as parent:
        folder = Path(parent, "records")
        write(folder, kind, [record.row() for record in written], format)
        found = list(read(folder, kind))
    assert [record.row() for record in found] == [record.row() for record in written]
    dated = [record.record.recorded_at is not None for record in written]
    assert [one for one, sure in zip(found, dated, strict=True) if sure] == [
        one for one, sure in zip(written, dated, strict=True) if sure
    ]


@given(
    attributes=st.lists(st.builds(Attribute, text, st.just("number"), st.just("later")), max_size=3),
    cut=st.none() | st.integers(0, LAST),
)
@example(attributes=[], cut=None)
def test_the_provenance_comes_back(attributes: list[Attribute], cut: int | None) -> None:
    provenance = Provenance(cut, False, tuple(attributes))
    with TemporaryDirectory() as folder:
        with FolderWriter(Path(folder), provenance):
            pass
        assert read_provenance(Path(folder)) == provenance


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_the_schema_is_the_kind_s_columns_and_of_leads_the_attributes(kind: Kind) -> None:
    found = schema(kind, PROVENANCE.attributes)
    extra = [f"attributes.{NUMBER.name}", f"attributes.{CATEGORY.name}"] if kind.name == "leads" else []
    assert found.names == [*(column.name for column in kind.columns), *extra]
    assert found.field("recorded_at").type == pa.timestamp("us", tz="UTC")


def referral(number: int) -> dict[str, Scalar]:
    return {
        "referral_id": f"R-{number}",
        "lead_id": "L-1",
        "occurred_at": number,
        "recorded_at": number,
        "deleted": False,
        "partner_id": "P-1",
    }


REFERRALS = KINDS["referrals"]


@pytest.mark.parametrize("format", FORMATS)
def test_writes_stream_in_batches_and_keep_their_order(
    tmp_path: Path, format: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "BATCH", 10)
    with FolderWriter(tmp_path, PROVENANCE, format) as writer:
        for start in (0, 3, 27):
            writer.write(REFERRALS, (referral(number) for number in range(start, 30)))
    expected = [f"R-{number}" for start in (0, 3, 27) for number in range(start, 30)]
    assert [record.id for record in read(tmp_path, REFERRALS)] == expected
    if format == "parquet":
        assert pq.ParquetFile(tmp_path / "referrals.parquet").num_row_groups == len(expected) // 10


@pytest.mark.parametrize("format", FORMATS)
def test_a_column_a_row_lacks_is_null(tmp_path: Path, format: Format) -> None:
    lead = {"lead_id": "L-1", "deleted": False, "email_domain": "acme.example"}
    write(tmp_path, KINDS["leads"], [lead], format)
    (found,) = read(tmp_path, KINDS["leads"])
    assert {name for name, value in found.row().items() if value is not None} == {"lead_id", "deleted"}


def test_a_kind_without_a_file_has_no_records(tmp_path: Path) -> None:
    write(tmp_path, REFERRALS, [])
    assert list(read(tmp_path, KINDS["leads"])) == []


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FolderError, match="is not empty"):
        write(tmp_path, REFERRALS, [])
    with pytest.raises(FolderError, match="is a file"):
        write(tmp_path / "notes.txt", REFERRALS, [])
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_records_are_never_overwritten(tmp_path: Path) -> None:
    write(tmp_path, REFERRALS, [referral(1)])
    with pytest.raises(FolderError, match="already holds records"):
        write(tmp_path, REFERRALS, [referral(2)])
    assert [record.id for record in read(tmp_path, REFERRALS)] == ["R-1"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"partner_id": 7}, "column partner_id takes text values, not 7"),
        ({"occurred_at": 1.5}, "column occurred_at takes instant values, not 1.5"),
        ({"deleted": 1}, "column deleted takes flag values, not 1"),
        ({"partner_id": "\ud800"}, "column partner_id takes text values"),
        ({"occurred_at": 2**63}, "column occurred_at takes instant values"),
        ({"colour": "red"}, "has no column colour"),
    ],
)
def test_a_row_that_does_not_fit_leaves_nothing_behind(
    tmp_path: Path, format: Format, change: dict[str, Scalar], message: str
) -> None:
    with pytest.raises(FolderError, match=message):
        write(tmp_path, REFERRALS, [referral(1), {**referral(2), **change}], format)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_provenance_is_no_folder_of_records(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="no folder of records"):
        list(read(tmp_path, REFERRALS))
    (tmp_path / "provenance.json").write_text("{")
    with pytest.raises(FolderError, match=r"provenance\.json"):
        read_provenance(tmp_path)


def test_two_files_of_one_kind_are_refused(tmp_path: Path) -> None:
    write(tmp_path, REFERRALS, [referral(1)])
    (tmp_path / "referrals.csv").write_text("")
    with pytest.raises(FolderError, match=r"both referrals\.parquet and referrals\.csv"):
        list(read(tmp_path, REFERRALS))


HEADER = "referral_id,lead_id,occurred_at,recorded_at,deleted,partner_id"
GOOD = "R-1,L-1,2026-01-01T00:00:00Z,2026-01-01T00:00:00Z,false,P-1"


def spoil(old: str, new: str) -> str:
    assert old in GOOD
    return f"{HEADER}\n{GOOD}\n{GOOD.replace(old, new, 1)}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read"),
        (f"{HEADER}\n{GOOD},1\n", "cannot be read"),
        (f"{HEADER},colour\n{GOOD},red\n", "unknown column colour"),
        (f"{HEADER},deleted\n{GOOD},false\n", "has twice the column deleted"),
        (HEADER.replace("lead_id", "lead") + "\n", "lacks the column lead_id"),
        (spoil("2026-01-01", "1.1.2026"), "row 2: occurred_at must be an RFC 3339 time"),
        (spoil("false", "no"), "row 2: deleted must be true or false, not 'no'"),
        (spoil("P-1", ""), "row 2: referrals: partner_id is required"),
        (spoil("R-1", ""), "row 2: referrals: referral_id must be a valid string"),
        (spoil("L-1", ""), "row 2: referrals: lead_id must be a valid string"),
        (spoil("false", ""), "row 2: referrals: deleted must be False"),
        (spoil("R-1", '""'), "row 2: referrals: referral_id .* at least 1 character"),
    ],
)
def test_a_faulty_csv_is_named_with_its_row_and_column(tmp_path: Path, content: str, message: str) -> None:
    write(tmp_path, KINDS["leads"], [])
    path = tmp_path / "referrals.csv"
    path.write_text(content)
    with pytest.raises(FolderError, match=message) as fault:
        list(read(tmp_path, REFERRALS))
    assert str(path) in str(fault.value)


@pytest.mark.parametrize(
    ("kind", "column", "value", "message"),
    [
        ("integration_usage", "calls", "1e3", "calls must be an integer in digits"),
        ("shared_customers", "confidence", "high", "confidence must be a number"),
        ("shared_customers", "confidence", "inf", "confidence must be"),
        ("shared_customers", "since", "2026-02-30", "since must be a calendar day"),
        ("integration_usage", "occurred_at", "2026-01-01T00:00:00Z", "occurred_at must be 2026-01-02T00:00:00Z"),
    ],
)
def test_values_of_every_type_are_checked(tmp_path: Path, kind: str, column: str, value: str, message: str) -> None:
    day = parse_instant("2026-01-01T00:00:00Z")
    rows: dict[str, dict[str, Any]] = {
        "integration_usage": {"integration": "slack", "day": day, "calls": 1},
        "shared_customers": {"partner_id": "P-1", "relationship": "customer", "since": day, "confidence": 0.5},
    }
    good = Stored(KINDS[kind], "X-1", parse(KINDS[kind], rows[kind]), "A-1")
    write(tmp_path, KINDS[kind], [good.row()], "csv")
    header, line = (tmp_path / f"{kind}.csv").read_text().splitlines()
    cells = dict(zip(header.replace('"', "").split(","), line.split(","), strict=True))
    cells[column] = value
    (tmp_path / f"{kind}.csv").write_text(f"{header}\n{','.join(cells.values())}\n")
    with pytest.raises(FolderError, match=message):
        list(read(tmp_path, KINDS[kind]))


def parquet(folder: Path, **columns: pa.Array) -> None:
    write(folder, KINDS["leads"], [])
    good = pa.Table.from_pylist([referral(1)], schema=schema(REFERRALS))
    table = pa.table({**{name: good.column(name) for name in good.column_names}, **columns})
    pq.write_table(table, folder / "referrals.parquet")


def test_another_width_of_the_same_type_is_read(tmp_path: Path) -> None:
    stamps = pa.array([1000], pa.timestamp("ns", tz="UTC"))
    parquet(tmp_path, occurred_at=stamps, partner_id=pa.array(["P-1"]).dictionary_encode())
    (found,) = read(tmp_path, REFERRALS)
    assert found.row() == referral(1)


@pytest.mark.parametrize(
    ("column", "array", "message"),
    [
        ("occurred_at", pa.array([1]), "occurred_at must be timestamp"),
        ("occurred_at", pa.array([1], pa.timestamp("us")), "occurred_at must be timestamp"),
        ("occurred_at", pa.array([1001], pa.timestamp("ns", tz="UTC")), "cannot be read"),
        ("partner_id", pa.array([7]), "partner_id must be string, not int64"),
        ("deleted", pa.array(["false"]), "deleted must be bool, not string"),
        ("colour", pa.array(["red"]), "unknown column colour"),
    ],
)
def test_a_parquet_column_of_another_type_is_refused(
    tmp_path: Path, column: str, array: pa.Array, message: str
) -> None:
    parquet(tmp_path, **{column: array})
    with pytest.raises(FolderError, match=message):
        list(read(tmp_path, REFERRALS))


@pytest.mark.parametrize("name", ["referral.parquet", "Leads.csv"])
def test_a_file_that_nobody_would_read_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path, KINDS["leads"], [])
    (tmp_path / name).write_text("")
    with pytest.raises(FolderError, match=rf"{name} is of no kind of record; move it, or name it one of .*referrals"):
        read_provenance(tmp_path)


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    write(tmp_path, KINDS["leads"], [])
    (tmp_path / "referrals.parquet").write_text("PAR")
    with pytest.raises(FolderError, match=r"referrals\.parquet cannot be read"):
        list(read(tmp_path, REFERRALS))
