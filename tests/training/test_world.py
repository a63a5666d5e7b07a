"""The simulated world: reproducible, valid, and with true probabilities that follow from recorded facts alone."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from features.folder import FolderError, read, read_provenance
from features.records import KINDS, Stored
from features.value_types import DAY
from training.world import HORIZON_DAYS, TRUTH, WORLDS, Simulation, Switches, hazard, simulate
from training.world.accounts import ICP_INDUSTRIES, INDUSTRIES
from training.world.chunk import Setting
from training.world.hazard import CHANNELS, PARTNER, SIGNAL, VENDOR, Covariates
from training.world.hidden import Belief, Frailty, Observed, beliefs
from training.world.leads import partner_chance
from training.world.partners import TIERS, draw_partners
from training.world.window import SimulatedWindow

UNTIL = dt.date(2026, 6, 30)
HORIZON = HORIZON_DAYS * DAY
WEEKS = 26
EVERYTHING = Switches(frailty=1, drift=0.5, late_days=10, missing=0.3, selection=2, partner_effect="small")


@dataclass(frozen=True)
class World:
    """A simulated folder, read back."""

    switches: Switches
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


@pytest.fixture(scope="module", params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Each frozen world. Reading it back validates every row."""
    folder, switches = tmp_path_factory.mktemp("world") / "records", WORLDS[request.param].switches
    summary = simulate(folder, 400, 7, UNTIL, switches=switches)
    return World(switches, summary, {name: list(read(folder, kind)) for name, kind in KINDS.items()})


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
        if stored.parent and stored.record.recorded_at <= day_old
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


