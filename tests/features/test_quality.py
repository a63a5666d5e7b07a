"""Data quality: a clean world has nothing to fix, every error put into it is found, and no report is personal."""

import datetime as dt
import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from features.quality.arrivals import sudden
from features.quality.checks import CHECKS
from features.quality.examine import NothingToExamine, examine
from features.quality.renamed import closest_id
from features.quality.report import WITHHELD, Finding, Report, shown
from features.quality.thresholds import DEFAULT, InvalidThresholds, Thresholds, Volume, load
from features.records import KINDS
from features.value_types import DAY, parse_instant
from training.world.simulation import simulate

UNTIL = dt.date(2026, 11, 22)
CUT = parse_instant("2026-11-23T00:00:00Z")
HORIZON = 90
DEFAULTS = load(DEFAULT)
FIRST_DAYS = {"slack": dt.date(2026, 6, 1)}
CAREFUL = DEFAULTS.model_copy(update={"times": DEFAULTS.times.model_copy(update={"first_days": FIRST_DAYS})})
ROW = "(SELECT {id} FROM {kind} WHERE NOT deleted ORDER BY 1 LIMIT 1)"

Faults = Mapping[str, tuple[str, ...]]

READABLE: Faults = {
    "accounts": (
        "UPDATE accounts SET employees = NULL",
        "UPDATE accounts SET employees = 1125899906842624 WHERE account_id = 'A-000001'",
        "INSERT INTO accounts SELECT a.* REPLACE (TIMESTAMPTZ '2026-11-01 00:00Z' + to_minutes(n) AS recorded_at) "
        "FROM (SELECT * FROM accounts WHERE account_id = 'A-000001' LIMIT 1) a, range(150) r(n)",
    ),
    "leads": (
        "UPDATE leads SET source_partner_id = NULL WHERE channel = 'partner_referral'",
        "UPDATE leads SET account_id = 'A-nobody' WHERE lead_id = 'L-000002-1'",
        "UPDATE leads SET referral_date = recorded_at::DATE + 30 WHERE lead_id = 'L-000002-1'",
    ),
    "referrals": (
        f"UPDATE referrals SET recorded_at = occurred_at - INTERVAL 3 DAY WHERE referral_id = "
        f"{ROW.format(id='referral_id', kind='referrals')}",
        "UPDATE referrals SET partner_id = 'p_14' WHERE partner_id = 'P-14'",
    ),
    "shared_customers": ("UPDATE shared_customers SET partner_id = 'P 1' WHERE partner_id = 'P-01'",),
    "confirmations": (
        "UPDATE confirmations SET recorded_at = recorded_at + INTERVAL 20 DAY "
        "WHERE recorded_at BETWEEN TIMESTAMPTZ '2026-08-01 00:00Z' AND TIMESTAMPTZ '2026-11-02 00:00Z'",
        "UPDATE confirmations SET lead_id = 'L-nobody' WHERE confirmation_id = "
        f"{ROW.format(id='confirmation_id', kind='confirmations')}",
    ),
    "integration_usage": (
        "DELETE FROM integration_usage WHERE recorded_at > TIMESTAMPTZ '2026-11-16 00:00Z' "
        "AND integration <> 'hubspot'",
        "DELETE FROM integration_usage WHERE integration = 'shopify' AND recorded_at > TIMESTAMPTZ '2026-09-01 00:00Z'",
    ),
    "touchpoints": (
        "INSERT INTO touchpoints SELECT * REPLACE (touchpoint_id || '-again' AS touchpoint_id) FROM touchpoints "
        "WHERE lead_id = 'L-000002-1'",
        "UPDATE touchpoints SET occurred_at = TIMESTAMPTZ '2150-01-01 00:00Z' WHERE touchpoint_id = 'T-000002-1-1'",
    ),
    "buying_signals": (
        "DELETE FROM buying_signals WHERE recorded_at > TIMESTAMPTZ '2026-07-01 00:00Z'",
        "UPDATE buying_signals SET occurred_at = TIMESTAMPTZ '1975-01-01 00:00Z' WHERE buying_signal_id = "
        f"{ROW.format(id='buying_signal_id', kind='buying_signals')}",
    ),
    "spend": (
        "UPDATE spend SET recorded_at = TIMESTAMPTZ '2027-03-01 00:00Z' WHERE spend_id = "
        f"{ROW.format(id='spend_id', kind='spend')}",
    ),
    "lead_events": (
        "UPDATE lead_events SET occurred_at = TIMESTAMPTZ '2000-01-01 00:00Z' WHERE lead_event_id = "
        "(SELECT min(lead_event_id) FROM lead_events WHERE event = 'lost')",
        "INSERT INTO lead_events SELECT e.* REPLACE (lead_event_id || '-' || n AS lead_event_id, stage || n AS stage, "
        "TIMESTAMPTZ '2026-11-22 20:00Z' AS recorded_at, TIMESTAMPTZ '2026-11-22 20:00Z' AS occurred_at) "
        "FROM (SELECT * FROM lead_events WHERE event = 'stage' LIMIT 1) e, range(300) r(n)",
    ),
}
"""What is done to a clean world, by the kind; the engines still accept it."""

