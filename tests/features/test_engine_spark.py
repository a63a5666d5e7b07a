"""The Spark engine: a guest of the session, and as strict with files as the others."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from features.catalogue import CATALOGUE
from features.engines.duckdb import DuckDBEngine
from features.engines.engine import EngineError, plain
from features.engines.spark import SparkEngine
from features.engines.spark_session import local_session
from features.folder import FolderError

SNAPSHOTS = pa.table({"lead_id": ["L"], "as_of": pa.array([10], pa.int64())})


def rewrite(file: Path, **columns: pa.Array) -> None:
    """Replace columns of a Parquet file."""
    found = pq.read_table(file)
    for name, values in columns.items():
        found = found.set_column(found.column_names.index(name), name, values)
    pq.write_table(found, file)


def test_it_leaves_the_session_as_it_was(spark: SparkSession, records: Path) -> None:
    spark.conf.set("spark.sql.caseSensitive", "false")
    spark.sql("SELECT 'mine' AS mine").createOrReplaceTempView("leads")
    with SparkEngine(records, 90, spark) as engine:
        assert engine.evaluate(CATALOGUE, SNAPSHOTS).num_rows == 1
    assert spark.conf.get("spark.sql.caseSensitive") == "false"
    assert [row.asDict() for row in spark.sql("SELECT * FROM leads").collect()] == [{"mine": "mine"}]
    assert [view.name for view in spark.catalog.listTables()] == ["leads"]


def test_what_other_tools_write_is_read_alike(spark: SparkSession, records: Path) -> None:
    rewrite(
        records / "leads.parquet",
        created_at=pa.array([5000, None], pa.timestamp("ns", "UTC")),
        occurred_at=pa.array([5, 6], pa.timestamp("ms", "UTC")),
        order=pa.array([1, 2], pa.uint64()),
        channel=pa.array(["email", None]).dictionary_encode(),
        region=pa.array(["EMEA", None], pa.large_string()),
        email_domain=pa.nulls(2),
        referral_date=pa.nulls(2),
        opted_out=pa.nulls(2),
    )
    with SparkEngine(records, 90, spark) as engine, DuckDBEngine(records, 90) as duckdb:
        found = engine.evaluate(CATALOGUE, SNAPSHOTS, fields=True)
        assert plain(duckdb.evaluate(CATALOGUE, SNAPSHOTS, fields=True)).equals(found)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"created_at": pa.array([5, 6])}, "column created_at must be timestamp"),
        ({"channel": pa.array(["email", "pigeon"])}, "column channel must be one of .* first row 2"),
        ({"lead_id": pa.array([None, "M"])}, "column lead_id must be given, .* first row 1"),
        ({"lead_id": pa.array(["L", ""])}, "column lead_id must have 1 to 200 characters, .* first row 2"),
        (
            {"recorded_at": pa.array([5, -5], pa.timestamp("us", "UTC"))},
            "column recorded_at must lie in the years 1970",
        ),
    ],
)
def test_a_parquet_file_of_another_kind_is_refused(
    spark: SparkSession, records: Path, columns: Mapping[str, pa.Array], said: str
) -> None:
    rewrite(records / "leads.parquet", **columns)
    with pytest.raises(FolderError, match=f"leads.parquet: {said}"):
        SparkEngine(records, 90, spark)


@pytest.mark.parametrize(
    ("column", "text", "said"),
    [
        ("created_at", "2024-01-01T00:00:00", "column created_at must be an RFC 3339 time"),
        ("created_at", "2024-02-30T00:00:00Z", "column created_at must be an RFC 3339 time"),
        ("deleted", "yes", "column deleted must be true or false, which 2 rows do not, first row 1"),
        ("order", "1.5", "column order must be an integer in digits"),
        ("recorded_at", "2999-01-01T00:00:00Z", "column recorded_at must lie in the years"),
    ],
)
def test_a_csv_file_with_other_values_is_refused(
    spark: SparkSession, records: Path, column: str, text: str, said: str
) -> None:
    parquet = records / "leads.parquet"
    found = pq.read_table(parquet)
    texts = {
        "occurred_at": pa.array(["2024-01-01T00:00:00Z"] * 2),
        "recorded_at": pa.array(["2024-01-01T00:00:00Z"] * 2),
        "created_at": pa.array(["2024-01-01t01:00:00.5+01:00"] * 2),
    } | {column: pa.array([text] * 2)}
    for name, values in texts.items():
        found = found.set_column(found.column_names.index(name), name, values)
    parquet.unlink()
    pc.write_csv(found, records / "leads.csv")
    with pytest.raises(FolderError, match=f"leads.csv: {said}"):
        SparkEngine(records, 90, spark)


def test_without_java_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="needs Java 17 or later, and there is no Java here"), local_session("1g", 1):
        pass
