"""The MLflow registry: every version with digests, parameters, metrics, plots, card and bundle; aliases with history.

The registry is the record of the data scientists. Serving never reads it: promotion hands the bundle to a publisher. Of
the training data the registry keeps digests, and the features of the test leads for comparisons with later versions.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
import mlflow.data.pandas_dataset
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from features.catalogue.catalogue import Catalogue
from models.bundle import Bundle, read_folder
from training import MODEL_NAME
from training.data.matrix import data_sha256
from training.evaluation.card import card
from training.evaluation.importance import Importance, importance
from training.evaluation.lift import LEADS_A_WEEK, lift_at_capacity
from training.evaluation.metrics import Predictions
from training.evaluation.plots import plots
from training.evaluation.report import EvaluationReport
from training.evaluation.test_window import FrozenWindow
from training.fitting.trainer import TrainingResult
from training.hazard import Hazard
from training.hazard import read_hazard as read_hazard
from training.promotion.promotion import ComparedVersion, PromotionDecision
from training.promotion.versions import CHANGE_TAG, Alias, AliasChange, Version, changes

_PREDICTIONS = "predictions.parquet"
_WINDOW = "test_features.parquet"
_REPORT = "report.json"
_CARD = "card.md"
_MAX_TAG_LENGTH = 5000


class NoSuchVersion(ValueError):
    """The registry has no such version or alias; the message lists those it has."""


class Registry:
    """The versions of one registered model on any MLflow tracking server.

    Args:
        tracking_uri: such as `sqlite:///var/mlflow/mlflow.db` or a server's URL.
        artifacts: the folder for artifacts where the tracking server sets none; None to leave the choice to the server.
    """

    def __init__(self, tracking_uri: str, artifacts: Path | None) -> None:
        self._client = MlflowClient(tracking_uri, tracking_uri)
        self._uri = tracking_uri
        self._artifacts = artifacts

    def log_training(
        self,
        trained: TrainingResult,
        settings: Mapping[str, Any],
        catalogue: Catalogue,
        leads_a_week: int = LEADS_A_WEEK,
    ) -> str:
        """Record a training and register its bundle; returns the version.

        Args:
            trained: the result of the training.
            settings: the settings of the training.
            catalogue: the base catalogue of the training.
            leads_a_week: the capacity of sales, for lift.
        """
        mlflow.set_tracking_uri(self._uri)
        mlflow.set_registry_uri(self._uri)
        digests = _digests(trained, catalogue.with_attributes(trained.bundle.attributes))
        with mlflow.start_run(experiment_id=self._experiment()) as run:
            _log_datasets(trained, digests)
            mlflow.log_params({**settings, "rung": trained.bundle.rung, **trained.bundle.training_summary["settings"]})
            mlflow.log_metrics(_numbers(trained.report.to_dict()))
            _log_files(trained, catalogue, leads_a_week, digests)
        self._ensure_model()
        report = trained.report.to_dict()
        tags = {name: str(report[name]) for name in ("rung", "skill", "log_loss", "log_loss_constant", "auc")}
        tags |= {f"{name}_sha256": digest for name, digest in digests.items()}
        tags["sha256"] = trained.bundle.sha256
        source = f"{run.info.artifact_uri}/bundle"
        version = self._client.create_model_version(MODEL_NAME, source, run.info.run_id, tags=tags)
        return str(version.version)

    def _experiment(self) -> str:
        experiment = self._client.get_experiment_by_name(MODEL_NAME)
        if experiment is not None:
            return str(experiment.experiment_id)
        location = self._artifacts.absolute().as_uri() if self._artifacts else None
        return str(self._client.create_experiment(MODEL_NAME, artifact_location=location))

    def _ensure_model(self) -> None:
        try:
            self._client.get_registered_model(MODEL_NAME)
        except MlflowException:
            self._client.create_registered_model(MODEL_NAME)

    def versions(self) -> list[Version]:
        """Every version, newest first."""
        registered = self._client.search_model_versions(f"name = '{MODEL_NAME}'", max_results=1000)
        aliases = self._aliases()
        listed = [
            Version(
                version=str(v.version),
                run_id=str(v.run_id),
                created_at=v.creation_timestamp,
                aliases=tuple(sorted(alias for alias, version in aliases.items() if version == str(v.version))),
                tags=v.tags,
            )
            for v in registered
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
        return read_folder(Path(self._download(version, "bundle")))

    def hazard(self, version: Version) -> Hazard:
        """A version's verified hazard model.

        Raises:
            NoSuchVersion: it has none, or its files cannot be read.
            UntrustedHazard: its files do not match their checksums.
        """
        if not self._client.list_artifacts(version.run_id, "hazard"):
            raise NoSuchVersion(
                f"version {version.version} has no hazard model, because the closes that it learned from have no dates "
                "or are too few; train on dated closes"
            )
        folder = Path(self._download(version, "hazard"))
        return read_hazard({file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()})

    def report(self, version: Version) -> EvaluationReport:
        """The evaluation report of a version's training."""
        return EvaluationReport.from_dict(json.loads(Path(self._download(version, _REPORT)).read_text()))

    def predictions(self, version: Version) -> Predictions:
        """The predictions of a version on its out-of-time rows."""
        return _read_predictions(Path(self._download(version, _PREDICTIONS)))

    def card(self, version: Version) -> str:
        """The model card of a version, as Markdown."""
        return Path(self._download(version, _CARD)).read_text("utf-8")

    def compared_version(self, version: Version) -> ComparedVersion:
        """A version as promotion compares it."""
        return ComparedVersion(version.version, self.bundle(version), self.predictions(version))

    def window(self, version: Version) -> FrozenWindow:
        """The frozen test window of a version."""
        features = pq.read_table(self._download(version, _WINDOW))
        return FrozenWindow(self.predictions(version), features, self.bundle(version).fold)

    def _download(self, version: Version, path: str) -> str:
        try:
            return str(self._client.download_artifacts(version.run_id, path))
        except (MlflowException, OSError) as error:
            raise NoSuchVersion(
                f"the registry cannot give {path} of version {version.version} ({' '.join(str(error).split())}); "
                "fix its artifact store, or train again"
            ) from None

    def log_decision(self, version: Version, decision: PromotionDecision, actor: str, at: datetime) -> None:
        """Log a promotion decision with its version: tags, metrics, and one file for each decision."""
        tags = {"promoted": str(decision.promote), "words": decision.words, "actor": actor, "at": at.isoformat()}
        for name, value in tags.items():
            self._client.set_model_version_tag(
                MODEL_NAME, version.version, f"promotion.{name}", value[:_MAX_TAG_LENGTH]
            )
        moment = int(at.timestamp() * 1000)
        metrics = [Metric(f"promotion.{name}", value, moment, 0) for name, value in decision.figures.items()]
        self._client.log_batch(version.run_id, metrics=metrics)
        content = {**decision.to_dict(), "actor": actor, "at": at.isoformat()}
        self._client.log_dict(version.run_id, content, f"promotions/{_stamp(at).replace(':', '')}.json")

    def set_alias(
        self, alias: Alias, version: Version, actor: str, reason: str, at: datetime, decision: str = ""
    ) -> AliasChange:
        """Set an alias, and keep the change in its history."""
        change = AliasChange(
            alias=alias,
            previous=self._aliases().get(alias),
            version=version.version,
            actor=actor,
            reason=reason,
            at=at.isoformat(),
            decision=decision,
        )
        self._client.set_registered_model_alias(MODEL_NAME, alias, version.version)
        self._client.set_registered_model_tag(
            MODEL_NAME, f"{CHANGE_TAG}{_stamp(at)}.{alias}", json.dumps(change.__dict__)
        )
        return change

    def history(self) -> Sequence[AliasChange]:
        """Every change of an alias, oldest first."""
        try:
            tags = self._client.get_registered_model(MODEL_NAME).tags
        except MlflowException:
            return []
        return changes(tags)

    def previous_version(self, alias: Alias) -> Version:
        """The version to roll back to: the one that the alias named before; after a rollback, the one before that.

        Raises:
            NoSuchVersion: the alias never named another version.
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
            model = self._client.get_registered_model(MODEL_NAME)
        except MlflowException:
            return {}
        return {alias: str(version) for alias, version in model.aliases.items()}


def _stamp(at: datetime) -> str:
    """A moment in a form that sorts as text and that MLflow accepts in a name."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"


