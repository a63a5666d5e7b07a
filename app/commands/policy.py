"""Policies: check a file, print the default policy and the schema of policy files."""

import json
from pathlib import Path
from typing import Annotated

import typer

from app import console
from app.commands.options import Json
from features.catalogue import CATALOGUE
from models.policy import DEFAULT_POLICY, Policy, load

app = typer.Typer(
    no_args_is_help=True,
    help="Check policies, and print the default policy and the schema.",
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


@app.command("show", epilog="Example: eql policy show > my_policy.yaml")
def show_policy() -> None:
    """Print the default policy, as a file to copy and change."""
    typer.echo(DEFAULT_POLICY.read_text("utf-8"), nl=False)


@app.command("schema", epilog="Example: eql policy schema > policy.schema.json")
def policy_schema() -> None:
    """Print the JSON schema of a policy file."""
    typer.echo(json.dumps(Policy.model_json_schema(), indent=1))
