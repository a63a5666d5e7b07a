"""Models: train, evaluate, promote, roll back, list, show."""

import getpass
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow.parquet as pq
import typer

from app import console
from app.commands.options import Json, UsageError, wiring
from app.commands.scoring import rescore_promoted
from app.wiring import now
from features.catalogue import CATALOGUE
from features.partner_history import HORIZON_DAYS
from features.value_types import microseconds
from serving.champion.watcher import ModelWatcher

if TYPE_CHECKING:
    from training.evaluation.metrics import AttainableSkill
    from training.evaluation.report import EvaluationReport
    from training.promotion.promotion import ComparedVersion, PromotionDecision
    from training.promotion.registry import Version

app = typer.Typer()
models_app = typer.Typer()
Actor = Annotated[str | None, typer.Option(help="Who decides; by default the user running the command.")]
Reason = Annotated[str, typer.Option(help="Why, for the history.")]


@app.command(epilog="Example: eql train")
def train(
    records: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder of records; by default the store's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    horizon_days: Annotated[int, typer.Option(min=1, max=730, help="Days within which a close counts.")] = HORIZON_DAYS,
    allow_leak: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Train with an attribute that nearly decides.")
    ] = None,
    as_json: Json = False,
    leads_a_week: Annotated[
        int | None, typer.Option(min=1, help="Leads sales can work in a week, for lift; by default 20.")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Leave out the leads that have this value when they are created."),
    ] = None,
    tune_minutes: Annotated[
        float | None,
        typer.Option(min=0.1, help="Search better settings of the trees for so long; goes on where it was stopped."),
    ] = None,
) -> None:
    """Train on the mature leads, register the version in MLflow and make it the challenger."""
    result = trained(
        records,
        seed=seed,
        horizon_days=horizon_days,
        allowed_leaks=allow_leak or (),
        excluded=exclude or (),
        leads_a_week=leads_a_week,
        tune_minutes=tune_minutes,
    )
    console.emit(result.to_dict(), f"version {result.version}\n{_text(result.report)}", as_json)


@dataclass(frozen=True)
class TrainedVersion:
    """A version that was trained and registered, with its evaluation report."""

    version: str
    report: "EvaluationReport"

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {"version": self.version, **self.report.to_dict()}


def trained(
    records: Path | None = None,
    *,
    seed: int = 0,
    horizon_days: int = HORIZON_DAYS,
    allowed_leaks: Collection[str] = (),
    excluded: Collection[str] = (),
    leads_a_week: int | None = None,
    tune_minutes: float | None = None,
    reason: str = "trained",
) -> TrainedVersion:
    """Train, register the version in MLflow and make it the challenger.

    Args:
        records: a folder of records; without one the store's.
        seed: of every draw.
        horizon_days: days within which a close counts.
        allowed_leaks: decisive features to train with all the same.
        excluded: segments of leads to leave out, each NAME=VALUE.
        leads_a_week: leads sales can work in a week, for lift; by default 20.
        tune_minutes: how long to search better settings of the trees; None not to.
        reason: why, for the history.

    Returns:
        The version's number and its evaluation report.

    Raises:
        NothingToLearn, UnknownSegment, LeakFound, FolderError, UnreadableRecords: see `training.fitting.trainer.train`.
    """
    from training.data.segments import Segment
    from training.evaluation.lift import LEADS_A_WEEK
    from training.fitting.trainer import train as run
    from training.fitting.tuning import Search

    search = Search(tune_minutes, wiring().settings.home / "tuning.db") if tune_minutes else None
    segments = [Segment.parse(text) for text in excluded]
    options: dict[str, Any] = {"seed": seed, "horizon_days": horizon_days}
    with nullcontext(records) if records else wiring().records() as folder:
        found = run(
            folder,
            CATALOGUE,
            console.progress,
            **options,
            allowed_leaks=allowed_leaks,
            excluded=segments,
            search=search,
        )
    console.progress("registering in MLflow")
    registry = wiring().registry
    settings = options | {
        "excluded": ", ".join(map(str, segments)) or "none",
        "allowed_leaks": ", ".join(sorted({*allowed_leaks})) or "none",
    }
    version = registry.resolve(registry.log_training(found, settings, CATALOGUE, leads_a_week or LEADS_A_WEEK))
    registry.set_alias("challenger", version, actor_of(None), reason, datetime.now(UTC))
    return TrainedVersion(version.version, found.report)


