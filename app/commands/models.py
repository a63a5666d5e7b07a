"""Models: train, evaluate, promote, roll back."""

from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app import console
from app.commands.evaluation_text import evaluation_text
from app.commands.options import (
    Actor,
    Exclude,
    HorizonDays,
    Json,
    Reason,
    RecordsOption,
    UsageError,
    actor_or_user,
    wiring,
)
from app.commands.scoring import rescore_promoted
from app.wiring import now
from features.catalogue import CATALOGUE
from features.partner_history import HORIZON_DAYS
from serving.champion.watcher import ModelWatcher

if TYPE_CHECKING:
    from training.promotion.challenger import TrainedVersion, TrainingOptions
    from training.promotion.promotion import ComparedVersion, PromotionDecision
    from training.promotion.versions import Version

app = typer.Typer()
VersionArgument = Annotated[str | None, typer.Argument(help="A version or alias; by default the latest version.")]


@app.command(epilog="Example: eql train")
def train(
    records: RecordsOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    horizon_days: HorizonDays = HORIZON_DAYS,
    allow_leak: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Train with this attribute although it may be a leak; may be repeated."),
    ] = None,
    as_json: Json = False,
    leads_a_week: Annotated[
        int | None, typer.Option(min=1, help="Leads that sales can work in a week, for lift; by default 20.")
    ] = None,
    exclude: Exclude = None,
    tune_minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1, help="Minutes to search for better settings of the trees; a later run continues the search."
        ),
    ] = None,
) -> None:
    """Train on the mature leads, register the version in MLflow and make it the challenger."""
    from training.data.segments import Segment
    from training.evaluation.lift import LEADS_A_WEEK
    from training.fitting.tuning import Search
    from training.promotion.challenger import TrainingOptions

    options = TrainingOptions(
        seed=seed,
        horizon_days=horizon_days,
        allowed_leaks=allow_leak or (),
        excluded=[Segment.parse(text) for text in exclude or ()],
        leads_a_week=leads_a_week or LEADS_A_WEEK,
        search=Search(tune_minutes, wiring().settings.home / "tuning.db") if tune_minutes else None,
    )
    trained = train_challenger(records, options)
    console.emit(trained.to_dict(), f"version {trained.version}\n{evaluation_text(trained.report)}", as_json)


def train_challenger(
    records: Path | None = None, options: "TrainingOptions | None" = None, reason: str = "trained"
) -> "TrainedVersion":
    """Trains a challenger on a folder of records, by default the records of the store."""
    from training.promotion import challenger

    with nullcontext(records) if records else wiring().records() as folder:
        return challenger.train_challenger(
            wiring().registry,
            folder,
            CATALOGUE,
            options or challenger.TrainingOptions(),
            console.progress,
            actor=actor_or_user(None),
            reason=reason,
            clock=_utc_now,
        )


def _utc_now() -> datetime:
    return datetime.now(UTC)


@app.command(epilog="Example: eql evaluate --json")
def evaluate(
    version: VersionArgument = None,
    truth: Annotated[
        Path | None, typer.Option(help="True probabilities of a simulated world: its truth/probabilities.parquet.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare a version with the constant on the out-of-time leads, at creation."""
    from training.evaluation import metrics
    from training.evaluation.truth import true_probabilities

    registry = wiring().registry
    evaluated = registry.resolve(version)
    report, predictions = registry.report(evaluated), registry.predictions(evaluated)
    report = report.with_metrics(metrics.evaluate(predictions, report.rung != "base_rate", seed=0))
    result = {"version": evaluated.version, **report.to_dict()}
    attainable = None
    if truth is not None:
        attainable = metrics.attainable_skill(predictions, true_probabilities(truth, predictions))
        result["attainable"] = attainable.to_dict()
    console.emit(result, f"version {evaluated.version}\n{evaluation_text(report, attainable)}", as_json)


@app.command(epilog='Example: eql promote 2 --reason "better out of time"')
def promote(
    version: VersionArgument = None,
    reason: Annotated[str | None, typer.Option(help="Reason for the history; required with --force.")] = None,
    actor: Actor = None,
    as_json: Json = False,
    force: Annotated[bool, typer.Option("--force", help="Promote the version although it is refused.")] = False,
) -> None:
    """Make a version the champion if it is better: publish its bundle and score the open leads with it.

    The comparison uses test leads that the champion was not trained on.
    The version must also pass the guard-rails.
    The registry keeps the decision and its reasons.
    """
    from training.promotion.promotion import PromotionRefused

    if force and not reason:
        raise UsageError("--force needs --reason, for the history")
    registry = wiring().registry
    candidate = registry.resolve(version)
    decision = _decide_promotion(candidate)
    registry.log_decision(candidate, decision, actor_or_user(actor), _utc_now())
    for check in decision.checks:
        if not check.passed:
            console.progress(f"{check.name.replace('_', ' ')}: {check.words}")
    if not decision.promote and not force:
        raise PromotionRefused(
            f"version {candidate.version} is not promoted: {decision.words}; "
            f"to override, run `eql promote {candidate.version} --force --reason REASON`"
        )
    judgement = decision.words if decision.promote else f"forced although refused: {decision.words}"
    _make_champion(candidate, reason or "promoted", actor_or_user(actor), as_json, judgement)


def _decide_promotion(candidate: "Version") -> "PromotionDecision":
    from training.promotion import promotion

    registry = wiring().registry
    challenger = registry.compared_version(candidate)
    # A version that this software cannot serve is refused here, not by the service afterwards.
    catalogue = challenger.bundle.catalogue(CATALOGUE)
    return promotion.decide(challenger, _served_version(), registry.window(candidate), catalogue)


def _served_version() -> "ComparedVersion | None":
    """The served champion as the registry holds it; None if no model serves or the registry lacks it."""
    # A watcher of its own: the service's watcher may answer from a read that is up to a second old.
    champion = ModelWatcher(wiring().engine, CATALOGUE, wiring().policy, now)
    served = champion.scorer().served
    if served is None:
        console.progress(champion.error or "no model serves yet")
        return None
    registered = version_of_bundle(served.bundle.sha256)
    if registered is None:
        console.progress(f"no comparison: version {served.version}, which serves, is not in this registry")
        return None
    return wiring().registry.compared_version(registered)


def version_of_bundle(sha256: str) -> "Version | None":
    """The version with the bundle of this hash; None if the registry has none."""
    # Several versions may have the same bundle; the store knows it by the number of the first one.
    same = [v for v in wiring().registry.versions() if v.tags.get("sha256") == sha256]
    return next((v for v in same if "champion" in v.aliases), same[0] if same else None)


@app.command(epilog='Example: eql rollback --reason "sales report odd scores"')
def rollback(reason: Reason = "rolled back", actor: Actor = None, as_json: Json = False) -> None:
    """Make the previous champion the champion again."""
    _make_champion(wiring().registry.previous_version("champion"), reason, actor_or_user(actor), as_json)


def _make_champion(version: "Version", reason: str, actor: str, as_json: bool, judgement: str = "") -> None:
    registry = wiring().registry
    # The store comes first: if MLflow then fails, the service and its history still agree.
    wiring().publish(registry.bundle(version), version.version, actor, reason)
    change = registry.set_alias("champion", version, actor, reason, _utc_now(), judgement)
    scored, left = rescore_promoted(wiring())
    text = f"champion is version {version.version}; {scored:,} leads scored"
    text += f", {left:,} are left to the workers" if left else ""
    console.emit({**change.__dict__, "scored": scored, "left": left}, f"{text}\n{judgement}".rstrip(), as_json)
