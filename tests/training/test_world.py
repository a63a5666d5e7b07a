"""The simulated world: reproducible, valid, and with true probabilities that follow from recorded facts alone."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.folder import FolderError, read, read_provenance
from features.records import KINDS, PARTNER_CHANNELS, Stored
from features.values import DAY
from training.world import HORIZON_DAYS, TRUTH, Simulation, hazard, simulate
from training.world.accounts import ICP_INDUSTRIES, INDUSTRIES
from training.world.hazard import CHANNELS, LOST, MOVES, PARTNER, SIGNAL, VENDOR, WON, Covariates
from training.world.partners import TIERS

UNTIL = dt.date(2026, 6, 30)
HORIZON = HORIZON_DAYS * DAY


@dataclass(frozen=True)
class World:
    """A simulated folder, read back."""

    summary: Simulation
    records: Mapping[str, list[Stored]]

    def by_parent(self, kind: str) -> Mapping[str | None, list[Any]]:
        found = defaultdict(list)
        for stored in self.records[kind]:
            if not stored.deleted:
                found[stored.parent].append(stored.record)
        return found

    def versions(self, kind: str) -> Mapping[str, list[Any]]:
        found = defaultdict(list)
        for stored in self.records[kind]:
            found[stored.id].append(stored.record)
        return {key: sorted(versions, key=lambda record: record.recorded_at) for key, versions in found.items()}

    def truth(self) -> list[tuple[str, int, float]]:
        return truth_of(self.summary.folder)


def truth_of(folder: Path) -> list[tuple[str, int, float]]:
    table = pq.read_table(folder / TRUTH)
    as_of = table["as_of"].cast("int64").to_pylist()
    return list(zip(table["lead_id"].to_pylist(), as_of, table["probability"].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Reading it back validates every row."""
    folder = tmp_path_factory.mktemp("world") / "records"
    summary = simulate(folder, 400, 7, UNTIL)
    return World(summary, {name: list(read(folder, kind)) for name, kind in KINDS.items()})


def test_every_kind_is_written_and_every_row_is_valid(world: World) -> None:
    assert {name: len(stored) for name, stored in world.records.items()} == dict(world.summary.rows)
    assert min(world.summary.rows.values()) > 0
    assert world.summary.truths == len(world.truth())


def test_records_name_records_that_exist(world: World) -> None:
    ids = {name: {stored.id for stored in world.records[name]} for name in ("accounts", "leads", "partners")}
    for stored in (stored for records in world.records.values() for stored in records):
        if stored.kind.parent:
            assert stored.parent in ids["accounts" if stored.kind.parent == "account_id" else "leads"]
        for field, kind in (("partner_id", "partners"), ("source_partner_id", "partners"), ("duplicate_of", "leads")):
            assert getattr(stored.record, field, None) in {None, *ids[kind]}


def test_ids_are_unique_but_for_versions_corrections_tombstones_and_payout_steps(world: World) -> None:
    for name in ("referrals", "confirmations", "buying_signals", "lead_events", "spend", "agreements"):
        assert len({stored.id for stored in world.records[name]}) == len(world.records[name])
    for name in KINDS:
        versions = Counter((stored.id, stored.record.recorded_at) for stored in world.records[name])
        assert max(versions.values()) == 1