@app.command(epilog="Example: eql evaluate --json")
def evaluate(
    version: Annotated[str | None, typer.Argument(help="A version or alias; the latest by default.")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="True probabilities of a simulated world (its truth/probabilities.parquet).")
    ] = None,
    as_json: Json = False,
) -> None:
    """What a version's served rung is worth on the out-of-time leads at creation, beside the constant."""
    from training.evaluation import metrics

    registry = wiring().registry
    found = registry.resolve(version)
    report, predictions = registry.report(found), registry.predictions(found)
    report = report.with_metrics(metrics.evaluate(predictions, report.rung != "base_rate", seed=0))
    attainable = None
    if truth is not None:
        known = {
            (row["lead_id"], microseconds(row["as_of"])): row["probability"] for row in pq.read_table(truth).to_pylist()
        }
        keys = zip(predictions.lead_id.tolist(), predictions.as_of.tolist(), strict=True)
        try:
            true = np.array([known[key] for key in keys])
        except KeyError as missing:
            raise ValueError(f"{truth} has no true probability of {missing}; is it the truth of this world?") from None
        attainable = metrics.attainable_skill(predictions, true)
    result = {"version": found.version, **report.to_dict()}
    if attainable is not None:
        result["attainable"] = attainable.to_dict()
    console.emit(result, f"version {found.version}\n{_text(report, attainable)}", as_json)


@app.command(epilog='Example: eql promote 2 --reason "better out of time"')
def promote(
    version: Annotated[str | None, typer.Argument(help="A version or alias; the latest by default.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the history; needed with --force.")] = None,
    actor: Actor = None,
    as_json: Json = False,
    force: Annotated[bool, typer.Option("--force", help="Promote it though it is refused.")] = False,
) -> None:
    """Make a version the champion if it is better: publish its bundle and score the open leads with it.

    It is compared with the champion on the test leads of its training that the champion was not trained on, and must
    hold the guard-rails. What was decided and why is kept with the version.
    """
    from training.promotion.promotion import PromotionRefused

    if force and not reason:
        raise UsageError("--force needs --reason, for the history")
    registry = wiring().registry
    found = registry.resolve(version)
    decision = _decide(found)
    registry.log_decision(found, decision, actor_of(actor), datetime.now(UTC))
    for check in decision.checks:
        if not check.passed:
            console.progress(f"{check.name.replace('_', ' ')}: {check.words}")
    if not decision.promote and not force:
        raise PromotionRefused(
            f"version {found.version} is not promoted: {decision.words}; to override, `eql promote {found.version} "
            "--force --reason WHY`"
        )
    said = decision.words if decision.promote else f"forced although refused: {decision.words}"
    _point(found, reason or "promoted", actor_of(actor), as_json, said)


def _decide(found: "Version") -> "PromotionDecision":
    from training.promotion import promotion

    registry = wiring().registry
    challenger = registry.compared_version(found)
    # A version that this software cannot serve is refused here, not by the service afterwards.
    catalogue = challenger.bundle.catalogue(CATALOGUE)
    return promotion.decide(challenger, _champion(), registry.window(found), catalogue)


def _champion() -> "ComparedVersion | None":
    """What serves, as the registry knows it; none where nothing does, for then there is nothing to lose."""
    # A look of its own: the service's keeps what it saw for a second, in which the open leads may be scored.
    champion = ModelWatcher(wiring().engine, CATALOGUE, wiring().policy, now)
    served = champion.scorer().served
    if served is None:
        console.progress(champion.error or "no model serves yet")
        return None
    found = registered(served.bundle.sha256)
    if found is None:
        console.progress(f"version {served.version} serves, but is not in this registry: it is not compared with")
        return None
    return wiring().registry.compared_version(found)


def registered(sha256: str) -> "Version | None":
    """The version of a bundle, by its hash; None where this registry does not have it."""
    # Versions may be the same bundle, and the store then knows it by the first one's number.
    same = [v for v in wiring().registry.versions() if v.tags.get("sha256") == sha256]
    return next((v for v in same if "champion" in v.aliases), same[0] if same else None)


@app.command(epilog='Example: eql rollback --reason "sales report odd scores"')
def rollback(reason: Reason = "rolled back", actor: Actor = None, as_json: Json = False) -> None:
    """Make the champion before this one the champion again."""
    registry = wiring().registry
    _point(registry.previous_version("champion"), reason, actor_of(actor), as_json)


