"""The challenger in shadow: begin, end, and what it says beside the champion."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from app import console
from app.commands.models import Actor, Reason, actor_of
from app.commands.options import Json, UsageError, wiring
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
    version: Annotated[str | None, typer.Argument(help="A version or alias; the challenger by default.")] = None,
    off: Annotated[bool, typer.Option("--off", help="End it; what was scored is kept.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Compare it with the champion.")] = False,
    reason: Reason = "in shadow",
    actor: Actor = None,
    as_json: Json = False,
) -> None:
    """Let a challenger score what the service decides, in shadow: no answer changes, its scores are kept."""
    if off + report + (version is not None) > 1:
        raise UsageError("give a version, --off or --report, one of them")
    if report:
        _report(as_json)
    elif off:
        with wiring().engine.begin() as connection:
            bundles.clear_alias(connection, bundles.CHALLENGER, actor=actor_of(actor), reason=reason, at=now())
        console.emit({"version": None}, "no challenger is in shadow", as_json)
    else:
        _begin(version or bundles.CHALLENGER, actor_of(actor), reason, as_json)


def _begin(version: str, actor: str, reason: str, as_json: bool) -> None:
    found = wiring().registry.resolve(version)
    bundle = wiring().registry.bundle(found)
    # A version that this software cannot serve is refused here, not by the service afterwards.
    bundle.catalogue(CATALOGUE)
    wiring().publish(bundle, found.version, actor, reason, bundles.CHALLENGER)
    result = {"version": found.version, "sha256": bundle.sha256}
    console.emit(result, f"version {found.version} scores in shadow; `eql shadow --report` compares it", as_json)


def _report(as_json: bool) -> None:
    from serving.shadow.comparison import compare, judge

    with database.reading(wiring().engine) as connection:
        challenger = bundles.current(connection, bundles.CHALLENGER)
        sha256 = challenger.sha256 if challenger else shadow_scores.newest(connection)
        if sha256 is None:
            raise ValueError("nothing was scored in shadow; `eql shadow VERSION` begins it")
        bundle = read(bundles.files(connection, sha256))
        found = asdict(compare(shadow_scores.pairs(connection, sha256), bundle))
        horizon = bundle.horizon_days
        matured = shadow_scores.matured(connection, sha256, horizon, now()) if horizon else ()
        judged = judge(matured, horizon)
    rows = [[name.replace("_", " "), value] for name, value in found.items()]
    text = f"{console.table('In shadow', ['', sha256[:12]], rows)}\n{_outcomes(judged)}"
    console.emit({"sha256": sha256, **found, "outcomes": asdict(judged)}, text, as_json)


def _outcomes(judged: "Judgement") -> str:
    from serving.shadow.comparison import MIN_OUTCOMES

    known = f"{judged.leads:,} leads are old enough for their outcome to be known, {judged.won:,} of them won"
    if judged.champion is None:
        return f"{known}: too few to compare, it takes {MIN_OUTCOMES} won and as many not won"
    return (
        f"{known}: log loss {judged.champion:.4f} of the champion, {judged.challenger:.4f} of the challenger, "
        f"difference {judged.difference:.4f} ({judged.lower:.4f} to {judged.upper:.4f})"
    )