REFUSED: Faults = {
    "accounts": ("ALTER TABLE accounts ALTER employees TYPE VARCHAR",),
    "integration_usage": ("UPDATE integration_usage SET calls = -5 WHERE usage_id = 'U-000001-196'",),
    "shared_customers": ("UPDATE shared_customers SET confidence = 1.7 WHERE shared_customer_id = 'O-000001-2'",),
    "touchpoints": (
        "UPDATE touchpoints SET channel = 'telepathy' WHERE touchpoint_id = 'T-000002-1-1'",
        "UPDATE touchpoints SET occurred_at = TIMESTAMPTZ '2999-01-01 00:00Z' WHERE touchpoint_id = 'T-000002-1-2'",
    ),
}
"""Faults for which the engines refuse the file."""


FOUND = [
    ("missing", "accounts.employees", "fail", None),
    ("missing", "leads.source_partner_id", "warn", None),
    ("recorded_before_occurred", "referrals.occurred_at", "fail", 1),
    ("future", "touchpoints.occurred_at", "fail", 1),
    ("ancient", "buying_signals.occurred_at", "fail", 1),
    ("referral_after_recorded", "leads.referral_date", "fail", 1),
    ("before_integration", "integration_usage.day", "fail", None),
    ("recorded_after_cut", "spend.recorded_at", "fail", 1),
    ("closed_before_created", "lead_events.occurred_at", "fail", 1),
    ("unknown_lead", "confirmations.lead_id", "fail", None),
    ("unknown_account", "leads.account_id", "warn", 1),
    ("unknown_partner", "referrals.partner_id", "fail", None),
    ("unknown_partner", "shared_customers.partner_id", "fail", None),
    ("duplicate", "touchpoints", "warn", None),
    ("many_versions", "accounts", "warn", 1),
    ("absurd_value", "accounts.employees", "fail", 1),
    ("stale", "buying_signals.recorded_at", "fail", None),
    ("stale", "integration_usage.recorded_at (shopify)", "warn", None),
    ("late", "confirmations.recorded_at", "fail", None),
    ("volume_week", "integration_usage", "warn", None),
    ("volume_week", "lead_events", "fail", None),
    ("volume_day", "lead_events", "warn", None),
]
"""What must be found of the readable faults; the count only where it is plain."""

TOLD = [
    ("unreadable", "accounts", 1),
    ("unreadable", "integration_usage", 1),
    ("unreadable", "shared_customers", 1),
    ("unreadable", "touchpoints", 1),
    ("absurd_value", "integration_usage.calls", 1),
    ("absurd_value", "shared_customers.confidence", 1),
    ("unlisted_value", "touchpoints.channel", 1),
    ("future", "touchpoints.occurred_at", 1),
]
"""What must be found of the refused ones."""


