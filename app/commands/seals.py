"""The sealed chain of decisions: print its head, verify it, and replay stored decisions."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from app import console
from app.commands.options import Json, wiring
from app.wiring import Wiring, now
from serving.champion import audit as champion_audit
from serving.decisions import audit, seals
from serving.replay.replay import replay_all
from serving.replay.requests import Origin
from serving.store import database

app = typer.Typer(
    no_args_is_help=True,
    help="Seal decisions, and verify the sealed chain.",
    epilog="Example: eql seals verify --head head.json",
)
decisions_app = typer.Typer(
    no_args_is_help=True, help="Replay stored decisions.", epilog="Example: eql decisions replay --from facts"
)
_MAX_NAMED = 3


class Altered(ValueError):
    """Stored decisions differ from their seals, or from their replay."""


@app.command("head", epilog="Example: eql seals head > head.json")
def head() -> None:
    """Seal the decisions not sealed yet and print the last seal as JSON; store it where this machine cannot write."""
    parts, last = wiring(), None
    while sealed := _seal(parts):
        last = sealed
    with database.reading(parts.engine) as connection:
        last = last or seals.newest(connection)
    if last is None:
        raise ValueError("there is no decision to seal yet; score a lead first")
    typer.echo(json.dumps(asdict(last)))


def _seal(parts: Wiring) -> seals.Seal | None:
    with parts.engine.begin() as connection:
        return seals.seal(connection, now())


@app.command("verify", epilog="Example: eql seals verify --head head.json")
def verify(
    head_file: Annotated[
        Path | None, typer.Option("--head", help="A file with the output of `eql seals head`.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Hash every decision, seal, policy and model bundle again; exit code 1 if anything differs from its hash."""
    expected = None if head_file is None else _head_of(head_file)
    with database.reading(wiring().engine) as connection:
        verdict = audit.verify(connection, expected)
        verdict = replace(verdict, error=verdict.error or champion_audit.error(connection))
    counts = f"{verdict.decisions:,} decisions in {verdict.seals:,} seals, {verdict.erased:,} of them erased"
    console.emit(verdict.to_dict(), f"{counts}; {verdict.unsealed:,} are not sealed yet; head {verdict.head}", as_json)
    if verdict.error is not None:
        raise Altered(f"{verdict.error}; the checks before it found nothing; compare the store with a backup")


def _head_of(file: Path) -> str:
    try:
        head = json.loads(file.read_text("utf-8"))["head"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"{file} holds no head of the chain; give a file with the output of `eql seals head`"
        ) from None
    return str(head)


@decisions_app.command("replay", epilog="Example: eql decisions replay --from facts")
def replay(
    origin: Annotated[Origin, typer.Option("--from", help="The input of the replay.")] = "facts",
    as_json: Json = False,
) -> None:
    """Make every decision that is not erased again and compare it; exit code 1 if a decision differs."""
    scoring = wiring().service.scoring
    equal, unavailable, different = 0, 0, []
    for done, (decision_id, outcome) in enumerate(replay_all(scoring.store.engine, scoring.scorers, origin), start=1):
        equal += outcome is not None and outcome.equal
        unavailable += outcome is None
        if outcome is not None and not outcome.equal:
            different.append(decision_id)
        console.count("decisions replayed", done)
    result = {"from": origin, "equal": equal, "different": different, "unavailable": unavailable}
    text = f"replayed from their {origin}: {equal:,} decisions are equal, {len(different):,} differ"
    console.emit(result, f"{text}, {unavailable:,} cannot be replayed", as_json)
    if different:
        raise Altered(
            f"{len(different):,} decisions differ from their replay, such as {', '.join(different[:_MAX_NAMED])}; "
            "run `eql seals verify` to check them against their seals"
        )
