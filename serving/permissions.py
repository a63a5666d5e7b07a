"""The permissions: the roles that may call each route of the API. This is the only table of them.

Routes check it by `serving.http.authentication.permitted`. A route that is missing here is open to `admin` only, and a
test fails until it is listed. `docs/operate.md` shows the same table.
"""

from collections.abc import Iterator, Mapping

from features.records import KINDS, Kind
from serving.identity import ROLES, Role

EVERYONE: tuple[Role, ...] | None = None
"""The route needs no key."""
ADMIN: tuple[Role, ...] = ()
"""No role but `admin`, which every list below includes."""
SCORING: tuple[Role, ...] = ("crm", "sales", "partner_manager", "scientist")
OWN_STAFF: tuple[Role, ...] = (*SCORING, "viewer")
ALL: tuple[Role, ...] = tuple(role for role in ROLES if role != "admin")
"""With partners: the route shows a partner its own data and answers 404 for other data."""

_OF_PARTNERS = ("referrals", "confirmations", "shared_customers", "agreements", "spend")
"""The kinds of records that partner managers may write."""

_OTHERS: Mapping[str, tuple[Role, ...] | None] = {
    "GET /healthz": EVERYONE,
    "GET /readyz": EVERYONE,
    "GET /metrics": EVERYONE,
    "POST /v1/score": SCORING,
    "POST /v1/score/batch": SCORING,
    "GET /v1/decisions/{decision_id}": ALL,
    "POST /v1/decisions/{decision_id}/replay": OWN_STAFF,
    "GET /v1/decisions/{decision_id}/proof": OWN_STAFF,
    "GET /v1/seals/head": OWN_STAFF,
    "POST /v1/leads": ("crm", "partner_manager", "partner"),
    "POST /v1/leads/{lead_id}/aliases": ("crm",),
    "GET /v1/leads/{lead_id}/aliases": OWN_STAFF,
    "GET /v1/leads/{lead_id}/score": OWN_STAFF,
    "GET /v1/leads/{lead_id}/scores": OWN_STAFF,
    "GET /v1/scores": ALL,
    "POST /v1/records": ("crm", "partner_manager"),
    "POST /v1/history": ADMIN,
    "GET /v1/runs": ("viewer",),
    "POST /v1/webhooks": ADMIN,
    "GET /v1/webhooks": ADMIN,
    "GET /v1/webhooks/{webhook_id}": ADMIN,
    "PATCH /v1/webhooks/{webhook_id}": ADMIN,
    "DELETE /v1/webhooks/{webhook_id}": ADMIN,
    "POST /v1/webhooks/{webhook_id}/rotate": ADMIN,
    "POST /v1/webhooks/{webhook_id}/test": ADMIN,
    "GET /v1/webhooks/{webhook_id}/deliveries": ADMIN,
    "POST /v1/webhooks/{webhook_id}/deliveries/{event_id}/replay": ADMIN,
    "POST /v1/webhooks/{webhook_id}/replay": ADMIN,
    "POST /v1/privacy/exports": ADMIN,
    "POST /v1/privacy/erasures": ADMIN,
    "POST /v1/keys": ADMIN,
    "GET /v1/keys": ADMIN,
    "GET /v1/keys/{key_id}": ADMIN,
    "DELETE /v1/keys/{key_id}": ADMIN,
}


def writers(kind: Kind) -> tuple[Role, ...]:
    """The roles, beside `admin`, that may write records of a kind."""
    return ("crm", "partner_manager") if kind.name in _OF_PARTNERS else ("crm",)


def _of_records() -> Iterator[tuple[str, tuple[Role, ...]]]:
    for kind in KINDS.values():
        record, records = f"/v1/{kind.name}/{{id}}", f"/v1/{kind.name}"
        yield from ((f"{method} {path}", OWN_STAFF) for method, path in (("GET", record), ("GET", records)))
        yield from ((f"{method} {path}", writers(kind)) for method, path in (("PUT", record), ("DELETE", record)))
        yield f"POST {records}", writers(kind)


PERMITTED: Mapping[str, tuple[Role, ...] | None] = {**dict(_of_records()), **_OTHERS}
"""The roles of each route by method and path, as OpenAPI writes them."""


def roles(route: str) -> tuple[Role, ...]:
    """The roles that may call a route, `admin` last."""
    return (*(PERMITTED.get(route) or ()), "admin")


def table() -> str:
    """The table in Markdown; the routes that all kinds of records share have one row."""
    lines = [f"| `{route}` | {_names(allowed)} |" for route, allowed in sorted(_OTHERS.items(), key=_by_path)]
    lines += [
        f"| `GET /v1/{{record}}`, `GET /v1/{{record}}/{{id}}` | {_names(OWN_STAFF)} |",
        f"| `POST /v1/{{record}}`, `PUT` and `DELETE /v1/{{record}}/{{id}}` | {_names(('crm',))}; of "
        f"{', '.join(_OF_PARTNERS)} also partner_manager |",
    ]
    return "\n".join(("| route | roles |", "|---|---|", *lines))


def _by_path(item: tuple[str, object]) -> tuple[str, str]:
    return item[0].split(" ")[1], item[0]


def _names(allowed: tuple[Role, ...] | None) -> str:
    return "everyone, without a key" if allowed is None else ", ".join((*allowed, "admin"))