def test_nothing_is_recorded_after_until_nor_before_it_happened(world: World) -> None:
    cut = (dt.datetime(2026, 7, 1, tzinfo=dt.UTC) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(
        microseconds=1
    )
    assert read_provenance(world.summary.folder).cut == world.summary.cut == cut
    for stored in (stored for records in world.records.values() for stored in records):
        recorded, happened = stored.record.recorded_at, stored.record.happened()
        assert recorded is not None
        assert cut - 730 * DAY <= recorded <= cut
        assert happened is None or happened <= recorded


def test_records_are_corrected_retracted_changed_and_late(world: World) -> None:
    for name in ("accounts", "partners", "leads", "integration_usage", "payouts"):
        assert len({stored.id for stored in world.records[name]}) < len(world.records[name])
    assert any(stored.deleted for stored in world.records["touchpoints"])
    for name in ("buying_signals", "confirmations", "integration_usage"):
        assert any(stored.record.happened() != stored.record.recorded_at for stored in world.records[name])


def test_the_shape_of_the_world(world: World) -> None:
    leads = [versions[0] for versions in world.versions("leads").values()]
    events = Counter(stored.record.event for stored in world.records["lead_events"])
    assert 0.6 < len(leads) / 400 < 0.9
    assert 0.3 < np.mean([lead.source_partner_id is not None for lead in leads]) < 0.5
    assert 40 < world.summary.rows["integration_usage"] / 400 < 70
    assert events["opened"] == len(leads) > events["won"] + events["lost"]
    newest = sorted(leads, key=lambda lead: lead.created_at)[-20:]
    closed = {stored.parent for stored in world.records["lead_events"] if stored.record.event in ("won", "lost")}
    assert np.mean([lead.lead_id in closed for lead in newest]) < 0.5
    assert {lead.region for lead in leads} == {"EMEA", "AMER", "APAC"}


def test_disqualified_and_complete_partner_leads_occur(world: World) -> None:
    leads = {name: versions[-1] for name, versions in world.versions("leads").items()}
    assert any(lead.opted_out for lead in leads.values())
    assert any(lead.duplicate_of for lead in leads.values())
    assert any(lead.email.endswith("@gmail.com") for lead in leads.values())
    assert any(lead.channel == "trade_show" for lead in leads.values())
    assert any(versions[0].competitor for versions in world.versions("accounts").values())
    confirmations, signals = world.by_parent("confirmations"), world.by_parent("buying_signals")
    referred = world.by_parent("referrals").keys() & signals.keys()
    complete = [leads[name] for name in referred if name and all(confirmed(confirmations[name], world.summary.cut))]
    assert any(lead.programme_tier and lead.referral_date and lead.source_partner_id for lead in complete)


def test_each_won_partner_lead_pays_its_partner_once(world: World) -> None:
    leads, paid = world.versions("leads"), world.versions("payouts")
    payees = {versions[-1].lead_id: versions[-1].partner_id for versions in paid.values()}
    day_old = world.summary.cut - DAY
    won = {
        stored.parent: leads[stored.parent][0].source_partner_id
        for stored in world.records["lead_events"]
        if stored.parent and isinstance(at := stored.record.happened(), int) and at <= day_old
        if stored.record.event == "won" and leads[stored.parent][0].source_partner_id
    }
    assert payees == won
    assert len(paid) == len(payees)


def confirmed(confirmations: list[Any], as_of: int) -> tuple[bool, bool]:
    """Whether the partner, and the vendor, confirmed fit and intent by then."""
    subjects: dict[str, set[str]] = {"partner": set(), "vendor": set()}
    for confirmation in confirmations:
        if confirmation.recorded_at <= as_of:
            subjects[confirmation.side] |= set(confirmation.subjects)
    return len(subjects["partner"]) == 2, len(subjects["vendor"]) == 2


def at(versions: list[Any], instant: int) -> Any:
    return [version for version in versions if version.recorded_at <= instant][-1]


def as_recorded(world: World, lead_ids: list[str]) -> Covariates:
    """The covariates of leads, worked out from what the folder says was recorded by their creation."""
    leads, accounts, partners = (world.versions(kind) for kind in ("leads", "accounts", "partners"))
    usage, shared, referrals = (
        world.by_parent(kind) for kind in ("integration_usage", "shared_customers", "referrals")
    )
    rows: dict[str, list[Any]] = defaultdict(list)
    for name in lead_ids:
        lead = leads[name][0]
        created = lead.created_at
        account = at(accounts[lead.account_id], created)
        partner = at(partners[lead.source_partner_id], created) if lead.source_partner_id else None
        days = {
            use.day
            for use in usage[lead.account_id]
            if use.recorded_at <= created and created - 30 * DAY < use.happened() <= created
        }
        customers = {
            known.partner_id
            for known in shared[lead.account_id]
            if known.relationship == "customer" and known.recorded_at <= created
        }
        rows["channel"].append(CHANNELS.index(lead.channel))
        rows["employees"].append(np.nan if account.employees is None else account.employees)
        rows["icp_industry"].append(account.industry in INDUSTRIES[:ICP_INDUSTRIES])
        rows["competitor"].append(account.competitor)
        rows["partner"].append(partner is not None)
        rows["referred"].append(any(referral.recorded_at <= created for referral in referrals[name]))
        rows["certified"].append(bool(partner and partner.certified))
        rows["tier"].append(TIERS.index(partner.tier) if partner else 0)
        rows["active_days"].append(len(days))
        rows["shared_customers"].append(len(customers))
        rows["barred"].append(bool(lead.opted_out or lead.duplicate_of or lead.email.endswith("@gmail.com")))
    return Covariates(**{name: np.array(values) for name, values in rows.items()})


def test_the_stored_truth_follows_from_facts_recorded_by_then_alone(world: World) -> None:
    truth = world.truth()
    names = sorted({name for name, _, _ in truth})
    place = {name: number for number, name in enumerate(names)}
    weights = hazard.weights(as_recorded(world, names))
    leads, signals = world.versions("leads"), world.by_parent("buying_signals")
    confirmations = world.by_parent("confirmations")
    lead = np.array([place[name] for name, _, _ in truth])
    age = np.array([(as_of - leads[name][0].created_at) // DAY for name, as_of, _ in truth])
    count = [sum(signal.recorded_at <= as_of for signal in signals[name]) for name, as_of, _ in truth]
    sides = np.array([confirmed(confirmations[name], as_of) for name, as_of, _ in truth], int)
    states = hazard.state(count, sides[:, 0], sides[:, 1])
    expected = hazard.win_probability(weights[lead], age, HORIZON_DAYS)[np.arange(len(lead)), states]
    np.testing.assert_allclose([probability for _, _, probability in truth], expected, rtol=1e-12)


def test_truth_is_given_at_creation_and_weekly_while_the_lead_is_open(world: World) -> None:
    ends = {
        stored.parent: stored.record.happened()
        for stored in world.records["lead_events"]
        if stored.record.event in ("won", "lost")
    }
    found = defaultdict(list)
    for name, as_of, _ in world.truth():
        found[name].append(as_of)
    for name, versions in world.versions("leads").items():
        created = versions[0].created_at
        weeks = (created + week * 7 * DAY for week in range(26))
        last = min(world.summary.cut, ends.get(name, world.summary.cut + 1) - 1)
        assert found[name] == [as_of for as_of in weeks if as_of <= last]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, np.ndarray]:
    """Probability and outcome of mature landmarks of some thousand leads, by weeks since creation."""
    folder = tmp_path_factory.mktemp("large") / "records"
    cut = simulate(folder, 5000, 11, UNTIL).cut
    events = pq.read_table(folder / "lead_events.parquet", columns=["lead_id", "event", "occurred_at"])
    instants = events["occurred_at"].cast("int64").to_pylist()
    happened = {"opened": {}, "won": {}, "lost": {}, "stage": {}}
    for name, event, instant in zip(*(events[c].to_pylist() for c in ("lead_id", "event")), instants, strict=True):
        happened[event][name] = instant
    mature = [
        (as_of - happened["opened"][name], chance, as_of < happened["won"].get(name, cut + 1) <= as_of + HORIZON)
        for name, as_of, chance in truth_of(folder)
        if as_of + HORIZON <= cut
    ]
    age, chance, won = (np.array(column) for column in zip(*mature, strict=True))
    return {"week": age // (7 * DAY), "chance": chance, "won": won}


def z_score(chance: np.ndarray, won: np.ndarray) -> float:
    return float((won.sum() - chance.sum()) / np.sqrt((chance * (1 - chance)).sum()))


@pytest.mark.parametrize("week", [0, 4, 12])
def test_outcomes_agree_with_the_truth_overall_and_by_quintile(outcomes: Mapping[str, np.ndarray], week: int) -> None:
    these = outcomes["week"] == week
    chance, won = outcomes["chance"][these], outcomes["won"][these]
    assert len(chance) > 1000
    assert abs(z_score(chance, won)) < 4
    for part in np.array_split(np.argsort(chance), 5):
        assert abs(z_score(chance[part], won[part])) < 4


def test_leads_close_as_often_and_as_predictably_as_is_usual(outcomes: Mapping[str, np.ndarray]) -> None:
    """Base rates of 8 to 15 % and an attainable AUC of three quarters or more at creation."""
    chance = outcomes["chance"][outcomes["week"] == 0]
    assert 0.08 < chance.mean() < 0.15
    order = np.sort(chance)
    missed = 1 - order
    # AUC of the truth in expectation: pairs weighted by P(first won, second not).
    below = np.cumsum(missed) - missed
    assert 0.73 < (order * below).sum() / (order.sum() * missed.sum()) < 0.82


def rows_of(folder: Path, last: int | None = None) -> Mapping[str, list[dict[str, Any]]]:
    """The rows of every kind, of which those of accounts up to a number."""
    found = {}
    for path in sorted(folder.rglob("*.parquet")):
        rows = pq.read_table(path).to_pylist()
        found[path.stem] = [row for row in rows if last is None or number(row) <= last]
    return found


def number(row: Mapping[str, Any]) -> int:
    owner = row.get("account_id") or row.get("lead_id")
    return int(owner[2:8]) if owner else 10**9


def test_a_seed_gives_the_same_world_and_another_seed_another(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        simulate(tmp_path / name, 30, seed, UNTIL)
    assert rows_of(tmp_path / "one") == rows_of(tmp_path / "same")
    assert rows_of(tmp_path / "one")["leads"] != rows_of(tmp_path / "other")["leads"]


def test_the_first_accounts_do_not_depend_on_how_many_follow(tmp_path: Path) -> None:
    simulate(tmp_path / "few", 30, 3, UNTIL)
    simulate(tmp_path / "many", 510, 3, UNTIL)
    few, many = (rows_of(tmp_path / name, last=30) for name in ("few", "many"))
    assert few == many
    assert len(few["leads"]) > 0
    assert {row["account_id"] for row in few["accounts"]} == {f"A-{place:06d}" for place in range(1, 31)}


def test_the_format_does_not_change_the_records(tmp_path: Path) -> None:
    simulate(tmp_path / "parquet", 8, 3, UNTIL, "parquet")
    simulate(tmp_path / "csv", 8, 3, UNTIL, "csv")
    for kind in KINDS.values():
        assert list(read(tmp_path / "parquet", kind)) == list(read(tmp_path / "csv", kind))


def test_one_account_is_a_world(tmp_path: Path) -> None:
    assert simulate(tmp_path, 1, 0, UNTIL).rows["accounts"] >= 1


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    simulate(tmp_path, 510, 3, UNTIL, progress=lambda what, done: told.append((what, done)))
    assert told == [("accounts", 500), ("accounts", 510)]


@pytest.mark.parametrize(
    ("accounts", "seed", "until", "message"),
    [
        (0, 1, UNTIL, "accounts must be 1 or more, not 0"),
        (1, -1, UNTIL, "seed must be 0 or more, not -1"),
        (1, 1, dt.date(1971, 12, 31), "until must lie in the years 1972 to 2199"),
        (1, 1, dt.date(2200, 1, 1), "until must lie in the years 1972 to 2199"),
    ],
)
def test_an_argument_out_of_range_is_refused_and_nothing_written(
    tmp_path: Path, accounts: int, seed: int, until: dt.date, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        simulate(tmp_path / "records", accounts, seed, until)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FolderError):
        simulate(tmp_path, 1, 1, UNTIL)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_interrupted_simulation_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupt(what: str, done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "records", 10, 1, UNTIL, progress=interrupt)
    assert list((tmp_path / "records").iterdir()) == []


@st.composite
def covariates(draw: st.DrawFn) -> Covariates:
    """One lead's covariates."""
    partner = draw(st.booleans())
    own = draw(st.integers(0, len(CHANNELS) - 1))
    return Covariates(
        channel=np.array([own]),
        employees=np.array([draw(st.sampled_from([np.nan, 1.0, 60.0, 400.0, 4000.0, 90_000.0]))]),
        icp_industry=np.array([draw(st.booleans())]),
        competitor=np.array([draw(st.booleans())]),
        partner=np.array([partner]),
        referred=np.array([partner and draw(st.booleans())]),
        certified=np.array([partner and draw(st.booleans())]),
        tier=np.array([draw(st.integers(1, 3)) if partner else 0]),
        active_days=np.array([draw(st.integers(0, 30))]),
        shared_customers=np.array([draw(st.integers(0, 3))]),
        barred=np.array([draw(st.booleans())]),
    )


def enumerated(weights: np.ndarray, signals: int, partner: int, vendor: int, age: int, days: int) -> float:
    """P(won within `days`) as the sum over every path."""
    if days == 0:
        return 0.0
    here = weights[0, hazard.state(signals, partner, vendor)] * hazard.by_age(np.array([age]))[0]
    chance = here / (1 + here.sum())
    after = {
        SIGNAL: (min(signals + 1, 3), partner, vendor),
        PARTNER: (signals, 1, vendor),
        VENDOR: (signals, partner, 1),
    }
    paths = [(chance[move], state) for move, state in after.items() if chance[move] > 0]
    paths.append((1 - chance.sum(), (signals, partner, vendor)))
    return float(chance[WON] + sum(p * enumerated(weights, *state, age + 1, days - 1) for p, state in paths))


@settings(deadline=None)
@given(covariates(), st.integers(0, 3), st.integers(0, 1), st.integers(0, 1), st.integers(0, 200), st.integers(0, 4))
def test_the_recursion_is_the_sum_over_all_paths(
    lead: Covariates, signals: int, partner: int, vendor: int, age: int, days: int
) -> None:
    weights = hazard.weights(lead)
    found = hazard.win_probability(weights, np.array([age]), days)[0, hazard.state(signals, partner, vendor)]
    assert found == pytest.approx(enumerated(weights, signals, partner, vendor, age, days), rel=1e-12, abs=1e-15)


@settings(deadline=None)
@given(covariates(), st.integers(0, 400))
def test_probabilities_are_probabilities_that_grow_with_the_horizon(lead: Covariates, age: int) -> None:
    weights = hazard.weights(lead)
    chances = hazard.probabilities(weights * hazard.by_age(np.array([age])))
    assert (chances >= 0).all()
    assert (chances.sum(axis=-1) < 1).all()
    curve = [hazard.win_probability(weights, np.array([age]), days) for days in (0, 1, 30, 90)]
    assert (np.diff(curve, axis=0) >= 0).all()
    assert (curve[-1] <= 1).all()


@settings(deadline=None)
@given(covariates(), st.sampled_from(["active_days", "shared_customers", "tier"]), st.integers(1, 10))
def test_more_of_what_speaks_for_a_lead_never_lowers_its_chance(lead: Covariates, name: str, more: int) -> None:
    raised = replace(lead, **{name: getattr(lead, name) + more})
    before, after = (hazard.win_probability(hazard.weights(one), np.array([0]), HORIZON_DAYS) for one in (lead, raised))
    assert (after >= before - 1e-12).all()


def alike(n: int, partner: bool = True) -> Covariates:
    """So many equal leads: referred by a certified gold partner, or nobody's."""
    ones = np.ones(n, int)
    sure, never = ones > 0, ones < 0
    return Covariates(
        channel=ones * CHANNELS.index(PARTNER_CHANNELS[0]),
        employees=ones * 400.0,
        icp_industry=sure,
        competitor=never,
        partner=sure if partner else never,
        referred=sure if partner else never,
        certified=sure if partner else never,
        tier=ones * 3 * partner,
        active_days=ones * 20,
        shared_customers=ones,
        barred=never,
    )


def test_a_lead_without_a_partner_is_never_confirmed() -> None:
    assert (hazard.weights(alike(1, partner=False))[:, :, [PARTNER, VENDOR]] == 0).all()


def test_the_walk_agrees_with_the_recursion() -> None:
    """Of many equal leads the share won within a month is the probability, within four standard errors."""
    n, days = 40_000, 30
    weights = hazard.weights(alike(n))
    walk = hazard.walk(weights, hazard.state(np.ones(n), 0, 0), days, np.random.default_rng(5))
    won = np.zeros(n, bool)
    won[walk.lead[walk.event == WON]] = True
    chance = hazard.win_probability(weights[:1], np.array([0]), days)[0, hazard.state(1, 0, 0)]
    assert abs(z_score(np.full(n, chance), won)) < 4


def test_nothing_happens_to_a_lead_after_it_is_won_or_lost() -> None:
    n = 500
    walk = hazard.walk(hazard.weights(alike(n)), np.zeros(n, int), 400, np.random.default_rng(6))
    for name in range(n):
        events = walk.event[walk.lead == name]
        assert not np.isin(events[:-1], [WON, LOST]).any()
        assert max(Counter(events[np.isin(events, [PARTNER, VENDOR])].tolist()).values(), default=1) == 1
        assert (events == SIGNAL).sum() <= 3
    assert set(MOVES) <= set(walk.event.tolist())
