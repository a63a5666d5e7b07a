"""Policies: check a file, try it on recent leads, print the default policy and the schema of policy files."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app import console
from app.commands.options import Json, wiring
from app.wiring import now
from features.catalogue import CATALOGUE
from models.policy import DEFAULT_POLICY, Policy, load

if TYPE_CHECKING:
    from serving.replay.policy_dry_run import DryRun

_SHOWN = 20
app = typer.Typer(
    no_args_is_help=True,
    help="Check and try policies, and print the default policy and the schema.",
    epilog="Example: eql policy check my_policy.yaml",
)


@app.command("check", epilog="Example: eql policy check my_policy.yaml")
def check_policy(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A policy file, YAML.")], as_json: Json = False
) -> None:
    """Check a policy file against the schema of policies and the feature catalogue."""
    policy = load(file, CATALOGUE)
    result = {"version": policy.version, "rules": len(policy.rules), "sha256": policy.sha256}
    console.emit(result, f"{file}: version {policy.version}, {len(policy.rules)} rules, valid", as_json)


@app.command("dry-run", epilog="Example: eql policy dry-run my_policy.yaml --days 90")
def dry_run_policy(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A policy file, YAML.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days back in which a lead was decided on.")] = 90,
    as_json: Json = False,
) -> None:
    """Say how a policy would qualify the leads of the last days, beside how they were qualified; nothing is stored."""
    from features.value_types import DAY
    from serving.replay.policy_dry_run import dry_run
    from serving.store import database

    draft = load(file, CATALOGUE)
    with database.reading(wiring().engine) as connection:
        result = dry_run(connection, draft, now() - days * DAY)
    console.emit(result.to_dict(), _dry_run_text(result, days), as_json)


def _dry_run_text(result: "DryRun", days: int) -> str:
    skipped = f"; {result.skipped:,} older decisions keep too little" if result.skipped else ""
    leads = "1 lead" if result.leads == 1 else f"{result.leads:,} leads"
    lines = [f"{leads} decided on in the last {days} days; changed: {len(result.changes):,}{skipped}"]
    if result.standings:
        rows = [[before, after, count] for (before, after), count in sorted(result.standings.items())]
        lines.append(console.table("Leads", ["before", "after", "leads"], rows))
    if result.changes:
        shown = [[c.lead_id, c.before, c.after, ", ".join(c.rules)] for c in result.changes[:_SHOWN]]
        title = f"Changes (the first {_SHOWN}; --json has all)" if len(result.changes) > _SHOWN else "Changes"
        lines.append(console.table(title, ["lead", "before", "after", "rules that differ"], shown))
    return "\n".join(lines)


@app.command("show", epilog="Example: eql policy show > my_policy.yaml")
def show_policy() -> None:
    """Print the default policy, as a file to copy and change."""
    typer.echo(DEFAULT_POLICY.read_text("utf-8"), nl=False)


@app.command("schema", epilog="Example: eql policy schema > policy.schema.json")
def policy_schema() -> None:
    """Print the JSON schema of a policy file."""
    typer.echo(json.dumps(Policy.model_json_schema(), indent=1))