def damage(folder: Path, faults: Faults) -> None:
    """Run statements on the kinds' files."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for kind, statements in faults.items():
            file = folder / f"{kind}.parquet"
            connection.execute(f"CREATE TABLE {kind} AS SELECT * FROM '{file}'")
            for statement in statements:
                assert connection.execute(statement).fetchall() != [(0,)], f"changes nothing: {statement}"
            connection.execute(f"COPY {kind} TO '{file}' (FORMAT parquet)")


def look(folder: Path, thresholds: Thresholds = DEFAULTS, as_of: int | None = None) -> Report:
    return examine(folder, thresholds, horizon_days=HORIZON, as_of=as_of, now=CUT + DAY)


def places(report: Report, check: str) -> dict[str, Finding]:
    return {finding.location: finding for finding in report.alerts if finding.check == check}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quality") / "world"
    simulate(folder, 150, 3, UNTIL)
    return folder


@pytest.fixture
def damaged(world: Path, tmp_path: Path) -> Callable[[Faults], Path]:
    """A copy of the world with faults."""

    def copy(faults: Faults) -> Path:
        folder = tmp_path / "damaged"
        shutil.copytree(world, folder)
        damage(folder, faults)
        return folder

    return copy


@pytest.fixture(scope="module")
def reports(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """The reports on the clean world, on one with faults, and on one that the engines refuse."""
    found = {"clean": look(world)}
    for name, faults in (("readable", READABLE), ("refused", REFUSED)):
        folder = tmp_path_factory.mktemp("quality") / name
        shutil.copytree(world, folder)
        damage(folder, faults)
        found[name] = look(folder, CAREFUL if name == "readable" else DEFAULTS)
    return found


def test_a_clean_world_has_nothing_to_mend(reports: dict[str, Report]) -> None:
    assert reports["clean"].alerts == ()
    assert reports["clean"].records.keys() == KINDS.keys()
    assert reports["clean"].tally["ok"] > 100


@pytest.mark.parametrize(("check", "place", "severity", "count"), FOUND)
def test_a_fault_is_found(reports: dict[str, Report], check: str, place: str, severity: str, count: int | None) -> None:
    finding = places(reports["readable"], check)[place]
    assert finding.severity == severity
    assert count in (None, finding.count)


@pytest.mark.parametrize(("check", "place", "count"), TOLD)
def test_what_the_engines_refuse_is_told_and_counted(
    reports: dict[str, Report], check: str, place: str, count: int
) -> None:
    finding = places(reports["refused"], check)[place]
    assert finding.count == count
    assert finding.check != "unreadable" or finding.kind in finding.detail


def test_the_other_kinds_are_examined_beside_a_refused_one(reports: dict[str, Report]) -> None:
    assert reports["refused"].records == reports["clean"].records
    assert {finding.kind for finding in reports["refused"].alerts} == REFUSED.keys()


def test_every_check_is_tried() -> None:
    assert {case[0] for case in (*FOUND, *TOLD)} == {check.id for check in CHECKS}


def test_the_examples_are_the_records_at_fault(reports: dict[str, Report]) -> None:
    assert places(reports["readable"], "many_versions")["accounts"].examples == ("A-000001",)
    assert places(reports["readable"], "future")["touchpoints.occurred_at"].examples == ("T-000002-1-1",)
    assert places(reports["refused"], "absurd_value")["integration_usage.calls"].examples == ("U-000001-196",)


def test_a_renamed_partner_is_named(reports: dict[str, Report]) -> None:
    found = places(reports["readable"], "unknown_partner")
    assert found["referrals.partner_id"].examples == ("p_14",)
    assert found["referrals.partner_id"].detail == "p_14 reads like the known P-14"
    assert found["shared_customers.partner_id"].detail == f"{WITHHELD} reads like the known P-01"


def test_no_report_holds_personal_data(world: Path, reports: dict[str, Report]) -> None:
    told = json.dumps([report.to_dict() for report in reports.values()])
    columns = (("leads", "email"), ("leads", "email_domain"), ("accounts", "name"), ("accounts", "domain"))
    for kind, column in (*columns, ("partners", "name"), ("touchpoints", "url")):
        values = duckdb.sql(f"SELECT DISTINCT {column} FROM '{world / kind}.parquet' WHERE {column} <> ''").fetchall()
        assert values
        assert not [value for (value,) in values if value in told]
    assert "@" not in told
    assert "://" not in told


def test_an_id_that_is_personal_is_withheld(damaged: Callable[[Faults], Path]) -> None:
    ids = {"touchpoints": ("UPDATE touchpoints SET touchpoint_id = 'eve@acme.example', channel = NULL, "
                           "occurred_at = TIMESTAMPTZ '2150-01-01' WHERE touchpoint_id = 'T-000002-1-1'",)}  # fmt: skip
    finding = places(look(damaged(ids)), "future")["touchpoints.occurred_at"]
    assert finding.examples == (WITHHELD,)


def test_what_a_later_version_mends_is_no_longer_told(damaged: Callable[[Faults], Path]) -> None:
    again = "UPDATE touchpoints SET {} WHERE touchpoint_id = 'T-000002-1-1'"
    later = "INSERT INTO touchpoints SELECT * REPLACE ({}) FROM touchpoints WHERE touchpoint_id = 'T-000002-1-1'"
    wrong = again.format("occurred_at = TIMESTAMPTZ '2150-01-01 00:00Z'")
    mend = "recorded_at + INTERVAL 1 DAY AS recorded_at, {}"
    right = later.format(mend.format("TIMESTAMPTZ '2024-12-23 00:00Z' AS occurred_at"))
    orphan = "UPDATE referrals SET lead_id = 'L-nobody' WHERE referral_id = 'R-000005-2'"
    removed = "INSERT INTO referrals SELECT * REPLACE (recorded_at + INTERVAL 1 DAY AS recorded_at, TRUE AS deleted) "
    removed += "FROM referrals WHERE referral_id = 'R-000005-2'"
    report = look(damaged({"touchpoints": (wrong, right), "referrals": (orphan, removed)}))
    assert report.alerts == ()


def test_what_was_recorded_later_changes_no_report(world: Path, damaged: Callable[[Faults], Path]) -> None:
    as_of = CUT - 40 * DAY
    since = "recorded_at > TIMESTAMPTZ '2026-10-14 00:00Z'"
    faults = {
        "touchpoints": (f"UPDATE touchpoints SET lead_id = 'L-nobody' WHERE {since}",),
        "leads": (f"UPDATE leads SET account_id = NULL, channel = NULL WHERE {since}",),
        "integration_usage": (f"DELETE FROM integration_usage WHERE {since}",),
    }
    assert look(damaged(faults), as_of=as_of) == look(world, as_of=as_of)


def test_csv_is_examined_alike(tmp_path: Path, reports: dict[str, Report]) -> None:
    simulate(tmp_path / "csv", 150, 3, UNTIL, "csv")
    assert look(tmp_path / "csv") == reports["clean"]


def test_rubbish_instead_of_a_file_is_told_and_the_rest_goes_on(world: Path, damaged: Callable[[Faults], Path]) -> None:
    folder = damaged({})
    (folder / "partners.parquet").write_bytes(b"PAR1 eve@acme.example")
    (folder / "payouts.parquet").write_bytes(b"PAR1")
    report = look(folder)
    assert places(report, "unreadable").keys() == {"partners", "payouts"}
    assert {finding.check for finding in report.alerts} == {"unreadable"}
    assert report.records.keys() == KINDS.keys() - {"partners", "payouts"}


def test_no_records_are_not_examined(world: Path) -> None:
    with pytest.raises(NothingToExamine, match="eql import"):
        look(world, as_of=0)


def test_a_report_survives_json(reports: dict[str, Report]) -> None:
    for report in reports.values():
        assert Report.from_json(json.dumps(report.to_dict())) == report
    with pytest.raises(ValueError, match="eql doctor data"):
        Report.from_json('{"findings": [{"check": 1}]}')


@given(st.text())
def test_what_is_shown_of_an_id_is_no_address(identity: str) -> None:
    assert not re.search(r"@|//", shown(identity))


@given(st.from_regex(r"\A[A-Za-z]{1,4}[-_. ]?0{0,3}[1-9][0-9]{0,3}\Z"), st.integers(1, 9))
def test_a_partner_is_known_by_other_punctuation_but_never_by_another_number(identity: str, more: int) -> None:
    letters, number = re.match(r"([A-Za-z]+)\D*(\d+)", identity).groups()  # type: ignore[union-attr]
    variant = f"{letters.swapcase()}/{int(number):06d}"
    assert closest_id(variant, [("other-0", "Other"), (identity, "")]) == identity
    assert closest_id(f"{letters}-{int(number) + more}", [(identity, "")]) is None


def test_a_partner_is_known_by_its_name() -> None:
    assert closest_id("integrators-ltd", [("P-1", "Integrators Ltd."), ("P-2", "Agency GmbH")]) == "P-1"


VOLUME = Volume(warn=0.5, weeks=8, deviations=5)
counts = st.integers(0, 10_000)


@given(st.lists(counts, min_size=4, max_size=12), counts)
def test_a_change_is_a_share_and_none_within_what_the_weeks_had(before: list[int], newest: int) -> None:
    change = sudden(newest, before, VOLUME)
    assert 0 <= change <= 1
    assert change == 0 or not min(before) <= newest <= max(before)


@given(st.integers(30, 10_000), st.integers(4, 12))
def test_a_drop_to_none_is_the_largest_change(usual: int, weeks: int) -> None:
    assert sudden(0, [usual] * weeks, VOLUME) == 1


@pytest.mark.parametrize("mean", [0.3, 2, 10, 100, 10_000])
def test_chance_alone_does_not_alarm(mean: float) -> None:
    draws = np.random.default_rng(0).poisson(mean, (20_000, 9)).tolist()
    assert sum(sudden(week[0], week[1:], VOLUME) > 0 for week in draws) <= 20


def written(tmp_path: Path, **changes: object) -> Path:
    content = yaml.safe_load(DEFAULT.read_text("utf-8"))
    for key, value in changes.items():
        place = content
        *path, last = key.split("__")
        for part in path:
            place = place[part]
        place[last] = value
    (tmp_path / "quality.yaml").write_text(yaml.safe_dump(content))
    return tmp_path / "quality.yaml"


FAULTY: list[tuple[dict[str, object], tuple[str, ...]]] = [
    ({"lait": {"warn": 0}}, ("lait", "is not a key")),
    ({"late__day": 3}, ("late.day", "is not a key")),
    ({"late__days": 0}, ("late.days", "greater than or equal to 1", "0")),
    ({"late__warn": "much"}, ("late.warn", "number", "'much'")),
    ({"late__warn": True}, ("late.warn", "number", "True")),
    ({"orphans__fail": -1}, ("orphans.fail", "-1")),
    ({"orphans": {"warn": 0.5, "fail": 0.1}}, ("orphans", "fail (0.1) below warn (0.5)")),
    ({"orphans": 0.5}, ("orphans", "must be a mapping", "0.5")),
    ({"missing": {"accounts.employes": {"warn": 0}}}, ("accounts.employes", "accounts.employees")),
    ({"values__most": {"leads.channel": 3}}, ("leads.channel", "column of numbers")),
    ({"stale__intervals": {"lead": 3}}, ("lead", "kind of record", "leads")),
    ({"times__first_days": {"slack": "soon"}}, ("times.first_days.slack", "'soon'")),
]


@pytest.mark.parametrize(("changes", "words"), FAULTY)
def test_faulty_thresholds_are_refused_by_name(
    tmp_path: Path, changes: dict[str, object], words: tuple[str, ...]
) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(InvalidThresholds) as refusal:
        load(path)
    for word in (str(path), *words):
        assert word in str(refusal.value)


@pytest.mark.parametrize("content", ["- 1", "warn: [", "\x00", "text", ""])
def test_what_is_no_file_of_thresholds_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "quality.yaml").write_text(content)
    for path in (tmp_path / "quality.yaml", tmp_path / "none.yaml", tmp_path):
        with pytest.raises(InvalidThresholds, match=re.escape(str(path))):
            load(path)


def test_thresholds_decide_the_severity(world: Path, tmp_path: Path) -> None:
    strict = load(written(tmp_path, missing={"leads.duplicate_of": {"warn": 0.0, "fail": 0.1}}))
    report = look(world, strict)
    assert [(finding.check, finding.location, finding.severity) for finding in report.alerts] == [
        ("missing", "leads.duplicate_of", "fail")
    ]
