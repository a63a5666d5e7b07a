"""The registered versions: list them, show one."""

from typing import Annotated

import typer

from app import console
from app.commands.options import Json, wiring

app = typer.Typer()
VersionArgument = Annotated[str | None, typer.Argument(help="A version or alias; by default the latest version.")]


@app.callback(invoke_without_command=True, epilog="Example: eql models")
def models(context: typer.Context, as_json: Json = False) -> None:
    """List every version with its aliases, and the history of the aliases; `show` prints the card of one version."""
    if context.invoked_subcommand is not None:
        return
    listing = wiring().listing
    rows = [
        [
            v.version,
            ", ".join(v.aliases),
            v.tags.get("rung"),
            v.tags.get("skill"),
            _number(v.tags.get("log_loss")),
            _number(v.tags.get("auc")),
        ]
        for v in listing.versions
    ]
    changes = [[c.at[:19], c.alias, c.previous, c.version, c.actor, c.reason, c.decision] for c in listing.history]
    columns = ["at (UTC)", "alias", "from", "to", "actor", "reason", "decision"]
    text = "\n".join(
        (
            console.table("Versions", ["version", "aliases", "rung", "skill", "log loss", "AUC"], rows),
            console.table("History", columns, changes),
        )
    )
    result = {
        "versions": [{**v.__dict__, "tags": dict(v.tags)} for v in listing.versions],
        "history": [c.__dict__ for c in listing.history],
    }
    console.emit(result, text, as_json)


def _number(tag: str | None) -> float | None:
    return None if tag is None else float(tag)


@app.command(epilog="Example: eql models show champion")
def show(
    version: VersionArgument = None,
    as_json: Json = False,
) -> None:
    """Print the model card of a version: its training, its metrics, and its limits."""
    registry = wiring().registry
    shown = registry.resolve(version)
    card = registry.card(shown)
    result = {
        "version": shown.version,
        "tags": dict(shown.tags),
        "report": registry.report(shown).to_dict(),
        "card": card,
    }
    console.emit(result, card.rstrip(), as_json)
