"""The challenger in shadow: begin, end, and compare its scores with the champion's."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from app import console
from app.commands.options import Actor, Json, Reason, UsageError, actor_or_user, wiring
from app.wiring import now
from features.catalogue import CATALOGUE
from models.bundle import read
from serving.champion import bundles
from serving.shadow import shadow_scores
from serving.store import database

if TYPE_CHECKING:
    from serving.shadow.comparison import Judgement

app = typer.Typer()


@app.command(epilog="Example: eql shadow 3")
def shadow(
    version: Annotated[str | None, typer.Argument(help="A version or alias; by default the challenger.")] = None,
    off: Annotated[bool, typer.Option("--off", help="End the shadow; its scores are kept.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Compare the scores in shadow with the champion's.")] = False,
    reason: Reason = "in shadow",
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Let a challenger score every decision of the service in shadow: its scores are kept, and no answer changes."""
    if off + report + (version is not None) > 1:
        raise UsageError("give only one of VERSION, --off and --report")
    if report:
        _report(as_json)
    elif off:
        with wiring().engine.begin() as connection:
            bundles.clear_alias(connection, bundles.CHALLENGER, actor=actor_or_user(actor), reason=reason, at=now())
        console.emit({"version": None}, "no challenger is in shadow", as_json)
    else:
        _begin(version or bundles.CHALLENGER, actor_or_user(actor), reason, as_json)


def _begin(version: str, actor: str, reason: str, as_json: bool) -> None:
    challenger = wiring().registry.resolve(version)
    bundle = wiring().registry.bundle(challenger)
    # A version that this software cannot serve is refused here, not by the service afterwards.
    bundle.catalogue(CATALOGUE)
    wiring().publish(bundle, challenger.version, actor, reason, bundles.CHALLENGER)
    result = {"version": challenger.version, "sha256": bundle.sha256}
    console.emit(
        result, f"version {challenger.version} scores in shadow; `eql shadow --report` compares the scores", as_json
    )


def _report(as_json: bool) -> None:
    from serving.shadow.comparison import compare, judge

    with database.reading(wiring().engine) as connection:
        challenger = bundles.current(connection, bundles.CHALLENGER)
        sha256 = challenger.sha256 if challenger else shadow_scores.newest(connection)
        if sha256 is None:
            raise ValueError("there are no scores in shadow; run `eql shadow VERSION` first")
        bundle = read(bundles.files(connection, sha256))
        comparison = asdict(compare(shadow_scores.pairs(connection, sha256), bundle))
        horizon = bundle.horizon_days
        matured = shadow_scores.matured(connection, sha256, horizon, now()) if horizon else ()
        judgement = judge(matured, horizon)
    rows = [[name.replace("_", " "), value] for name, value in comparison.items()]
    text = f"{console.table('In shadow', ['', sha256[:12]], rows)}\n{_outcomes(judgement)}"
    console.emit({"sha256": sha256, **comparison, "outcomes": asdict(judgement)}, text, as_json)


def _outcomes(judgement: "Judgement") -> str:
    from serving.shadow.comparison import MIN_OUTCOMES

    outcomes = f"{judgement.leads:,} leads are older than the horizon, {judgement.won:,} of them won"
    if judgement.champion is None:
        return f"{outcomes}: too few to compare; a comparison needs {MIN_OUTCOMES} won and {MIN_OUTCOMES} not won"
    return (
        f"{outcomes}: log loss {judgement.champion:.4f} of the champion, {judgement.challenger:.4f} of the challenger, "
        f"difference {judgement.difference:.4f} ({judgement.lower:.4f} to {judgement.upper:.4f})"
    )
