from dataclasses import replace
from http.cookies import SimpleCookie
from typing import Any

import pytest

from features.value_types import DAY

PAGES = ("/", "/?view=mql", "/leads/L-1", "/leads/unknown")


@pytest.mark.parametrize("path", PAGES)
def test_without_a_session_a_page_says_how_to_sign_in_and_shows_nothing(site: Any, path: str) -> None:
    site.decide("L-1")
    for headers in ({}, {"Cookie": "eql_session=unknown"}, {"Cookie": "eql_session="}):
        answer = site.ask("GET", path, headers)
        assert answer.status_code == 401
        assert "<code>eql sign-in</code>" in answer.text
        assert "L-1" not in answer.text


def test_a_session_ends(site: Any) -> None:
    cookie, later = site.cookie(), site.service.clock() + DAY
    site.service = replace(site.service, clock=lambda: later)
    assert site.ask("GET", "/", {"Cookie": cookie}).status_code == 401


@pytest.mark.both_databases
def test_a_sign_in_link_opens_a_session_once(site: Any) -> None:
    link = site.link()
    answer = site.redeem(link)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    name, value = answer.headers["set-cookie"].split(";")[0].split("=")
    assert name == "eql_session"
    assert site.ask("GET", "/", {"Cookie": f"{name}={value}"}).status_code == 200
    again = site.redeem(link)
    assert again.status_code == 401
    assert "set-cookie" not in again.headers
    assert link.partition("token=")[2] not in again.text


@pytest.mark.both_databases
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_preview_of_a_sign_in_link_uses_nothing_up(site: Any, reader: Any, method: str) -> None:
    link = site.link()
    for _ in range(3):
        preview = site.ask(method, link)
        assert "set-cookie" not in preview.headers
    if method == "GET":
        assert reader(preview.text).attributes("form", "method") == ["post"]
        assert reader(preview.text).attributes("input", "value") == [link.partition("token=")[2]]
    assert site.redeem(link).status_code == 303


@pytest.mark.both_databases
def test_signing_in_ends_the_session_that_this_browser_held(site: Any) -> None:
    before = {"Cookie": site.cookie()}
    assert site.redeem("?token=unknown", before).status_code == 401
    assert site.ask("GET", "/", before).status_code == 200
    assert site.redeem(site.link(), before).status_code == 303
    assert site.ask("GET", "/", before).status_code == 401


