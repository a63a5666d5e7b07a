"""Models: train, evaluate, promote, roll back, list."""

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.parquet as pq
import typer

from app import console
from app.commands.options import Json, wiring
from app.commands.scoring import rescore_open
from features.catalogue import CATALOGUE
from features.partner_history import HORIZON_DAYS
from features.values import microseconds

app = typer.Typer()
Actor = Annotated[str | None, typer.Option(help="Who decides; by default the user running the command.")]
Reason = Annotated[str, typer.Option(help="Why, for the history.")]


@app.command(epilog="Example: eql train")
def train(
    records: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder of records; by default the store's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every draw.")] = 0,
    horizon_days: Annotated[int, typer.Option(min=1, max=730, help="Days within which a close counts.")] = HORIZON_DAYS,
    allow_leak: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Train with an attribute that nearly decides.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train on the mature leads, register the version in MLflow and make it the challenger."""
    from training.trainer import train as run

    options: dict[str, Any] = {"seed": seed, "horizon_days": horizon_days, "allowed_leaks": allow_leak or []}
    if records is None:
        with wiring().records() as folder:
            trained = run(folder, CATALOGUE, console.progress, **options)
    else:
        trained = run(records, CATALOGUE, console.progress, **options)
    console.progress("registering in MLflow")
    registry = wiring().registry
    version = registry.resolve(registry.log(trained, {"seed": seed, "horizon_days": horizon_days}))
    registry.point("challenger", version, _actor(None), "trained", datetime.now(UTC))
    result = {"version": version.version, **trained.report}
    console.emit(result, f"version {version.version}\n{_text(trained.report)}", as_json)


@app.command(epilog="Example: eql evaluate --json")
def evaluate(
    version: Annotated[str | None, typer.Argument(help="A version or alias; the latest by default.")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="True probabilities of a simulated world (its truth/probabilities.parquet).")
    ] = None,
    as_json: Json = False,
) -> None:
    """What a version's served rung is worth on the out-of-time leads at creation, beside the constant."""
    from training import evaluation

    registry = wiring().registry
    found = registry.resolve(version)
    report = dict(registry.report(found))
    predictions = registry.predictions(found)
    report.update(evaluation.evaluate(predictions, report["rung"] != "base_rate", seed=0))
    if truth is not None:
        known = {
            (row["lead_id"], microseconds(row["as_of"])): row["probability"] for row in pq.read_table(truth).to_pylist()
        }
        keys = zip(predictions.lead_id.tolist(), predictions.as_of.tolist(), strict=True)
        try:
            true = np.array([known[key] for key in keys])
        except KeyError as missing:
            raise ValueError(f"{truth} has no true probability of {missing}; is it the truth of this world?") from None
        report["attainable"] = dict(evaluation.attainable(predictions, true))
    console.emit({"version": found.version, **report}, f"version {found.version}\n{_text(report)}", as_json)


@app.command(epilog='Example: eql promote 2 --reason "better out of time"')
def promote(
    version: Annotated[str | None, typer.Argument(help="A version or alias; the latest by default.")] = None,
    reason: Reason = "promoted",
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Make a version the champion: publish its bundle to the service and score the open leads with it."""
    registry = wiring().registry
    _point(registry.resolve(version), reason, _actor(actor), as_json)


@app.command(epilog='Example: eql rollback --reason "sales report odd scores"')
def rollback(reason: Reason = "rolled back", actor: Actor = None, as_json: Json = False) -> None:
    """Make the champion before this one the champion again."""
    registry = wiring().registry
    _point(registry.before("champion"), reason, _actor(actor), as_json)


def _point(version: Any, reason: str, actor: str, as_json: bool) -> None:
    registry = wiring().registry
    # The store first: should MLflow fail, the service and its history are still of one mind.
    wiring().publish(registry.bundle(version), version.version, actor, reason)
    change = registry.point("champion", version, actor, reason, datetime.now(UTC))
    scored = rescore_open(wiring())
    result = {**change.__dict__, "scored": scored}
    console.emit(result, f"champion is version {version.version}; {scored:,} open leads scored", as_json)


@app.command(epilog="Example: eql models")
def models(as_json: Json = False) -> None:
    """Every version with its aliases, and the history of the aliases."""
    registry = wiring().registry
    versions, history = registry.versions(), registry.history()
    rows = [
        [v.version, ", ".join(v.aliases), *(v.tags.get(name) for name in ("rung", "skill", "log_loss", "auc"))]
        for v in versions
    ]
    changes = [[c.at[:19], c.alias, c.previous, c.version, c.actor, c.reason] for c in history]
    text = "\n".join(
        (
            console.table("Versions", ["version", "aliases", "rung", "skill", "log loss", "AUC"], rows),
            console.table("History", ["at (UTC)", "alias", "from", "to", "actor", "reason"], changes),
        )
    )
    result = {
        "versions": [{**v.__dict__, "tags": dict(v.tags)} for v in versions],
        "history": [c.__dict__ for c in history],
    }
    console.emit(result, text, as_json)


def _interval(value: float, low: float, high: float) -> str:
    # Adding 0 turns the -0 of rounding into 0.
    return "{:.4f} ({:.4f} to {:.4f})".format(*(round(number, 4) + 0.0 for number in (value, low, high)))


def _actor(given: str | None) -> str:
    return given or getpass.getuser()


def _text(report: Any) -> str:
    """A report in words and two tables."""
    lines = [
        f"target: {report['target']}; rows: {report['split']}; point in time: {report['point_in_time']}",
        f"rung: {report['rung']}, because {report['rung_reason']}",
        f"skill: {'yes' if report['skill'] else 'no skill'}",
    ]
    low, high = report["log_loss_difference_95"]
    auc_low, auc_high = report["auc_95"]
    rows = [
        ["leads", report["rows"], report["rows"]],
        ["log loss", report["log_loss"], report["log_loss_constant"]],
        ["difference, 95 %", _interval(report["log_loss_difference"], low, high), None],
        ["AUC", _interval(report["auc"], auc_low, auc_high), 0.5],
        ["Brier", report["brier"], report["brier_constant"]],
        ["mean probability", report["mean_probability"], report["base_rate"]],
        ["observed rate", report["observed_rate"], report["observed_rate"]],
        ["calibration slope", report["calibration_slope"], None],
    ]
    tables = [console.table("Out of time, at creation", ["", "served", "constant"], rows)]
    if rungs := report["out_of_time_rungs"]:
        columns = ["rung", "rows", "log_loss", "auc", "brier"]
        tables.append(console.table("Rolling origins", columns, [[rung[name] for name in columns] for rung in rungs]))
    lines += [f"suspect of leaking: {suspect['name']} {suspect['evidence']}" for suspect in report["leaks"]]
    if attainable := report.get("attainable"):
        lines.append(
            f"share of attainable log-loss skill (constant 0, true probabilities 1): "
            f"{attainable['share_of_attainable_skill']:.3f} on the outcomes drawn, "
            f"{attainable['share_of_attainable_skill_expected']:.3f} in expectation"
        )
    return "\n".join([*lines, *tables])
