"""The MLflow registry: every version with its data digest, parameters, metrics, plots and bundle; aliases with history.

The registry is the data scientists' record. Serving never reads it: promotion hands the bundle to a publisher.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import mlflow
import mlflow.data.pandas_dataset
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from models.bundle import Bundle, read
from training.evaluation import Predictions
from training.plots import plots
from training.trainer import NAME, Trained

Alias = Literal["champion", "challenger"]
_HISTORY = "eql.alias_history"
_PREDICTIONS = "predictions.parquet"
_REPORT = "report.json"


class NoSuchVersion(ValueError):
    """The registry has no such version or alias; the message says which there are."""


@dataclass(frozen=True)
class Version:
    """A registered version.

    Attributes:
        version: its number, as text.
        run_id: the MLflow run that trained it.
        created_at: when, milliseconds since the epoch.
        aliases: champion, challenger or none.
        tags: rung, skill, log loss and the like.
    """

    version: str
    run_id: str
    created_at: int
    aliases: tuple[str, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """One change of an alias: from and to which version, who did it, why and when (RFC 3339)."""

    alias: Alias
    previous: str | None
    version: str
    actor: str
    reason: str
    at: str


class Registry:
    """The versions of one registered model on any MLflow tracking server.

    Args:
        tracking_uri: such as `sqlite:///var/mlflow/mlflow.db` or a server's URL.
        artifacts: where artifacts go when the tracking server does not say; None to leave it to the server.
    """

    def __init__(self, tracking_uri: str, artifacts: Path | None) -> None:
        self._client = MlflowClient(tracking_uri, tracking_uri)
        self._uri = tracking_uri
        self._artifacts = artifacts

    def log(self, trained: Trained, settings: Mapping[str, Any]) -> str:
        """Record a training and register its bundle; returns the version."""
        mlflow.set_tracking_uri(self._uri)
        mlflow.set_registry_uri(self._uri)
        with mlflow.start_run(experiment_id=self._experiment()) as run:
            self._log_dataset(trained)
            mlflow.log_params({**settings, "rung": trained.bundle.rung, **trained.bundle.facts["settings"]})
            mlflow.log_metrics(_numbers(trained.report))
            self._log_files(trained)
        self._ensure_model()
        tags = {name: str(trained.report[name]) for name in ("rung", "skill", "log_loss", "log_loss_constant", "auc")}
        tags["sha256"] = trained.bundle.sha256
        source = f"{run.info.artifact_uri}/bundle"
        version = self._client.create_model_version(NAME, source, run.info.run_id, tags=tags)
        return str(version.version)

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(NAME)
        if found is not None:
            return str(found.experiment_id)
        location = self._artifacts.absolute().as_uri() if self._artifacts else None
        return str(self._client.create_experiment(NAME, artifact_location=location))

    def _ensure_model(self) -> None:
        try:
            self._client.get_registered_model(NAME)
        except MlflowException:
            self._client.create_registered_model(NAME)

    def _log_dataset(self, trained: Trained) -> None:
        # A digest is wanted, not the data: features of leads stay out of the registry.
        frame = trained.table.drop_columns(["lead_id"]).to_pandas()
        dataset = mlflow.data.pandas_dataset.from_pandas(frame, name="snapshots")
        mlflow.log_input(dataset, context="training")

    def _log_files(self, trained: Trained) -> None:
        parts = trained.bundle.parts(trained.test_matrix)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "bundle").mkdir()
            for file, content in trained.bundle.files.items():
                (folder / "bundle" / file).write_bytes(content)
            for file, content in plots(trained.bundle, trained.predictions, parts).items():
                (folder / file).write_bytes(content)
            (folder / _REPORT).write_text(json.dumps(trained.report, indent=1))
            _write_predictions(trained.predictions, folder / _PREDICTIONS)
            mlflow.log_artifacts(str(folder))

    def versions(self) -> list[Version]:
        """Every version, newest first."""
        found = self._client.search_model_versions(f"name = '{NAME}'", max_results=1000)
        aliases = self._aliases()
        listed = [
            Version(
                version=str(v.version),
                run_id=str(v.run_id),
                created_at=v.creation_timestamp,
                aliases=tuple(sorted(alias for alias, version in aliases.items() if version == str(v.version))),
                tags=v.tags,
            )
            for v in found
        ]
        return sorted(listed, key=lambda v: -int(v.version))

    def resolve(self, wanted: str | None = None) -> Version:
        """A version by number or alias; the latest by default.

        Raises:
            NoSuchVersion: there is none.
        """
        versions = self.versions()
        if not versions:
            raise NoSuchVersion("no model is registered yet; run `eql train` first")
        for version in versions:
            if wanted is None or wanted == version.version or wanted in version.aliases:
                return version
        numbers = ", ".join(v.version for v in reversed(versions))
        raise NoSuchVersion(f"there is no version or alias {wanted!r}; versions are {numbers}")

    def bundle(self, version: Version) -> Bundle:
        """A version's verified bundle."""
        folder = Path(self._download(version, "bundle"))
        return read({file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()})

    def report(self, version: Version) -> Mapping[str, Any]:
        """The report of a version's training."""
        found: Mapping[str, Any] = json.loads(Path(self._download(version, _REPORT)).read_text())
        return found

    def predictions(self, version: Version) -> Predictions:
        """What a version said of its out-of-time rows."""
        return _read_predictions(Path(self._download(version, _PREDICTIONS)))

    def _download(self, version: Version, path: str) -> str:
        return str(self._client.download_artifacts(version.run_id, path))

    def point(self, alias: Alias, version: Version, actor: str, reason: str, at: datetime) -> Change:
        """Set an alias, and remember from what, by whom and why."""
        change = Change(alias, self._aliases().get(alias), version.version, actor, reason, at.isoformat())
        history = [*self.history(), change]
        self._client.set_registered_model_alias(NAME, alias, version.version)
        self._client.set_registered_model_tag(NAME, _HISTORY, json.dumps([c.__dict__ for c in history]))
        return change

    def history(self) -> Sequence[Change]:
        """Every change of an alias, oldest first."""
        try:
            tags = self._client.get_registered_model(NAME).tags
        except MlflowException:
            return []
        return [Change(**change) for change in json.loads(tags.get(_HISTORY, "[]"))]

    def before(self, alias: Alias) -> Version:
        """The version to roll back to: the one the alias named before, and before that when asked again.

        Raises:
            NoSuchVersion: it never named another.
        """
        named: list[str] = []
        for version in (change.version for change in self.history() if change.alias == alias):
            if version in named[-2:-1]:
                named.pop()
            elif version not in named[-1:]:
                named.append(version)
        if len(named) < 2:
            raise NoSuchVersion(f"there is no earlier {alias} to roll back to")
        return self.resolve(named[-2])

    def _aliases(self) -> Mapping[str, str]:
        try:
            model = self._client.get_registered_model(NAME)
        except MlflowException:
            return {}
        return {alias: str(version) for alias, version in model.aliases.items()}


def _numbers(report: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in report.items() if isinstance(value, int | float)}


def _write_predictions(predictions: Predictions, path: Path) -> None:
    columns = {
        name: getattr(predictions, name).tolist() for name in ("lead_id", "as_of", "cluster", "won", "probability")
    }
    pq.write_table(pa.table(columns).replace_schema_metadata({"constant": repr(predictions.constant)}), path)


def _read_predictions(path: Path) -> Predictions:
    table = pq.read_table(path)
    return Predictions(
        lead_id=np.array(table["lead_id"].to_pylist()),
        as_of=table["as_of"].to_numpy(),
        cluster=np.array(table["cluster"].to_pylist()),
        won=table["won"].to_numpy().astype(np.float64),
        probability=table["probability"].to_numpy(),
        constant=float(table.schema.metadata[b"constant"]),
    )
