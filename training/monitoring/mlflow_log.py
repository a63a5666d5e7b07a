"""The log of monitoring reports in MLflow, with the monitored version, so that they can be followed over time."""

import json
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities import Metric

from features.value_types import rfc3339
from training import MODEL_NAME
from training.monitoring.report import MonitoringReport

_MAX_TAG_LENGTH = 5000


def log_report(client: MlflowClient, version: str, run_id: str, report: MonitoringReport, at: datetime) -> None:
    """Log a report with the version: the latest verdict as tags, figures as metrics over time, each report as a file.

    Args:
        client: of the tracking server that has the version.
        version: the number of the monitored version.
        run_id: the MLflow run that trained it.
        report: the monitoring report.
        at: the moment of the report.

    Raises:
        MlflowException: the tracking server does not answer, or does not know the version.
    """
    tags = {"verdict": report.verdict, "reasons": "; ".join(report.reasons), "as_of": rfc3339(report.as_of)}
    for name, value in {**tags, "at": at.isoformat()}.items():
        client.set_model_version_tag(MODEL_NAME, version, f"monitoring.{name}", value[:_MAX_TAG_LENGTH])
    moment = int(at.timestamp() * 1000)
    metrics = [Metric(f"monitoring.{name}", value, moment, 0) for name, value in report.metrics().items()]
    client.log_batch(run_id, metrics=metrics)
    # MLflow refuses a colon in a file name.
    stamp = f"{at.astimezone(UTC):%Y-%m-%dT%H%M%S.%f}"
    client.log_text(run_id, json.dumps({**report.to_dict(), "at": at.isoformat()}), f"monitoring/{stamp}.json")
