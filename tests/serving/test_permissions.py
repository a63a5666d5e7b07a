"""Every route of OpenAPI, called by every role, by two partners and by nobody, against `serving.permissions`."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from features.value_types import parse_instant
from serving import permissions
from serving.access import keys, sessions
from serving.app import create_app
from serving.decisions import current_scores, stored_decisions
from serving.decisions.current_scores import CurrentScore
from serving.decisions.stored_decisions import StoredDecision
from serving.identity import ROLES, Role
from serving.permissions import PERMITTED
from serving.store.canonical_json import canonical
from tests.serving.conftest import service_on

NOW = parse_instant("2026-11-20T00:00:00Z")
PARTNERS = ("P-1", "P-2")
OWN: Mapping[str, str] = {
    "GET /v1/decisions/{decision_id}": "/v1/decisions/D-{partner}",
}
"""For each route that partners may read, the address of a thing of one partner; a list has no `{partner}`."""
LISTED = {"GET /v1/scores"}
"""Lists: tests/serving/test_closed_leads.py shows them to two partners."""
SENT = {"POST /v1/leads"}
"""Routes by which partners send, whose bodies say what is theirs: test_api_leads tries them."""


def content(partner: str) -> dict[str, Any]:
    return {
        "decision_id": f"D-{partner}",
        "lead_id": f"L-{partner}",
        "as_of": "2026-11-19T00:00:00Z",
        "qualification": "MQL",
        "pending": True,
        "rules": [
            {"rule": "r", "gate": "icp", "outcome": "unknown", "reason": "told by P-9", "evidence": {"p": "P-9"}}
        ],
        "missing": ["Ask the partner to confirm fit"],
        "close_probability": {"value": 0.123456, "lower": 0.1, "upper": 0.2, "horizon_days": 90, "rung": "lightgbm"},
        "grade": "A",
        "expected_value": None,
        "explanation": None,
        "without_partner": None,
        "next_actions": ["Ask P-9 Ltd first"],
        "model": {"name": "eql", "version": "1", "sha256": "0" * 64},
        "policy": {"version": "1", "sha256": "0" * 64},
        "catalogue": {"sha256": "0" * 64},
        "partner_history": None,
        "created_at": "2026-11-19T00:00:00Z",
    }


@pytest.fixture
def app(store: Engine) -> FastAPI:
    """A service where each of two partners has a lead with a decision; another decision was sent along by a CRM."""
    with store.begin() as connection:
        for partner in PARTNERS:
            lead = content(partner)
            ids = (lead["decision_id"], lead["lead_id"])
            stored_decisions.add(
                connection,
                [
                    StoredDecision(
                        decision_id=ids[0],
                        lead_id=ids[1],
                        stored=True,
                        as_of=NOW,
                        created_at=NOW,
                        content=canonical(lead),
                        salt="s",
                    )
                ],
            )
            score = CurrentScore(
                lead_id=ids[1],
                decision_id=ids[0],
                qualification="MQL",
                pending=True,
                close_probability=0.123456,
                grade="A",
                expected_value_minor=None,
                expected_value_currency=None,
                source_partner_id=partner,
                scored_at=NOW,
            )
            current_scores.save(connection, [score])
        sent = StoredDecision(
            decision_id="D-sent",
            lead_id="L-P-1",
            stored=False,
            as_of=NOW,
            created_at=NOW,
            content=canonical(content("P-1")),
            request="{}",
            salt="s",
        )
        stored_decisions.add(connection, [sent])
    return create_app(service_on(store, lambda: NOW))


def key(store: Engine, role: str, partner: str | None = None) -> dict[str, str]:
    partner = partner or ("P-1" if role == "partner" else None)
    with store.begin() as connection:
        return {"X-Api-Key": keys.create(connection, role, partner, at=NOW, tokens=secrets.token_bytes)}


def session(store: Engine, role: str) -> dict[str, str]:
    partner = "P-1" if role == "partner" else None
    with store.begin() as connection:
        token = sessions.offer(connection, role, partner, expires_at=NOW + 9, tokens=secrets.token_bytes)
        opened = sessions.redeem(connection, token, at=NOW, expires_at=NOW + 9, tokens=secrets.token_bytes)
    return {"Cookie": f"eql_session={opened}"}


def routes(app: FastAPI) -> dict[str, str]:
    """Every route of OpenAPI with an address that leads to nothing."""
    found = {}
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            address = path
            for parameter in operation.get("parameters", ()):
                kind = parameter["schema"].get("type")
                address = address.replace(f"{{{parameter['name']}}}", "999" if kind == "integer" else "none")
            found[f"{method.upper()} {path}"] = address
    return found


def ask(app: FastAPI, calls: list[tuple[str, str, dict[str, str]]]) -> list[httpx.Response]:
    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://eql.test") as client:
            return [
                await client.request(method, path, content=b"{}", headers=headers) for method, path, headers in calls
            ]

    return anyio.run(run)


def test_every_route_says_who_may_call_it(app: FastAPI) -> None:
    unlisted, gone = routes(app).keys() - PERMITTED.keys(), PERMITTED.keys() - routes(app).keys()
    assert not unlisted, f"add a line for each to PERMITTED in serving/permissions.py: {sorted(unlisted)}"
    assert not gone, f"PERMITTED in serving/permissions.py lists routes that are gone: {sorted(gone)}"


def refused(route: str, role: Role | None) -> int | None:
    """The status by which a caller is refused; None where it may call."""
    if PERMITTED[route] is None:
        return None
    if role is None:
        return 401
    return None if role in permissions.roles(route) else 403


def test_every_route_takes_the_roles_listed_and_no_others(store: Engine, app: FastAPI) -> None:
    revoked = key(store, "admin")
    with store.begin() as connection:
        assert keys.revoke(connection, 1, at=NOW)
    nobody = [{}, revoked, {"X-Api-Key": "eql_live_"}, {"Cookie": "eql_session=none"}]
    callers: list[tuple[str, Role | None, bool, dict[str, str]]] = [("nobody", None, True, each) for each in nobody]
    callers += [(f"a key of {role}", role, True, key(store, role)) for role in ROLES]
    callers += [(f"a session of {role}", role, False, session(store, role)) for role in ROLES]
    asked = [(route, address, *caller) for route, address in routes(app).items() for caller in callers]
    answers = ask(app, [(route.split(" ")[0], address, headers) for route, address, *_, headers in asked])
    for (route, _, who, role, writes, _), answer in zip(asked, answers, strict=True):
        # A page's session is for reading; what another site makes a browser send must not change anything.
        acts = role if writes or route.startswith("GET ") else None
        told = answer.status_code if answer.status_code in (401, 403) else None
        assert told == refused(route, acts), f"{route} by {who}: {answer.status_code}"
        assert answer.status_code < 500, f"{route} by {who}: {answer.status_code}"


def test_what_partners_may_call_is_tried_with_two_of_them() -> None:
    theirs = {route for route, who in PERMITTED.items() if who and "partner" in who}
    assert theirs == OWN.keys() | SENT | LISTED, (
        "add to OWN in this file the address of a thing of a partner for each of the others"
    )


@pytest.mark.both_databases
@pytest.mark.parametrize("route", OWN)
@pytest.mark.parametrize(("me", "other"), [PARTNERS, PARTNERS[::-1]])
def test_a_partner_finds_its_own_and_of_others_not_even_that_they_are_there(
    store: Engine, app: FastAPI, route: str, me: str, other: str
) -> None:
    method, headers = route.split(" ")[0], key(store, "partner", me)
    addresses = [OWN[route].format(partner=partner) for partner in (me, other, "none")]
    mine, theirs, unknown = ask(app, [(method, address, headers) for address in addresses])
    assert mine.status_code in {200, 201, 204}
    assert other not in mine.text
    assert "P-9" not in mine.text
    if "{partner}" in OWN[route]:
        assert (theirs.status_code, theirs.content) == (unknown.status_code, unknown.content)
        assert theirs.status_code == 404


def test_of_a_decision_a_partner_sees_how_its_lead_stands_and_nothing_of_the_model(store: Engine, app: FastAPI) -> None:
    paths = ("/v1/decisions/D-P-1", "/v1/decisions/D-sent")
    mine, sent = ask(app, [("GET", path, key(store, "partner", "P-1")) for path in paths])
    assert mine.json() == {
        "decision_id": "D-P-1",
        "lead_id": "L-P-1",
        "as_of": "2026-11-19T00:00:00Z",
        "qualification": "MQL",
        "pending": True,
        "missing": ["Ask the partner to confirm fit"],
        "created_at": "2026-11-19T00:00:00Z",
    }
    assert sent.status_code == 404


def test_the_documentation_has_the_same_table() -> None:
    text = Path("docs/operate.md").read_text()
    assert permissions.table() in text, f"docs/operate.md must have this table:\n{permissions.table()}"
