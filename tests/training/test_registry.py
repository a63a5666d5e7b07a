"""The registry from a training to a rollback, on a database of its own."""

import datetime as dt
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.catalogue import CATALOGUE
from models.bundle import Bundle
from models.calibration import Calibration
from models.encoding import EncodedFeature, Encoding
from models.probability import BaseRate
from training.data.matrix import data_sha256
from training.evaluation.metrics import Predictions, evaluate
from training.evaluation.report import EvaluationReport
from training.fitting.trainer import TrainingResult
from training.promotion.promotion import decide
from training.promotion.registry import NoSuchVersion, Registry
from training.promotion.versions import Listing, read_sqlite

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow calls what its own libraries deprecate.
AT = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def made(rate: float) -> TrainingResult:
    """A training as small as can be."""
    encoding = Encoding((EncodedFeature("own_touches", "number"),))
    log_odds = float(np.log(rate / (1 - rate)))
    bundle = Bundle(
        name="eql-close-probability",
        encoding=encoding,
        model=BaseRate(1, log_odds),
        calibration=Calibration(1.0, 0.0),
        horizon_days=90,
        base_rate=rate,
        grades=None,
        attributes=(),
        features_sha256=CATALOGUE.values_sha256(["own_touches"]),
        golden=(({"own_touches": 1}, log_odds),),
        training_summary={"settings": {}},
    )
    names = np.array([f"L{n}" for n in range(20)])
    won = np.tile([1.0, 0.0, 0.0, 0.0], 5)
    predictions = Predictions(
        lead_id=names, as_of=np.arange(20), cluster=names, won=won, probability=np.full(20, rate), constant=rate
    )
    report = EvaluationReport(metrics=evaluate(predictions, False, 0), rung="base_rate", rung_reason="few leads")
    table = pa.table({"lead_id": names.tolist(), "as_of": range(20), "own_touches": [1.0] * 20})
    return TrainingResult(
        bundle=bundle, report=report, predictions=predictions, test_matrix=np.ones((20, 1)), table=table
    )


def test_versions_are_kept_pointed_to_and_rolled_back(tmp_path: Path) -> None:
    registry = Registry(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")
    assert registry.versions() == []
    assert registry.history() == []
    with pytest.raises(NoSuchVersion, match="no model is registered yet; run `eql train` first"):
        registry.resolve()

    first, second = made(0.2), made(0.3)
    assert [registry.log_training(trained, {"seed": 0}, CATALOGUE) for trained in (first, second)] == ["1", "2"]
    assert [version.version for version in registry.versions()] == ["2", "1"]
    assert registry.resolve().version == "2"
    one = registry.resolve("1")
    assert one.tags["rung"] == "base_rate"
    assert one.tags["skill"] == "False"
    assert one.tags["sha256"] == first.bundle.sha256
    assert registry.bundle(one).files == first.bundle.files
    assert registry.report(one) == first.report
    _same(registry.predictions(one), first.predictions)
    assert one.tags["data_sha256"] == data_sha256(first.table) == registry.resolve("2").tags["data_sha256"]
    assert one.tags["catalogue_sha256"] == CATALOGUE.sha256
    assert one.tags["catalogue_sha256"] in registry.card(one)
    window, contender = registry.window(one), registry.compared_version(one)
    _same(window.predictions, contender.predictions)
    assert window.features.to_pydict() == {"own_touches": [1.0] * 20}
    assert window.probability(contender.bundle) == pytest.approx(contender.predictions.probability)
    with pytest.raises(NoSuchVersion, match="there is no version or alias 'champion'; versions are 1, 2"):
        registry.resolve("champion")

    registry.set_alias("champion", one, "Ann", "first", AT)
    with pytest.raises(NoSuchVersion, match="no earlier champion"):
        registry.previous_version("champion")
    decision = decide(registry.compared_version(registry.resolve("2")), contender, window, CATALOGUE, draws=20)
    registry.log_decision(registry.resolve("2"), decision, "Bob", AT)
    tags = registry.resolve("2").tags
    assert (tags["promotion.promoted"], tags["promotion.words"]) == (str(decision.promote), decision.words)
    assert tags["promotion.actor"] == "Bob"
    later = AT + dt.timedelta(days=1)
    change = registry.set_alias("champion", registry.resolve("2"), "Bob", "better", later, decision.words)
    assert (change.previous, change.version) == ("1", "2")
    assert registry.resolve("champion").version == "2"
    assert registry.resolve("champion").aliases == ("champion",)
    assert registry.previous_version("champion").version == "1"
    with pytest.raises(NoSuchVersion, match="no earlier challenger"):
        registry.previous_version("challenger")
    registry.set_alias(
        "champion", registry.previous_version("champion"), "Ann", "rolled back", AT + dt.timedelta(days=2)
    )
    assert registry.resolve("champion").version == "1"
    with pytest.raises(NoSuchVersion, match="no earlier champion"):
        registry.previous_version("champion")

    history = Registry(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts").history()
    assert [(c.alias, c.previous, c.version, c.actor, c.reason) for c in history] == [
        ("champion", None, "1", "Ann", "first"),
        ("champion", "1", "2", "Bob", "better"),
        ("champion", "2", "1", "Ann", "rolled back"),
    ]
    assert history[0].at == "2026-11-01T00:00:00+00:00"
    assert [c.decision for c in history] == ["", decision.words, ""]

    with pytest.raises(NoSuchVersion, match="version 1 has no hazard model"):
        registry.hazard(one)
    shutil.rmtree(tmp_path / "artifacts")
    with pytest.raises(NoSuchVersion, match=r"cannot give card.md of version 1 .*train again"):
        registry.card(one)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert read_sqlite(uri) == Listing(registry.versions(), registry.history())


def test_a_registry_that_is_elsewhere_or_has_other_tables_is_left_to_mlflow(
    tmp_path: Path,
) -> None:
    assert read_sqlite(f"sqlite:///{tmp_path / 'absent.db'}") == Listing((), ())
    assert read_sqlite("https://mlflow.example") is None
    (tmp_path / "other.db").touch()
    assert read_sqlite(f"sqlite:///{tmp_path / 'other.db'}") is None


def test_the_digest_of_data_tells_values_and_columns_apart_and_not_how_they_lie_in_memory() -> None:
    table = pa.table({"a": [1.0, None, 3.0], "b": ["x", "y", None]})
    halves = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert data_sha256(halves) == data_sha256(table)
    for other in (
        pa.table({"a": [1.0, None, 4.0], "b": ["x", "y", None]}),
        pa.table({"a": [1.0, 0.0, 3.0], "b": ["x", "y", None]}),
        table.rename_columns(["a", "c"]),
        table.slice(0, 2),
    ):
        assert data_sha256(other) != data_sha256(table)


def _same(found: Predictions, kept: Predictions) -> None:
    for name in ("lead_id", "as_of", "cluster", "won", "probability"):
        assert getattr(found, name).tolist() == getattr(kept, name).tolist(), name
    assert found.constant == kept.constant
