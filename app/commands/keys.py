"""API keys: create, list, revoke."""

from typing import Annotated

import typer

from app import console
from app.commands.options import Json, check_role_option, wiring
from app.wiring import now
from features.value_types import rfc3339
from serving.access import keys
from serving.identity import Role
from serving.store import database

app = typer.Typer(
    no_args_is_help=True, help="Create, list and revoke API keys.", epilog="Example: eql keys create --role crm"
)


@app.command("create", epilog="Example: eql keys create --role crm")
def create_key(
    role: Annotated[Role, typer.Option(help="Role, which decides what the caller may do.")],
    partner: Annotated[
        str | None, typer.Option(metavar="ID", help="Partner whose records the caller sees; for the role partner.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a new API key. The key works at once, and is never shown again."""
    check_role_option(role, partner)
    parts = wiring()
    with parts.engine.begin() as connection:
        key = keys.create(connection, role, partner, at=now(), tokens=parts.tokens)
    console.emit({"key": key, "role": role}, key, as_json)


@app.command("list", epilog="Example: eql keys list")
def list_keys(as_json: Json = False) -> None:
    """List the API keys: id, prefix, role, partner, and the times of creation and revocation."""
    with database.reading(wiring().engine) as connection:
        api_keys = keys.listed(connection)
    columns = ["id", "prefix", "role", "partner", "created", "revoked"]
    rows = [
        [str(k.id), k.prefix, k.role, k.partner_id, rfc3339(k.created_at), k.revoked_at and rfc3339(k.revoked_at)]
        for k in api_keys
    ]
    result = [dict(zip(columns, row, strict=True)) for row in rows]
    console.emit(result, console.table("API keys", columns, rows), as_json)


@app.command("revoke", epilog="Example: eql keys revoke 3")
def revoke_key(key_id: Annotated[int, typer.Argument(metavar="ID")], as_json: Json = False) -> None:
    """Revoke an API key. The key stops working at once."""
    with wiring().engine.begin() as connection:
        revoked = keys.revoke(connection, key_id, at=now())
    if not revoked:
        raise ValueError(f"there is no active key {key_id}; run `eql keys list` to see the keys")
    console.emit({"revoked": key_id}, f"key {key_id} is revoked", as_json)
