"""Training end to end: from records to a bundle that can be trusted, or a base rate and the reason for it."""

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.catalogue import CATALOGUE
from features.folder import FolderWriter
from features.provenance import Attribute, Provenance
from features.records import KINDS
from features.value_types import DAY, Scalar
from models.bundle import read
from models.probability import RUNGS, sigmoid
from training.data.snapshots import NothingToLearn
from training.evaluation.metrics import log_loss
from training.evaluation.report import EvaluationReport, RungMetrics
from training.fitting.trainer import TrainingResult, cut_offs, train
from training.leaks import LeakFound
from training.world.simulation import simulate

CUT = 20_000 * DAY
COUNT = 600
RNG = np.random.default_rng(11)
SIZE = RNG.normal(size=COUNT)
WON = RNG.random(COUNT) < sigmoid(2.0 * SIZE - 0.5)
ORIGIN = [("fair", "web", "mail")[n % 3] for n in range(COUNT)]
"""Noise: it goes in turns."""
Attributes = Mapping[str, list[Any]]


def export(
    folder: Path,
    attributes: Attributes,
    *,
    count: int = COUNT,
    dated: bool = True,
    closes: bool = True,
    ordered: bool = True,
    won: Callable[[int], bool | None] = lambda n: bool(WON[n]),
) -> Path:
    """An import's records: leads a day apart, won or lost within a month (None is open), with attributes."""
    declared = [
        Attribute(name, "category" if isinstance(values[0], str) else "number", "at_creation")
        for name, values in attributes.items()
    ]
    leads, events = [], []
    for n in range(count):
        created = CUT - (count + 40 - n) * DAY if dated else None
        closed = created + (1 + n % 29) * DAY if created is not None and closes else None
        row: dict[str, Scalar] = {"lead_id": f"L{n:04}", "created_at": created, "deleted": False}
        row |= {"occurred_at": created, "recorded_at": created, "order": n if ordered else None}
        leads.append(row | {f"attributes.{name}": values[n] for name, values in attributes.items()})
        outcome = won(n)
        if outcome is not None:
            event: dict[str, Scalar] = {"lead_event_id": f"E{n}", "lead_id": f"L{n:04}", "deleted": False}
            event |= {"occurred_at": closed, "recorded_at": closed, "event": "won" if outcome else "lost"}
            events.append(event)
    with FolderWriter(folder, Provenance(CUT, False, tuple(declared))) as writer:
        writer.write(KINDS["leads"], leads)
        writer.write(KINDS["lead_events"], events)
    return folder


def trained(folder: Path, **options: Any) -> TrainingResult:
    return train(folder, CATALOGUE, lambda _words: None, **{"horizon_days": 30, **options})


