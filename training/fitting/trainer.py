"""Training: from a folder of records to a calibrated bundle, its evaluation report and its out-of-time predictions.

The rung is selected, and the slope of the calibration fitted, at the rolling origins inside the training rows. The test
window is read once, for the report.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from features.catalogue.catalogue import Catalogue
from features.partner_history import HORIZON_DAYS
from features.provenance import ATTRIBUTE_PREFIX
from features.value_types import rfc3339
from models.arrays import Matrix, Reals
from models.bundle import Bundle
from models.calibration import Calibration
from models.probability import BaseRate, MarginModel, sigmoid
from training import MODEL_NAME, hazard, leaks
from training.data.matrix import Progress, TrainingData, prepare_training
from training.data.rows import Rows, has_enough_outcomes
from training.data.segments import Segment
from training.evaluation.metrics import Predictions, evaluate
from training.evaluation.report import CalibrationSummary, CurveMetrics, EvaluationReport, ImmatureSnapshots
from training.fitting.calibration import NO_LEADS, ScoredLeads, calibrate
from training.fitting.immature_snapshots import Cohort, try_soft_labels, with_immature_rows
from training.fitting.intercept_sample import intercept_leads
from training.fitting.ladder import base_rate
from training.fitting.model_selection import Choice, choose
from training.fitting.rolling_origins import RollingOrigins
from training.fitting.short_history import too_few
from training.fitting.spread import level_spread, model_spread
from training.fitting.tuning import NOT_TUNED, Search, tune
from training.hazard import Hazard

_GOLDEN_ROWS = 20


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """The result of a training.

    Attributes:
        bundle: the model, ready to serve.
        report: its metrics, and what the training data were.
        predictions: those of the served rung on the test window.
        test_matrix: those rows, encoded.
        table: features of every labelled snapshot, as the engine gave them.
        hazard: the model of when leads close, fitted on facts known before the test window; None where closes are
            undated or too few.
    """

    bundle: Bundle
    report: EvaluationReport
    predictions: Predictions
    test_matrix: Matrix
    table: pa.Table
    hazard: Hazard | None = None


def train(
    folder: Path,
    catalogue: Catalogue,
    progress: Progress,
    *,
    seed: int = 0,
    horizon_days: int = HORIZON_DAYS,
    allowed_leaks: Collection[str] = (),
    excluded: Collection[Segment] = (),
    search: Search | None = None,
) -> TrainingResult:
    """Train on a folder of records.

    Args:
        folder: the records (see features.folder).
        catalogue: the base catalogue; the folder's attributes are added.
        progress: gets a message at each step.
        seed: random seed.
        horizon_days: days within which "close" counts.
        allowed_leaks: features to train with although they nearly decide the outcome.
        excluded: segments of leads, by their values at creation, that are left out of training and testing.
        search: the search for better settings of the trees; without one the defaults are used.

    Raises:
        NothingToLearn: no lead has a mature label, or none is left.
        UnknownSegment: an excluded segment has no lead.
        LeakFound: an attribute nearly decides the outcome.
        FolderError, UnreadableRecords: the folder cannot be read.
    """
    data = prepare_training(folder, catalogue, progress, horizon_days=horizon_days, excluded=excluded)
    attributes = {entry.name for entry in data.catalogue if entry.family == "attributes"}
    leak_search = leaks.search_for_leaks(
        data.rows,
        data.encoding,
        data.split,
        attributes,
        data.table,
        leaks.LeadHistory.of(data.snapshots),
        seed,
        data.fills,
    )
    allowed = {*allowed_leaks, *(f"{ATTRIBUTE_PREFIX}{name}" for name in allowed_leaks)}
    blocking = [suspect for suspect in leak_search.suspects if suspect.decisive and suspect.name not in allowed]
    if blocking:
        raise leaks.LeakFound(blocking)
    origins = RollingOrigins.of(
        data.rows, data.encoding, data.directions, data.split.folds, data.snapshots.cluster, seed
    )
    choice = _choice(data, origins, search, progress)
    choice, rows, immature = _with_immature(data, origins, choice, progress)
    progress(f"fitting the {choice.rung} rung on {len(rows.won):,} rows")
    trained = _report(data, choice, bundle_of(data, origins, choice, rows, allowed_leaks), leak_search, seed)
    return _with_hazard(trained, data, immature, progress, seed)


_UNDATED = ImmatureSnapshots(False, "not tried: leads or closes are undated")


def _cohort(data: TrainingData, horizon_days: int) -> Cohort:
    snapshots = data.snapshots
    follow_up = hazard.FollowUp(
        as_of=snapshots.as_of,
        created=snapshots.created,
        closed_at=snapshots.closed_at,
        known_at=snapshots.known_at,
        won=snapshots.won_ever,
        cluster=snapshots.cluster,
        weight=snapshots.weight,
    )
    return Cohort(
        rows=data.rows,
        follow_up=follow_up,
        encoding=data.encoding,
        directions=data.directions,
        horizon_days=horizon_days,
    )


def _start(data: TrainingData) -> int:
    """The moment the test window begins."""
    return int(data.snapshots.as_of[data.split.test].min())


def _with_immature(
    data: TrainingData, origins: RollingOrigins, choice: Choice, progress: Progress
) -> tuple[Choice, Rows, ImmatureSnapshots]:
    """The choice, the rows to fit it on, and whether immature snapshots are among them."""
    rows, horizon = data.rows.take(data.split.train), data.snapshots.horizon_days
    if horizon is None:
        return choice, rows, _UNDATED
    cohort = _cohort(data, horizon)
    trial = try_soft_labels(cohort, origins, choice, progress)
    if trial.used:
        rows = with_immature_rows(cohort, data.split.train, _start(data), origins.seed)
    return replace(choice, margins=trial.margins), rows, trial.summary


def _with_hazard(
    trained: TrainingResult, data: TrainingData, immature: ImmatureSnapshots, progress: Progress, seed: int
) -> TrainingResult:
    """The result with the hazard model, and the metrics of its curve on the test leads."""
    horizon, model = data.snapshots.horizon_days, None
    curve: tuple[CurveMetrics, ...] = ()
    if horizon is not None:
        progress("fitting when leads close")
        cohort, start = _cohort(data, horizon), _start(data)
        model = hazard.fit_hazard(data.rows.matrix, cohort.follow_up, start, cohort.periods, data.encoding, seed)
        if model is not None:
            curve = hazard.curve_metrics(
                model, data.rows.matrix, cohort.follow_up, data.split.test, start, data.snapshots.cut, seed
            )
    return replace(trained, hazard=model, report=replace(trained.report, immature=immature, curve=curve))


def _choice(data: TrainingData, origins: RollingOrigins, search: Search | None, progress: Progress) -> Choice:
    tuned = (
        tune(origins, search, progress)
        if search and data.encoding.features and has_enough_outcomes(origins.won)
        else NOT_TUNED
    )
    return choose(origins, lambda: too_few(data.snapshots, data.rows.won[data.created]), progress, tuned)


def bundle_of(
    data: TrainingData, origins: RollingOrigins, choice: Choice, fitted: Rows, allowed_leaks: Collection[str]
) -> Bundle:
    """The choice fitted on rows and calibrated, with everything that serving needs."""
    choice = choice.with_scaled_trees(origins, len(data.created))
    model = choice.fit(fitted, data.encoding, data.directions, origins.seed)
    rate = sigmoid(model.log_odds) if isinstance(model, BaseRate) else base_rate(data.rows.take(data.created))
    bundle = Bundle(
        name=MODEL_NAME,
        encoding=data.encoding,
        model=model,
        calibration=_calibration(data, origins, choice, model),
        horizon_days=data.snapshots.horizon_days,
        base_rate=float(rate),
        grades=None,
        attributes=data.provenance.attributes,
        features_sha256=data.catalogue.values_sha256(data.encoding.names),
        fold=data.catalogue.fold,
        expected_amount=data.snapshots.expected_amount,
        segment_amounts=data.snapshots.segment_amounts,
        reference=_reference(data),
        history=data.history,
        training_summary={
            "cut": rfc3339(data.snapshots.cut),
            **({"judged_from": rfc3339(_start(data))} if data.snapshots.dated else {}),
            "training_rows": len(data.split.train),
            "rung_reason": choice.reason,
            "settings": choice.description,
            "level": choice.intercept_sample,
            "tuning": choice.tuned.summary.to_dict(),
            "excluded": [excluded.to_dict() for excluded in data.excluded_segments],
            "allowed_leaks": sorted({*allowed_leaks}),
        },
    )
    return _graded(bundle, data)


def _calibration(data: TrainingData, origins: RollingOrigins, choice: Choice, model: MarginModel) -> Calibration:
    """The map: slope from the rolling origins, intercept from the training leads; the identity for a base rate."""
    cluster, leads = data.snapshots.cluster, intercept_leads(data.rows, data.split.train, choice.intercept_sample)
    margin = model.contributions(data.rows.matrix[leads]).sum(axis=1)
    learned = ScoredLeads(margin, data.rows.won[leads], cluster[leads])
    rng = np.random.default_rng(origins.seed)
    if choice.rung == "base_rate":
        return replace(calibrate(NO_LEADS, learned, rng), slope=1.0, intercept=0.0)
    judged = origins.judged
    out_of_time = ScoredLeads(origins.judged_margins(choice.margins), data.rows.won[judged], cluster[judged])
    map_ = calibrate(out_of_time, learned, rng)
    train = data.split.train
    own = model_spread(choice, data.rows.take(train), cluster[train], data.encoding, origins, map_.slope)
    return replace(map_, model_spread=own, level_spread=level_spread(choice, origins))


def _graded(bundle: Bundle, data: TrainingData) -> Bundle:
    """The bundle with grade cut-offs from the training leads at creation, and golden rows."""
    created = data.created
    odds = bundle.contributions(data.rows.matrix[created]).sum(axis=1)
    chosen = np.linspace(0, len(created) - 1, min(_GOLDEN_ROWS, len(created))).astype(int)
    golden = data.table.select(["lead_id", *bundle.encoding.names]).take(pa.array(created[chosen])).to_pylist()
    rows = [{name: row[name] for name in bundle.encoding.names} for row in golden]
    return replace(bundle, grades=cut_offs(odds), golden=tuple(zip(rows, odds[chosen].tolist(), strict=True)))


def cut_offs(log_odds: Reals) -> tuple[float, float, float] | None:
    """The lowest probabilities of the grades A, B and C, quarters by rank; None where all leads have one probability.

    Leads with the same probability share the middle of their ranks, so that many equal leads are not all an A.

    >>> cut_offs(np.zeros(4)) is None
    True
    >>> [round(p, 3) for p in cut_offs(np.log(np.array([1, 2, 3, 4]) / np.array([9, 8, 7, 6])))]
    [0.4, 0.3, 0.2]
    """
    distinct, counts = np.unique(sigmoid(log_odds), return_counts=True)
    if len(distinct) == 1:
        return None
    middle = (np.cumsum(counts) - counts / 2) / counts.sum()
    a, b, c = np.append(distinct, 1.0)[np.searchsorted(middle, [0.75, 0.5, 0.25])]
    return float(a), float(b), float(c)


def _reference(data: TrainingData) -> Mapping[str, Any]:
    """The reference distribution of training leads at creation, for drift: missing shares, deciles, level shares."""
    created = data.rows.matrix[data.created]
    reference: dict[str, Any] = {}
    for column, feature in zip(created.T, data.encoding.features, strict=True):
        present = column[~np.isnan(column)]
        entry: dict[str, Any] = {"missing": float(np.isnan(column).mean())}
        if feature.kind == "category":
            entry["levels"] = [
                float((present == code).mean()) if len(present) else 0.0 for code in range(len(feature.levels))
            ]
        elif len(present):
            entry["deciles"] = [float(q) for q in np.quantile(present, np.linspace(0, 1, 11))]
        reference[feature.name] = entry
    return reference


def _report(
    data: TrainingData, choice: Choice, bundle: Bundle, leak_search: leaks.LeakSearch, seed: int
) -> TrainingResult:
    test = data.split.test
    probability = sigmoid(bundle.contributions(data.rows.matrix[test]).sum(axis=1))
    snapshots = data.snapshots
    predictions = Predictions(
        lead_id=snapshots.lead_id[test],
        as_of=snapshots.as_of[test],
        cluster=snapshots.cluster[test],
        won=data.rows.won[test],
        probability=np.asarray(probability),
        constant=bundle.base_rate,
    )
    report = EvaluationReport(
        metrics=evaluate(predictions, bundle.rung != "base_rate", seed),
        rung=bundle.rung,
        rung_reason=choice.reason,
        tuning=choice.tuned.summary,
        horizon_days=snapshots.horizon_days,
        target=_target(snapshots.horizon_days),
        split=f"{data.split.how}; rungs are judged by {data.split.judged_by}",
        point_in_time=_POINT_IN_TIME[data.provenance.point_in_time],
        training_rows=len(data.split.train),
        training_leads=len(set(snapshots.lead_id[data.split.train].tolist())),
        features=len(bundle.encoding.features),
        calibration=CalibrationSummary(bundle.calibration.slope, bundle.calibration.intercept),
        intercept_sample=choice.intercept_sample,
        out_of_time_rungs=choice.table,
        leaks=leak_search.suspects,
        drifting=leak_search.drifting,
        leak_searches_skipped=leak_search.skipped,
        excluded=data.excluded_segments,
        left_out_levels=data.left_out_levels,
        cut=rfc3339(snapshots.cut),
    )
    return TrainingResult(
        bundle=bundle, report=report, predictions=predictions, test_matrix=data.rows.matrix[test], table=data.table
    )


_POINT_IN_TIME = {True: "recorded times", False: "not verifiable: the export has no recorded times"}


def _target(horizon_days: int | None) -> str:
    return f"won within {horizon_days} days" if horizon_days else "ever won: weaker evidence"