def _digests(trained: TrainingResult, catalogue: Catalogue) -> Mapping[str, str]:
    """SHA-256 of the bundle, of the definitions of its features, of the catalogue, and of all labelled snapshots."""
    return {
        "bundle": trained.bundle.sha256,
        "features": trained.bundle.features_sha256,
        "catalogue": catalogue.sha256,
        "data": data_sha256(trained.table),
    }


def _log_datasets(trained: TrainingResult, digests: Mapping[str, str]) -> None:
    """Log the snapshots as a data set: MLflow gets their schema and digest, not the rows."""
    frame = trained.table.drop_columns(["lead_id"]).to_pandas()
    # MLflow accepts 36 characters of a digest.
    snapshots = mlflow.data.pandas_dataset.from_pandas(frame, name="snapshots", digest=digests["data"][:36])
    mlflow.log_input(snapshots, context="training")


def _log_files(trained: TrainingResult, catalogue: Catalogue, leads_a_week: int, digests: Mapping[str, str]) -> None:
    bundle, predictions = trained.bundle, trained.predictions
    parts = bundle.contributions(trained.test_matrix)
    families = {entry.name: entry.family for entry in catalogue.with_attributes(bundle.attributes)}
    strength = importance(bundle.encoding.names, families, parts)
    lift = lift_at_capacity(predictions, leads_a_week)
    figures = plots(bundle, predictions, parts, catalogue=catalogue, leads_a_week=leads_a_week)
    files = {
        **{f"bundle/{name}": content for name, content in bundle.files.items()},
        **({f"hazard/{name}": content for name, content in trained.hazard.files.items()} if trained.hazard else {}),
        **figures,
        _REPORT: json.dumps(trained.report.to_dict(), indent=1).encode(),
        _CARD: card(bundle, trained.report, strength, lift, digests).encode(),
        "importance.json": json.dumps(_importance(strength), indent=1).encode(),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in files.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes(content)
        _write_predictions(predictions, folder / _PREDICTIONS)
        pq.write_table(FrozenWindow.of(predictions, trained.table).features, folder / _WINDOW)
        mlflow.log_artifacts(str(folder))


def _importance(strength: Importance) -> Mapping[str, Any]:
    return {"features": dict(strength.features), "families": dict(strength.families)}


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