def _point(version: "Version", reason: str, actor: str, as_json: bool, decision: str = "") -> None:
    registry = wiring().registry
    # The store first: should MLflow fail, the service and its history are still of one mind.
    wiring().publish(registry.bundle(version), version.version, actor, reason)
    change = registry.set_alias("champion", version, actor, reason, datetime.now(UTC), decision)
    scored, left = rescore_promoted(wiring())
    text = f"champion is version {version.version}; {scored:,} leads scored"
    text += f", {left:,} by workers or later" if left else ""
    console.emit({**change.__dict__, "scored": scored, "left": left}, f"{text}\n{decision}".rstrip(), as_json)


@models_app.callback(invoke_without_command=True, epilog="Example: eql models")
def models(context: typer.Context, as_json: Json = False) -> None:
    """Every version with its aliases, and the history of the aliases; or one version's card."""
    if context.invoked_subcommand is not None:
        return
    registry = wiring().registry
    versions, history = registry.versions(), registry.history()
    rows = [
        [v.version, ", ".join(v.aliases), *(v.tags.get(name) for name in ("rung", "skill", "log_loss", "auc"))]
        for v in versions
    ]
    changes = [[c.at[:19], c.alias, c.previous, c.version, c.actor, c.reason, c.decision] for c in history]
    columns = ["at (UTC)", "alias", "from", "to", "actor", "reason", "judged"]
    text = "\n".join(
        (
            console.table("Versions", ["version", "aliases", "rung", "skill", "log loss", "AUC"], rows),
            console.table("History", columns, changes),
        )
    )
    result = {
        "versions": [{**v.__dict__, "tags": dict(v.tags)} for v in versions],
        "history": [c.__dict__ for c in history],
    }
    console.emit(result, text, as_json)


@models_app.command(epilog="Example: eql models show champion")
def show(
    version: Annotated[str | None, typer.Argument(help="A version or alias; the latest by default.")] = None,
    as_json: Json = False,
) -> None:
    """Print the model card of a version: what it is, what it is worth, what it is not for."""
    registry = wiring().registry
    found = registry.resolve(version)
    card = registry.card(found)
    result = {
        "version": found.version,
        "tags": dict(found.tags),
        "report": registry.report(found).to_dict(),
        "card": card,
    }
    console.emit(result, card.rstrip(), as_json)


app.add_typer(models_app, name="models")


def _interval(value: float, low: float, high: float) -> str:
    # Adding 0 turns the -0 of rounding into 0.
    return "{:.4f} ({:.4f} to {:.4f})".format(*(round(number, 4) + 0.0 for number in (value, low, high)))


def actor_of(given: str | None) -> str:
    """Who decides: as given, else the user running the command."""
    return given or getpass.getuser()


def _text(report: "EvaluationReport", attainable: "AttainableSkill | None" = None) -> str:
    """A report in words and two tables."""
    found = report.metrics
    lines = [
        f"target: {report.target}; rows: {report.split}; point in time: {report.point_in_time}",
        f"rung: {report.rung}, because {report.rung_reason}",
        *([f"trees: {report.tuning.reason}"] if report.tuning else []),
        f"skill: {'yes' if found.skill else 'no skill'}",
    ]
    rows: list[list[object]] = [
        ["leads", found.rows, found.rows],
        ["log loss", found.log_loss, found.log_loss_constant],
        ["difference, 95 %", _interval(found.log_loss_difference, *found.log_loss_difference_95), None],
        ["AUC", _interval(found.auc, *found.auc_95), 0.5],
        ["Brier", found.brier, found.brier_constant],
        ["mean probability", found.mean_probability, found.base_rate],
        ["observed rate", found.observed_rate, found.observed_rate],
        ["calibration slope", found.calibration_slope, None],
    ]
    tables = [console.table("Out of time, at creation", ["", "served", "constant"], rows)]
    if report.out_of_time_rungs:
        columns = ["rung", "rows", "log_loss", "auc", "brier"]
        rungs = [[getattr(rung, name) for name in columns] for rung in report.out_of_time_rungs]
        tables.append(console.table("Rolling origins", columns, rungs))
    lines += [f"left out: {excluded.leads:,} leads with {excluded.segment}" for excluded in report.excluded]
    lines += [f"suspect of leaking: {suspect.name} {suspect.evidence}" for suspect in report.leaks]
    if attainable is not None:
        lines.append(
            f"share of attainable log-loss skill (constant 0, true probabilities 1): "
            f"{attainable.share_of_attainable_skill:.3f} on the outcomes drawn, "
            f"{attainable.share_of_attainable_skill_expected:.3f} in expectation"
        )
    return "\n".join([*lines, *tables])
