"""The sealed chain of decisions: its head to keep elsewhere, verifying it, and making decisions again."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app import console
from app.commands.options import Json, wiring
from app.wiring import Wiring, now
from serving.decisions import audit, seals
from serving.replay.replay import replay_all
from serving.replay.requests import Origin
from serving.store import database

seals_app = typer.Typer(
    no_args_is_help=True, help="The sealed chain of decisions.", epilog="Example: eql seals verify --head head.json"
)
decisions_app = typer.Typer(
    no_args_is_help=True, help="Decisions that were kept.", epilog="Example: eql decisions replay --from facts"
)
_NAMED = 3


class Altered(ValueError):
    """Decisions are not what was sealed, or do not come out as they are kept."""


@seals_app.command("head", epilog="Example: eql seals head > head.json")
def head() -> None:
    """Seal what is not sealed yet and print the last seal as JSON; keep it where nobody of this machine can write."""
    parts, last = wiring(), None
    while made := _seal(parts):
        last = made
    with database.reading(parts.engine) as connection:
        last = last or seals.newest(connection)
    if last is None:
        raise ValueError("there is no decision to seal yet; score a lead first")
    typer.echo(json.dumps(asdict(last)))


def _seal(parts: Wiring) -> seals.Seal | None:
    with parts.engine.begin() as connection:
        return seals.seal(connection, now())


@seals_app.command("verify", epilog="Example: eql seals verify --head head.json")
def verify(
    head_file: Annotated[Path | None, typer.Option("--head", help="A file that `eql seals head` wrote.")] = None,
    as_json: Json = False,
) -> None:
    """Hash every decision and every seal anew; ends with 1 where anything is not what was sealed."""
    expected = None if head_file is None else _head_of(head_file)
    with database.reading(wiring().engine) as connection:
        verdict = audit.verify(connection, expected)
    found = f"{verdict.decisions:,} decisions in {verdict.seals:,} seals, {verdict.erased:,} of them erased"
    console.emit(verdict.to_dict(), f"{found}; {verdict.unsealed:,} wait to be sealed; head {verdict.head}", as_json)
    if verdict.error is not None:
        raise Altered(f"{verdict.error}; everything before it is as sealed: compare with a backup")


def _head_of(file: Path) -> str:
    try:
        head = json.loads(file.read_text("utf-8"))["head"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{file} holds no head of the chain; give a file that `eql seals head` wrote") from None
    return str(head)


@decisions_app.command("replay", epilog="Example: eql decisions replay --from facts")
def replay_kept(
    origin: Annotated[Origin, typer.Option("--from", help="What to make them from again.")] = "facts",
    as_json: Json = False,
) -> None:
    """Make every decision that was not erased again, and compare; ends with 1 where one comes out otherwise."""
    scoring = wiring().service.scoring
    equal, unavailable, different = 0, 0, []
    for done, (decision_id, found) in enumerate(replay_all(scoring.store.engine, scoring.scorers, origin), start=1):
        equal += found is not None and found.equal
        unavailable += found is None
        if found is not None and not found.equal:
            different.append(decision_id)
        console.counted("decisions made again", done)
    result = {"from": origin, "equal": equal, "different": different, "unavailable": unavailable}
    text = f"{equal:,} decisions come out equal from their {origin}, {len(different):,} do not"
    console.emit(result, f"{text}, {unavailable:,} cannot be made again", as_json)
    if different:
        raise Altered(f"these do not come out as kept: {', '.join(different[:_NAMED])}; `eql seals verify` says more")