def test_another_site_cannot_sign_a_visitor_in(site: Any) -> None:
    link, before = site.link(), {"Cookie": site.cookie()}
    answer = site.redeem(link, before | {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.test"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert site.ask("GET", "/", before).status_code == 200
    assert site.redeem(link).status_code == 303


@pytest.mark.parametrize("token", ["", "unknown", "\x00💩", "a" * 5000])
def test_a_link_that_is_none_is_refused_as_a_page(site: Any, token: str) -> None:
    answer = site.ask("POST", "/sign-in", form={"token": token})
    assert answer.status_code == 401
    assert "This link does not work" in answer.text


@pytest.mark.parametrize("path", ["/sign-in", "/sign-in?token="])
def test_a_link_without_a_token_is_refused_as_a_page(site: Any, path: str) -> None:
    answer = site.ask("GET", path)
    assert answer.status_code == 401
    assert "This link does not work" in answer.text


@pytest.mark.parametrize(("scheme", "name"), [("http", "eql_session"), ("https", "__Host-eql_session")])
def test_the_session_cookie_is_kept_from_scripts_and_other_sites(site: Any, scheme: str, name: str) -> None:
    site.scheme = scheme
    [cookie] = SimpleCookie(site.redeem(site.link()).headers["set-cookie"]).values()
    assert cookie.key == name
    assert (cookie["httponly"], cookie["samesite"].lower(), cookie["path"], cookie["domain"]) == (True, "lax", "/", "")
    assert bool(cookie["secure"]) == (scheme == "https")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Origin": "http://eql.test"},
        {"Origin": "null"},
        {},
    ],
)
def test_signing_out_ends_the_session(site: Any, headers: dict[str, str]) -> None:
    cookie = {"Cookie": site.cookie()}
    answer = site.ask("POST", "/sign-out", cookie | headers)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert site.ask("GET", "/", cookie).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.test"},
        {"Origin": "http://eql.test.evil.test"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://eql.test"},
    ],
)
def test_another_site_cannot_sign_a_visitor_out(site: Any, headers: dict[str, str]) -> None:
    cookie = {"Cookie": site.cookie()}
    answer = site.ask("POST", "/sign-out", cookie | headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert site.ask("GET", "/", cookie).status_code == 200
    assert site.ask("POST", "/sign-out", {"Origin": "null"}).status_code == 403


@pytest.mark.both_databases
def test_a_partner_finds_its_own_leads_and_no_others(site: Any) -> None:
    for partner_id, lead_id in (("P-1", "L-1"), ("P-2", "L-2"), (None, "L-3")):
        site.decide(lead_id, partner_id)
        site.decide(f"{lead_id}-pending", partner_id, qualification="MQL", pending=True)
    for view in ("", "?view=eql", "?view=pending"):
        text = site.read(f"/{view}", "partner", "P-1").text
        assert "L-1" in text
        assert "L-2" not in text
        assert "L-3" not in text
    assert "All 2" in site.read("/", "partner", "P-1").text
    assert site.get("/leads/L-1", "partner", "P-1").status_code == 200
    unknown = site.get("/leads/unknown", "partner", "P-1")
    for lead_id in ("L-2", "L-3"):
        hidden = site.get(f"/leads/{lead_id}", "partner", "P-1")
        assert (hidden.status_code, hidden.text) == (unknown.status_code, unknown.text)
        assert hidden.status_code == 404


def test_a_partner_learns_how_its_lead_stands_and_what_is_missing_and_nothing_of_the_model(site: Any) -> None:
    site.decide("L-1", "P-1", qualification="MQL", pending=True, missing=["ask the partner to confirm fit"])
    ours, theirs = site.read("/leads/L-1", "partner_manager").text, site.read("/leads/L-1", "partner", "P-1").text
    listed = site.read("/", "partner", "P-1").text
    for kept_back in ("Close probability", "Referred by a partner", "The rules"):
        assert kept_back in ours
        assert kept_back not in theirs + listed
    assert "sk the partner to confirm fit" in theirs


def test_a_partner_is_asked_for_what_it_can_supply_and_sees_no_account_of_ours(site: Any) -> None:
    site.store("accounts", "A-1", account_id="A-1", name="Victim Plc", domain="victim.example")
    known = {"lead_id": "L-1", "account_id": "A-1", "email": "cto@victim.example", "source_partner_id": "P-1"}
    site.store("leads", "L-1", **known)
    asked = {
        rule: {"rule": rule, "gate": "confirmation", "outcome": "unknown", "reason": "unknown", "evidence": evidence}
        for rule, evidence in (
            ("confirmed_by_partner", {"partner_fit_confirmations": 0}),
            ("confirmed_by_vendor", {"vendor_fit_confirmations": 0}),
        )
    }
    missing = ["Ask the partner", "Have our own side"]
    site.decide("L-1", "P-1", qualification="MQL", pending=True, rules=[*asked.values()], missing=missing)
    for address in ("/leads/L-1", "/"):
        ours, theirs = site.read(address, "admin").text, site.read(address, "partner", "P-1").text
        assert "Ask the partner" in theirs
        assert "Have our own side" not in theirs
        assert "Victim Plc" not in theirs
        assert "victim.example" in theirs
    assert "Victim Plc" in ours + site.read("/?view=pending", "admin").text


def test_a_partner_is_not_told_of_views_or_addresses_that_are_not_its_own(site: Any) -> None:
    site.decide("L-1", "P-1")
    assert site.get("/?view=aside", "partner", "P-1").status_code == 404
    assert "/v1/decisions" not in site.get("/leads/L-1", "partner", "P-1").text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/leads/L-1", 200),
        ("GET", "/leads/unknown", 404),
        ("GET", "/?view=unknown", 404),
        ("GET", "/?offset=-1", 404),
        ("GET", "/sign-in?token=unknown", 200),
        ("POST", "/sign-in", 401),
        ("GET", "/docs", 404),
        ("GET", "/static/eql.css", 200),
        ("POST", "/sign-out", 303),
    ],
)
def test_every_answer_carries_the_security_headers(site: Any, method: str, path: str, status: int) -> None:
    site.decide("L-1")
    answer = site.ask(method, path, {"Cookie": site.cookie()})
    assert answer.status_code == status
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    if answer.headers.get("content-type", "").startswith("text/html"):
        assert answer.headers["cache-control"] == "no-store"


def test_the_stylesheet_has_its_content_in_its_address_and_is_not_sent_twice(site: Any, reader: Any) -> None:
    [address] = [href for href in reader(site.ask("GET", "/").text).attributes("link", "href") if "static" in href]
    answer = site.ask("GET", address)
    assert answer.headers["content-type"].startswith("text/css")
    assert answer.headers["etag"].strip('"').startswith(address.partition("v=")[2])
    again = site.ask("GET", address, {"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
