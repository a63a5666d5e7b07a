"""A Spark session for all tests that want one, and a small folder of records."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from features.engines.spark_session import local_session
from features.folder import FolderWriter
from features.provenance import Provenance
from features.records import KINDS


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        pytest.skip("there is no Java here, which Spark needs")
    with pytest.MonkeyPatch.context() as patch:
        # Java would spend most of a short run on compiling itself anew, better.
        patch.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        with local_session(memory="1g", cores=2) as session:
            yield session


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A folder of two leads and a touchpoint."""
    lead = {"created_at": 5, "occurred_at": 5, "recorded_at": 5, "deleted": False}
    touchpoint = {"touchpoint_id": "T", "channel": "webinar", "occurred_at": 5, "recorded_at": 5, "deleted": False}
    with FolderWriter(tmp_path / "records", Provenance()) as writer:
        writer.write(KINDS["leads"], [lead | {"lead_id": "L"}, lead | {"lead_id": "M"}])
        writer.write(KINDS["touchpoints"], [touchpoint | {"lead_id": "L"}])
    return tmp_path / "records"