@pytest.fixture(scope="module")
def signal(tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """A training on an export whose size tells, and whose origin does not."""
    folder = tmp_path_factory.mktemp("signal")
    return trained(export(folder, {"size": SIZE.tolist(), "origin": ORIGIN}))


def test_a_signal_is_found_served_and_measured(signal: TrainingResult) -> None:
    report = signal.report
    assert report.rung == signal.bundle.rung != "base_rate"
    assert report.metrics.skill is True
    assert report.metrics.log_loss < report.metrics.log_loss_constant
    assert report.metrics.auc > 0.8
    assert report.horizon_days == 30
    assert report.point_in_time.startswith("not verifiable")
    assert report.leaks == () or not report.leaks[0].decisive


def test_the_report_is_that_of_the_predictions_kept(signal: TrainingResult) -> None:
    found, report = signal.predictions, signal.report
    assert len(found.won) == report.metrics.rows
    assert log_loss(found.won, found.probability) == report.metrics.log_loss
    assert log_loss(found.won, np.full(len(found.won), report.metrics.base_rate)) == report.metrics.log_loss_constant
    served = sigmoid(signal.bundle.contributions(signal.test_matrix).sum(axis=1))
    assert served.tolist() == found.probability.tolist()
    content = report.to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert EvaluationReport.from_dict(content) == report


def test_the_report_has_the_keys_that_it_had_in_their_order(signal: TrainingResult) -> None:
    metrics = (
        "rows won base_rate observed_rate mean_probability skill log_loss log_loss_constant log_loss_difference "
        "log_loss_difference_95 auc auc_95 brier brier_constant calibration_slope"
    )
    training = (
        "rung rung_reason tuning horizon_days target split point_in_time training_rows training_leads features "
        "calibration level out_of_time_rungs leaks drifting leak_searches_skipped excluded left_out_levels cut "
        "immature curve"
    )
    content = signal.report.to_dict()
    assert [*content] == [*metrics.split(), *training.split()]
    assert [*content["out_of_time_rungs"][0]] == [field.name for field in fields(RungMetrics)]
    assert [*content["immature"]] == ["used", "reason", "gain", "standard_error"]
    assert [*content["tuning"]] == ["settings", "reason", "trials"]


def test_the_bundle_can_be_read_back_and_has_what_serving_needs(signal: TrainingResult) -> None:
    bundle = read(signal.bundle.files)
    assert bundle.sha256 == signal.bundle.sha256
    assert set(bundle.encoding.names) <= set(bundle.catalogue(CATALOGUE).names)
    assert {attribute.name for attribute in bundle.attributes} == {"size", "origin"}
    assert set(bundle.encoding.names) >= {"size", "origin"}
    assert set(bundle.reference) == set(bundle.encoding.names)
    assert bundle.grades is not None
    assert bundle.golden
    assert bundle.calibration.draws


def test_training_comes_again_byte_for_byte(signal: TrainingResult, tmp_path: Path) -> None:
    again = trained(export(tmp_path, {"size": SIZE.tolist(), "origin": ORIGIN}))
    assert again.bundle.sha256 == signal.bundle.sha256
    assert again.report == signal.report


def test_noise_gets_the_base_rate_and_is_called_no_skill(tmp_path: Path) -> None:
    found = trained(export(tmp_path, {"origin": ORIGIN, "noise": RNG.normal(size=COUNT).tolist()}))
    assert found.report.rung == "base_rate"
    assert found.report.metrics.skill is False
    assert found.report.metrics.auc == 0.5
    assert found.report.metrics.log_loss == found.report.metrics.log_loss_constant
    assert set(found.predictions.probability) == {found.report.metrics.base_rate}
    assert found.bundle.grades is None
    assert read(found.bundle.files).sha256 == found.bundle.sha256


def test_an_attribute_that_copies_the_outcome_blocks_by_name_unless_allowed(tmp_path: Path) -> None:
    folder = export(tmp_path, {"status": ["closed" if w else "stopped" for w in WON], "size": SIZE.tolist()})
    with pytest.raises(LeakFound, match=r"'status'.*--allow-leak") as caught:
        trained(folder)
    assert "size" not in str(caught.value)
    with pytest.raises(LeakFound):
        trained(folder, allowed_leaks=["size"])
    allowed = trained(folder, allowed_leaks=["status"])
    assert allowed.report.leaks[0].name == "status"
    assert allowed.report.metrics.auc > 0.99


def test_an_attribute_with_the_name_of_a_feature_blocks_by_its_own_name(tmp_path: Path) -> None:
    folder = export(tmp_path, {"industry": ["closed" if w else "stopped" for w in WON]})
    with pytest.raises(LeakFound, match="industry"):
        trained(folder)
    allowed = trained(folder, allowed_leaks=["industry"])
    assert [leak.name for leak in allowed.report.leaks if leak.decisive] == ["attributes.industry"]


def test_an_attribute_blank_with_one_outcome_blocks_by_name(tmp_path: Path) -> None:
    with pytest.raises(LeakFound, match="'reason' is blank only where") as caught:
        trained(export(tmp_path, {"reason": [None if w else 1.0 + n % 5 for n, w in enumerate(WON)]}))
    assert [suspect.name for suspect in caught.value.suspects] == ["reason"]


@pytest.mark.parametrize(
    ("won", "says"),
    [
        (lambda n: n in (50, 150, 250, 350), "are too few to fit and judge more"),
        (lambda _n: False, "0 wins among"),
        (lambda _n: True, "are too few to fit and judge more"),
    ],
    ids=["four wins", "no wins", "only wins"],
)
def test_too_few_of_an_outcome_get_the_base_rate_with_the_reason(
    tmp_path: Path, won: Callable[[int], bool], says: str
) -> None:
    found = trained(export(tmp_path, {"size": SIZE.tolist()}, won=won))
    assert found.report.rung == "base_rate"
    assert says in found.report.rung_reason
    assert found.report.metrics.skill is False
    assert 0 < found.report.metrics.base_rate < 1


def test_a_horizon_that_the_history_does_not_bear_is_the_reason_and_the_named_one_is_learned(tmp_path: Path) -> None:
    folder = export(tmp_path, {"size": SIZE[:240].tolist()}, count=240)
    reason = trained(folder, horizon_days=90).report.rung_reason
    assert reason is not None
    assert "the horizon of 90 days" in reason
    found = re.search(
        r"about (\d+) months of such leads are needed, and there are (\d+); `--horizon-days (\d+)`", reason
    )
    assert found is not None
    needed, months, shorter = map(int, found.groups())
    assert needed > months
    assert trained(folder, horizon_days=shorter).report.out_of_time_rungs, "rungs were fitted and judged"


def test_leads_that_nothing_tells_apart_get_the_base_rate(tmp_path: Path) -> None:
    found = trained(export(tmp_path, {"constant": [1.0] * COUNT}, dated=False))
    assert found.report.rung == "base_rate"
    assert found.report.features == 0
    assert found.report.rung_reason == "no feature varies among the training leads"
    assert read(found.bundle.files).contributions(np.empty((2, 0))).shape == (2, 1)


def test_an_undated_export_is_tested_on_the_last_by_order(tmp_path: Path) -> None:
    found = trained(export(tmp_path, {"size": SIZE.tolist()}, dated=False))
    assert found.report.horizon_days is None
    assert found.report.target == "ever won: weaker evidence"
    assert found.report.split == "the last 30 % by order; rungs are judged by rolling origins"
    assert sorted(found.predictions.lead_id) == [f"L{n:04}" for n in range(COUNT * 7 // 10, COUNT)]
    assert found.report.metrics.skill is True


def test_an_undated_export_without_an_order_is_tested_on_groups(tmp_path: Path) -> None:
    found = trained(export(tmp_path, {"size": SIZE.tolist()}, dated=False, ordered=False))
    judged = "rungs are judged by 3 times 5-fold cross-validation by group"
    assert found.report.split == f"30 % of the groups; no order is known; {judged}"
    assert found.report.metrics.skill is True


def test_without_closing_times_the_target_is_ever_won_of_what_has_an_outcome(tmp_path: Path) -> None:
    folder = export(tmp_path, {"size": SIZE.tolist()}, closes=False, won=lambda n: bool(WON[n]) if n % 5 else None)
    found = trained(folder)
    assert found.report.horizon_days is None
    assert found.report.training_leads + found.report.metrics.rows == COUNT * 4 // 5


def test_a_history_shorter_than_the_horizon_is_said(tmp_path: Path) -> None:
    folder = export(tmp_path, {"size": SIZE.tolist()}, count=150)
    with pytest.raises(NothingToLearn, match="shorter horizon"):
        trained(folder, horizon_days=90)


def test_a_simulated_world_is_learned_from_end_to_end(tmp_path: Path) -> None:
    simulate(tmp_path / "world", 400, 1, dt.date(2026, 11, 21))
    words: list[str] = []
    found = train(tmp_path / "world", CATALOGUE, words.append)
    assert found.report.horizon_days == 90
    assert found.report.point_in_time == "recorded times"
    assert found.report.training_rows > found.report.training_leads > 100
    assert [row.rung for row in found.report.out_of_time_rungs] == [*RUNGS]
    assert found.bundle.history["partner_history"]
    assert found.bundle.history["tier_history"]
    assert found.bundle.expected_amount is not None
    assert read(found.bundle.files).sha256 == found.bundle.sha256
    assert any(line.startswith("rolling origin 1 of") for line in words)


def test_grades_are_quarters_of_the_leads() -> None:
    log_odds = np.linspace(-3, 1, 1000)
    cuts = cut_offs(log_odds)
    assert cuts is not None
    shares = [(sigmoid(log_odds) >= cut).mean() for cut in cuts]
    assert shares == pytest.approx([0.25, 0.5, 0.75], abs=0.002)


def test_many_equal_leads_are_not_all_an_a() -> None:
    """Four in five share the lower score: the middle of them is the second quarter from below."""
    log_odds = np.array([-2.0] * 80 + [0.0] * 20)
    cuts = cut_offs(log_odds)
    assert cuts is not None
    low, high = sigmoid(-2.0), sigmoid(0.0)
    assert high >= cuts[0] > low
    assert cuts[1] > low >= cuts[2]
    assert cut_offs(np.full(50, -1.0)) is None
