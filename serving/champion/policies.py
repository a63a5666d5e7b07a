"""The policies that decisions were made by, kept by their hash for as long as the decisions are."""

from pydantic import ValidationError
from sqlalchemy import Connection, select

from models.policy import Policy
from serving.champion.tables import policies as table
from serving.store.canonical_json import canonical
from serving.store.database import inserting


def keep(connection: Connection, policy: Policy, at: int) -> None:
    """Keeps a policy first used at `at` (microseconds), unless it is there already."""
    row = {
        "sha256": policy.sha256,
        "content": canonical(policy.model_dump(mode="json", by_alias=True)),
        "first_used_at": at,
    }
    connection.execute(inserting(connection, table).values(row).on_conflict_do_nothing())


def get(connection: Connection, sha256: str) -> Policy | None:
    """The policy of that hash; None where it is not kept, or what is kept is another."""
    content = connection.execute(select(table.c.content).where(table.c.sha256 == sha256)).scalar_one_or_none()
    if content is None:
        return None
    try:
        policy = Policy.model_validate_json(content)
    except ValidationError:
        return None
    return policy if policy.sha256 == sha256 else None
