"""Which roles may call which route of the API: the one place that says so.

A route asks through `serving.api.callers.permitted`; one that is not listed here is open to `admin` only, and a test
fails until it is listed. `docs/operate.md` shows the same table.
"""

from collections.abc import Mapping

from serving.access import ROLES, Role

EVERYONE: tuple[Role, ...] | None = None
"""No key is asked for."""
ADMIN: tuple[Role, ...] = ()
"""No role but `admin`, which every list below includes."""
SCORING: tuple[Role, ...] = ("crm", "sales", "partner_manager", "scientist")
OWN_STAFF: tuple[Role, ...] = (*SCORING, "viewer")
ALL: tuple[Role, ...] = tuple(role for role in ROLES if role != "admin")
"""Partners too: the route shows them their own and answers 404 for the rest."""

PERMITTED: Mapping[str, tuple[Role, ...] | None] = {
    "GET /healthz": EVERYONE,
    "GET /readyz": EVERYONE,
    "POST /v1/score": SCORING,
    "POST /v1/score/batch": SCORING,
    "GET /v1/decisions/{decision_id}": ALL,
    "POST /v1/keys": ADMIN,
    "GET /v1/keys": ADMIN,
    "GET /v1/keys/{key_id}": ADMIN,
    "DELETE /v1/keys/{key_id}": ADMIN,
}
"""By method and path, as OpenAPI has them."""


def roles(route: str) -> tuple[Role, ...]:
    """The roles that a route which asks for a key takes, `admin` last."""
    return (*(PERMITTED.get(route) or ()), "admin")


def table() -> str:
    """The table in Markdown."""
    told = {route: "everyone, without a key" if who is None else ", ".join(roles(route)) for route, who in _SORTED}
    return "\n".join(("| route | roles |", "|---|---|", *(f"| `{route}` | {who} |" for route, who in told.items())))


_SORTED = sorted(PERMITTED.items(), key=lambda item: (item[0].split(" ")[1], item[0]))