def facts_of(world: World, lead_ids: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """What was recorded of leads: their state at creation, and the fact of each later day, -1 for none."""
    leads, signals, confirmations = world.versions("leads"), *map(world.by_parent, ("buying_signals", "confirmations"))
    start, facts = np.zeros(len(lead_ids), int), np.full((len(lead_ids), 7 * (WEEKS - 1)), -1)
    for place, name in enumerate(lead_ids):
        made, created = confirmations[name], leads[name][0].created_at
        events = [(SIGNAL, signal.recorded_at) for signal in signals[name]]
        moments = sorted({confirmation.recorded_at for confirmation in made})
        for side, event in enumerate((PARTNER, VENDOR)):
            events += [(event, moment) for moment in moments if confirmed(made, moment)[side]][:1]
        for event, recorded in events:
            day = (recorded - created - 1) // DAY
            if day < 0:
                start[place] += hazard.STEPS[event]
            elif day < facts.shape[1]:
                facts[place, day] = event
    return start, facts


def paces_of(world: World, created: np.ndarray) -> tuple[hazard.Pace, ...]:
    """The pace of leads created at these instants, for each class of frailty."""
    window = SimulatedWindow.ending(UNTIL)
    setting = Setting(window, world.switches, draw_partners(np.random.default_rng(0), window))
    return tuple(setting.pace(created, value) for value in setting.frailty.values)


def observed(world: World, lead_ids: list[str]) -> Observed:
    """What was recorded of leads, worked out from the folder alone."""
    known, frailty = as_recorded(world, lead_ids), Frailty.of(world.switches.frailty)
    merit = hazard.merit(known.employees, known.icp_industry, known.competitor)[:, None]
    chance = partner_chance(world.switches.selection, merit + frailty.values)
    leads = world.versions("leads")
    start, facts = facts_of(world, lead_ids)
    return Observed(
        weights=hazard.weights(known, world.switches.effect),
        start=start,
        facts=facts,
        prior=frailty.shares * np.where(known.partner[:, None], chance, 1 - chance),
        paces=paces_of(world, np.array([leads[name][0].created_at for name in lead_ids])),
        mean_wait=world.switches.late_days,
    )


def expected(believed: Belief, chances: np.ndarray) -> np.ndarray:
    return (believed.open * chances + believed.won).sum(axis=1)


def test_the_stored_truth_follows_from_facts_recorded_by_then_alone(world: World) -> None:
    truth = world.truth()
    names = sorted({name for name, _, _ in truth})
    seen = observed(world, names)
    alone = hazard.alone(as_recorded(world, names))
    states = seen.start.copy()
    found, without = [], []
    for week, believed in enumerate(beliefs(seen, 7)):
        age = np.full(len(names), 7 * week)
        chances = [hazard.win_probability(seen.weights, age, HORIZON_DAYS, pace) for pace in seen.paces]
        unaided = [hazard.win_probability(alone, age, HORIZON_DAYS, pace) for pace in seen.paces]
        here = np.arange(len(names)), states
        found.append(expected(believed, np.stack([chance[here] for chance in chances], axis=1)))
        without.append(expected(believed, np.stack([chance[here] for chance in unaided], axis=1)))
        for fact in seen.facts.T[7 * week : 7 * week + 7]:
            states = states + np.where(fact < 0, 0, hazard.STEPS[fact])
    place, created = {name: number for number, name in enumerate(names)}, created_of(world)
    rows = [((as_of - created[name]) // (7 * DAY), place[name]) for name, as_of, _ in truth]
    week, lead = np.array(rows).T
    np.testing.assert_allclose([chance for _, _, chance in truth], np.array(found)[week, lead], rtol=1e-9)
    stored = pq.read_table(world.summary.folder / TRUTH)["without_partner"].to_pylist()
    np.testing.assert_allclose(stored, np.array(without)[week, lead], rtol=1e-9)


def created_of(world: World) -> Mapping[str, int]:
    return {name: versions[0].created_at for name, versions in world.versions("leads").items()}


def test_truth_is_given_at_creation_and_weekly_while_the_lead_is_open(world: World) -> None:
    ends = {
        stored.parent: stored.record.recorded_at
        for stored in world.records["lead_events"]
        if stored.record.event in ("won", "lost")
    }
    found = defaultdict(list)
    for name, as_of, _ in world.truth():
        found[name].append(as_of)
    for name, versions in world.versions("leads").items():
        created = versions[0].created_at
        weeks = (created + week * 7 * DAY for week in range(WEEKS))
        last = min(world.summary.cut, ends.get(name, world.summary.cut + 1) - 1)
        assert found[name] == [as_of for as_of in weeks if as_of <= last]


def mature(folder: Path, cut: int) -> list[tuple[int, float, bool]]:
    """Age, probability and outcome of landmarks whose horizon, and the waiting for records, ended by the cut."""
    events = pq.read_table(folder / "lead_events.parquet", columns=["lead_id", "event", "occurred_at"])
    happened: dict[str, dict[str, int]] = defaultdict(dict)
    for event in events.set_column(2, "at", events["occurred_at"].cast("int64")).to_pylist():
        happened[event["event"]][event["lead_id"]] = event["at"]
    return [
        (as_of - happened["opened"][name], chance, happened["won"].get(name, cut + 1) <= as_of + HORIZON)
        for name, as_of, chance in truth_of(folder)
        if as_of + HORIZON + 90 * DAY <= cut
    ]


@pytest.fixture(scope="module", params=[*WORLDS, "everything"])
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, np.ndarray]:
    """Probability and outcome of mature landmarks of some thousand leads, by weeks since creation."""
    switches = WORLDS[request.param].switches if request.param in WORLDS else EVERYTHING
    found: list[tuple[int, float, bool]] = []
    for seed in (11, 12):
        folder = tmp_path_factory.mktemp("large") / "records"
        found += mature(folder, simulate(folder, 1500, seed, UNTIL, switches=switches).cut)
    age, chance, won = (np.array(column) for column in zip(*found, strict=True))
    return {"week": age // (7 * DAY), "chance": chance, "won": won, "plain": np.array(request.param == "plain")}


def z_score(chance: np.ndarray, won: np.ndarray) -> float:
    return float((won.sum() - chance.sum()) / np.sqrt((chance * (1 - chance)).sum()))


@pytest.mark.parametrize("week", [0, 4, 12])
def test_outcomes_agree_with_the_truth_overall_and_by_decile(outcomes: Mapping[str, np.ndarray], week: int) -> None:
    these = outcomes["week"] == week
    chance, won = outcomes["chance"][these], outcomes["won"][these]
    assert len(chance) > 500
    assert abs(z_score(chance, won)) < 4
    for part in np.array_split(np.argsort(chance), 10):
        assert abs(z_score(chance[part], won[part])) < 4


def test_leads_close_as_often_and_as_predictably_as_is_usual(outcomes: Mapping[str, np.ndarray]) -> None:
    """Base rates of 5 to 15 % and an attainable AUC of two thirds or more at creation; three quarters in plain."""
    chance = outcomes["chance"][outcomes["week"] == 0]
    assert 0.05 < chance.mean() < 0.15
    order = np.sort(chance)
    missed = 1 - order
    # AUC of the truth in expectation: pairs weighted by P(first won, second not).
    below = np.cumsum(missed) - missed
    assert (0.73 if outcomes["plain"] else 0.66) < (order * below).sum() / (order.sum() * missed.sum()) < 0.82


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
