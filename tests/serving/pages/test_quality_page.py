"""The page of data quality: the last report for everyone but partners, and what to do where there is none."""

from dataclasses import fields
from typing import Any

import pytest

from features.quality.report import Finding, Report
from features.value_types import DAY, SECOND, parse_instant
from serving.identity import ROLES
from serving.quality import reports
from serving.store.database import reading

NOW = parse_instant("2026-11-22T12:00:00Z")
NASTY = '<script>alert("x")</script>'


def finding(*values: Any) -> Finding:
    return Finding(**dict(zip((field.name for field in fields(Finding)), values, strict=True)))


FINDINGS = (
    finding(
        "unknown_partner",
        "Partner that nobody recorded",
        "fail",
        "referrals",
        "partner_id",
        None,
        12,
        48,
        0.25,
        ("P-9",),
        "P-9 reads like the known P-09",
        "Send the partner",
    ),
    finding(
        "missing", "No value", "warn", "leads", "region", None, 3, 10, 0.3, ("L-1",), "", "Have the source fill it"
    ),
    finding(
        "stale", "No new records", "warn", "touchpoints", "recorded_at", "webinar", 9, None, None, (), NASTY, "Look"
    ),
    finding(
        "unreadable", "Refused", "fail", "spend", None, None, 1, None, None, (), "spend.csv lacks a column", "Mend"
    ),
    finding("missing", "No value", "ok", "leads", "channel", None, 0, 10, 0.0, (), "", "Have the source fill it"),
)


def report(*findings: Finding, made_at: int = NOW - 7200 * SECOND) -> Report:
    return Report(
        made_at=made_at,
        as_of=NOW - DAY,
        cut=NOW - DAY,
        point_in_time=True,
        records={"leads": 10, "referrals": 48, "spend": 0},
        findings=findings,
    )


def keep(site: Any, kept: Report) -> None:
    with site.engine.begin() as connection:
        reports.keep(connection, kept)


def test_without_a_report_the_page_says_how_to_make_one(site: Any) -> None:
    page = site.read("/quality")
    assert "Not examined yet" in page.text
    assert "eql doctor data" in page.text


def test_the_page_shows_what_to_mend_the_worst_first_and_when_it_was_seen(site: Any) -> None:
    keep(site, report(*FINDINGS))
    page = site.read("/quality")
    for text in (
        "Fail 2",
        "Warn 2",
        "2 h ago",
        "referrals.partner_id",
        "12 of 48 · 25.0%",
        "P-9 reads like the known P-09",
        "Send the partner",
        "touchpoints.recorded_at (webinar)",
        "9 days",
        "spend.csv lacks a column",
    ):
        assert text in page.text
    assert page.text.index("referrals.partner_id") < page.text.index("leads.region")


def test_nothing_to_mend_is_said(site: Any) -> None:
    keep(site, report(FINDINGS[-1]))
    assert "Nothing to fix" in site.read("/quality").text


def test_what_records_say_is_never_markup(site: Any) -> None:
    keep(site, report(*FINDINGS))
    answer = site.get("/quality")
    assert NASTY not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("role", [role for role in ROLES if role != "partner"])
def test_everyone_but_a_partner_may_see_it(site: Any, role: str) -> None:
    keep(site, report(*FINDINGS))
    assert site.get("/quality", role).status_code == 200
    assert "/quality" in site.read("/", role).attributes("a", "href")


def test_a_partner_does_not_see_that_there_is_such_a_page(site: Any) -> None:
    keep(site, report(*FINDINGS))
    answer = site.get("/quality", "partner", "P-9")
    assert answer.status_code == 404
    assert "P-09" not in answer.text
    assert "/quality" not in site.read("/", "partner", "P-9").attributes("a", "href")
    assert site.ask("GET", "/quality").status_code == 401


@pytest.mark.both_databases
def test_only_the_last_report_is_kept(site: Any) -> None:
    first, second = report(*FINDINGS, made_at=NOW - DAY), report(made_at=NOW)
    for kept in (first, second):
        keep(site, kept)
        with reading(site.engine) as connection:
            assert reports.last(connection) == kept
