"""Spark sessions for the command: on this machine, or on a cluster."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from features.engines.engine import EngineError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_Settings: TypeAlias = dict[str, bool | float | int | str | None]

_SILENT = """
appender.nowhere.type = Null
appender.nowhere.name = nowhere
rootLogger.level = off
rootLogger.appenderRef.nowhere.ref = nowhere
"""
"""Spark logs nothing, because every failure comes back as an error."""


@contextmanager
def local_session(memory: str, cores: int) -> Iterator["SparkSession"]:
    """A Spark session on this machine; its files are removed when the block ends.

    Args:
        memory: the memory of its Java process, such as `4g`.
        cores: the number of tasks that run at once.

    Raises:
        EngineError: pyspark or Java is missing.
    """
    with tempfile.TemporaryDirectory(prefix="eql-spark-") as scratch:
        log = Path(scratch, "log4j2.properties")
        log.write_text(_SILENT, encoding="utf-8")
        settings: _Settings = {
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.extraJavaOptions": f"-Dderby.system.home={scratch} -Dlog4j2.configurationFile={log}",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.memory": memory,
            "spark.local.dir": scratch,
            "spark.sql.shuffle.partitions": str(2 * cores),
            "spark.sql.warehouse.dir": f"{scratch}/warehouse",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        # Spark resolves its own host name before it reads any setting, and does not start where that has no address.
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        with _session(f"local[{cores}]", settings) as session:
            yield session


@contextmanager
def cluster_session(master: str) -> Iterator["SparkSession"]:
    """A session on a cluster, such as `spark://host:7077`; its other settings come from spark-defaults.conf.

    Raises:
        EngineError: pyspark or Java is missing, or the cluster does not answer.
    """
    with _session(master, {}) as session:
        yield session


@contextmanager
def _session(master: str, settings: _Settings) -> Iterator["SparkSession"]:
    try:
        from pyspark.errors import PySparkException
        from pyspark.logger import PySparkLogger
        from pyspark.sql import SparkSession
    except ImportError:
        fix = "install pyspark 4 beside EQL, or choose another engine"
        raise EngineError(f"the Spark engine needs the package pyspark, which is not here; {fix}") from None
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        fix = "install one and set JAVA_HOME, or choose another engine"
        raise EngineError(f"the Spark engine needs Java 17 or later, and there is no Java here; {fix}")
    PySparkLogger.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)  # it would log errors twice
    builder = SparkSession.builder.master(master).appName("eql").config(map=settings)
    try:
        session = builder.getOrCreate()
    except (PySparkException, OSError) as error:
        fix = "check that Java is 17 or later and that the cluster answers, or choose another engine"
        raise EngineError(f"Spark could not be started: {str(error).splitlines()[0]}; {fix}") from None
    try:
        yield session
    finally:
        session.stop()
