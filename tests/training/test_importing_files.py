"""Files of an export: how they are read, and that nothing is written when one is faulty."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.provenance import Attribute
from training.importing import importer, mapping
from training.importing.errors import ImportFailure, InvalidFile

SIMPLE = """
records:
  leads:
    file: {file}
    id: id
    occurred_at: at
    attributes: {{"*": {{known: at_creation}}}}
"""
CSV = "id,at,size\nä,2024-01-10,7\n"


def simple(file: str, **more: str) -> str:
    lines = "".join(f"    {key}: {value}\n" for key, value in more.items())
    return SIMPLE.format(file=file) + lines


def sizes(done: Any) -> dict[str, Any]:
    return {name: stored.attributes.get("size") for name, stored in done.of("leads").items()}


@pytest.mark.parametrize(
    ("file", "content", "more"),
    [
        ("a.csv", CSV.encode(), {}),
        ("a.csv", b"\xef\xbb\xbf" + CSV.encode(), {}),
        ("a.csv", CSV.replace("\n", "\r\n").encode(), {}),
        ("a.csv", ("\n" + CSV.replace("\n", "\n\n")).encode(), {}),
        ("a.csv", CSV.replace(",", ";").encode("cp1252"), {"encoding": "cp1252", "separator": '";"'}),
        ("a.csv", CSV.encode("utf-16"), {"encoding": "utf-16"}),
        ("a.tsv", CSV.replace(",", "\t").encode(), {"separator": r'"\t"'}),
        ("a.csv.gz", gzip.compress(CSV.encode(), mtime=0), {}),
        ("a.csv", CSV.replace("size\n", "size,\n").replace("7\n", "7,\n").encode(), {}),
        ("a.csv", b'"id","at","size"\n"\xc3\xa4","2024-01-10","7"', {}),
    ],
)
def test_texts_of_many_forms_read_the_same(
    import_files: Callable[..., Any], file: str, content: bytes, more: dict[str, str]
) -> None:
    assert sizes(import_files(simple(file, **more), {file: content})) == {"ä": 7.0}


def test_parquet_reads_like_text(import_files: Callable[..., Any], export: Path) -> None:
    instants = [1704844800000000, 1704931200000000, None]
    table = pa.table(
        {
            "id": pa.array([1, 2, 3]),
            "at": pa.array(instants, pa.timestamp("us", "UTC")),
            "size": pa.array([1.5, None, 3.0]),
            "open": pa.array([True, False, None]),
            "tool": pa.array(["a", None, "b"]).dictionary_encode(),
        }
    )
    pq.write_table(table, export / "a.parquet")
    done = import_files(simple("a.parquet"), {})
    assert {name: dict(stored.attributes) for name, stored in done.of("leads").items()} == {
        "1": {"size": 1.5, "open": "true", "tool": "a"},
        "2": {"open": "false"},
    }
    assert [s.record.created_at for s in done.of("leads").values()] == instants[:2]
    assert done.reasons() == {("3", "created_at", "is missing")}


def test_a_header_without_rows_is_no_fault_and_is_reported(import_files: Callable[..., Any]) -> None:
    done = import_files(simple("a.csv"), {"a.csv": "id,at,size\n"})
    assert done.records == []
    assert "leads: 0 imported" in done.report.text()
    assert done.report.provenance.attributes == (Attribute("size", "number", "at_creation"),)


def test_the_reject_file_is_always_there(import_files: Callable[..., Any], tmp_path: Path) -> None:
    import_files(simple("a.csv"), {"a.csv": CSV})
    assert (tmp_path / "rejects.csv").read_text().splitlines() == ["record,file,row,id,lost,field,reason,value"]


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("a.csv", b"", "a.csv is empty"),
        ("a.csv", b"\n\n", "a.csv is empty"),
        ("a.csv", b"ID,when,size\n", "has no column 'id'; did you mean 'ID'?"),
        ("a.csv", b"id,at,id\n", "two columns 'id'"),
        ("a.csv", b"id,at\n\xff,2024-01-01\n", "a.csv is not utf-8 text"),
        ("a.csv", b"id,at\n\xed\xa0\x80,2024-01-01\n", "a.csv is not utf-8 text"),
        ("a.csv", b'id,at\n"1,2024-01-01\n2,2024-01-01\n', "a.csv is broken before line"),
        ("a.csv.gz", b"id,at\n", "a.csv.gz cannot be read"),
        ("a.csv.gz", gzip.compress(b"id,at\n" * 99, mtime=0)[:-9], "a.csv.gz cannot be read"),
        ("a.parquet", b"id,at\n", "a.parquet cannot be read"),
        ("b.csv", b"id,at\n", "did you mean 'b.csv'?"),
    ],
)
def test_nothing_is_written_when_a_file_is_faulty(
    import_files: Callable[..., Any], tmp_path: Path, sink: Any, file: str, content: bytes, said: str
) -> None:
    (tmp_path / "rejects.csv").write_text("of before")
    with pytest.raises(InvalidFile) as caught:
        import_files(simple("a.csv" if file == "b.csv" else file), {file: content})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sink.calls == 0
    assert (tmp_path / "rejects.csv").read_text() == "of before"


@pytest.mark.parametrize(
    "extra",
    [
        "recorded_at: nowhere",
        "group_by: [nowhere]",
        "order: nowhere",
        "outcome: {column: nowhere, won: [x]}",
        "outcome: {column: size, won: [x], closed_at: nowhere}",
        "fields: {region: nowhere}",
        "joins: [{file: b.csv, on: nowhere, columns: [more]}]",
        "joins: [{file: b.csv, on: id, columns: [nowhere]}]",
    ],
)
def test_every_column_a_mapping_names_must_be_there(import_files: Callable[..., Any], extra: str) -> None:
    with pytest.raises(InvalidFile, match=r"\.csv has no column 'nowhere'; (did you mean|there is) "):
        import_files(simple("a.csv") + f"    {extra}\n", {"a.csv": CSV, "b.csv": "id,more\n1,2\n"})


@pytest.mark.parametrize("attributes", ['"*": {known: later, except: [nowhere]}', "nowhere: {known: later}"])
def test_every_attribute_must_be_there(import_files: Callable[..., Any], attributes: str) -> None:
    text = simple("a.csv").replace('"*": {known: at_creation}', attributes)
    with pytest.raises(InvalidFile, match="has no column 'nowhere'"):
        import_files(text, {"a.csv": CSV})


@pytest.mark.parametrize(
    ("other", "said"),
    [("id,more\nx,1\nx,2\n", "has 'x' twice in 'id'"), ("id,size,more\n1,2,3\n", "both have 'size'")],
)
def test_a_join_must_be_unambiguous(import_files: Callable[..., Any], other: str, said: str) -> None:
    columns = "more" if "twice" in said else "size, more"
    text = simple("a.csv") + f"    joins: [{{file: b.csv, on: id, columns: [{columns}]}}]\n"
    with pytest.raises(InvalidFile, match=said):
        import_files(text, {"a.csv": CSV, "b.csv": other})


def test_a_source_must_be_a_folder(import_files: Callable[..., Any], export: Path, tmp_path: Path, sink: Any) -> None:
    import_files(simple("a.csv"), {"a.csv": CSV})
    with pytest.raises(InvalidFile, match="is not a folder"):
        importer.run(export / "a.csv", mapping.load(tmp_path / "crm.yaml"), sink, tmp_path / "rejects.csv")


def test_a_reject_file_that_cannot_be_written_stops_before_anything_is(
    import_files: Callable[..., Any], export: Path, tmp_path: Path, sink: Any
) -> None:
    import_files(simple("a.csv"), {"a.csv": CSV})
    with pytest.raises(ImportFailure, match=r"the reject file .* cannot be written"):
        importer.run(export, mapping.load(tmp_path / "crm.yaml"), sink, tmp_path / "nowhere" / "rejects.csv")
    assert sink.calls == 1


def test_a_sink_that_fails_leaves_no_reject_file(
    import_files: Callable[..., Any], export: Path, tmp_path: Path
) -> None:
    import_files(simple("a.csv"), {"a.csv": CSV})
    (tmp_path / "rejects.csv").unlink()

    def full(_records: object) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        importer.run(export, mapping.load(tmp_path / "crm.yaml"), full, tmp_path / "rejects.csv")
    assert not list(tmp_path.glob("rejects*"))


def test_progress_ends_at_the_number_of_rows(import_files: Callable[..., Any], export: Path, tmp_path: Path) -> None:
    import_files(simple("a.csv"), {"a.csv": CSV})
    told: dict[str, int] = {}
    importer.run(
        export,
        mapping.load(tmp_path / "crm.yaml"),
        list,
        tmp_path / "rejects.csv",
        lambda what, n: told.update({what: n}),
    )
    assert told == {"reading a.csv": 1, "checking leads": 1}
