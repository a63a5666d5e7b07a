"""Each switch of the simulated world does what it says, and the true probabilities know."""

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from app.cli import app
from features.value_types import DAY
from training.world import PLAIN, TRUTH, WORLDS, Switches, fingerprint, simulate

UNTIL = dt.date(2026, 6, 30)
ACCOUNTS = 1000
_KEYS = ("lead_id", "account_id")
_TIMES = ("occurred_at", "recorded_at", "created_at", "as_of")
Make = Callable[..., "Tables"]


class Tables:
    """A simulated folder's tables; instants are microseconds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, name: str) -> pd.DataFrame:
        table = pq.read_table(self._folder / (TRUTH if name == "truth" else f"{name}.parquet"))
        for column in {*_TIMES} & {*table.column_names}:
            table = table.set_column(table.column_names.index(column), column, table[column].cast("int64"))
        return table.to_pandas()

    def first(self, name: str, key: str) -> pd.DataFrame:
        """The first row of each key."""
        return self[name].drop_duplicates(key).set_index(key)

    def at_creation(self) -> pd.DataFrame:
        """The first truth of each lead, by lead_id, with its first version and its account's."""
        truth, leads, accounts = self.first("truth", "lead_id"), *map(self.first, ("leads", "accounts"), _KEYS)
        found = truth.merge(leads, on="lead_id", suffixes=("", "_lead"))
        return found.merge(accounts, left_on="account_id", right_index=True, suffixes=("", "_account"))

    def closes(self) -> pd.DataFrame:
        """Won and lost events, by lead_id, of leads created long before the cut."""
        events = self["lead_events"].set_index("lead_id")
        closed = events[events["event"].isin(["won", "lost"])].join(self.first("leads", "lead_id")["created_at"])
        return closed[closed["created_at"] < closed["recorded_at"].max() - 500 * DAY]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """The tables of a world of `Switches(**switches)`; made once."""
    made: dict[Switches, Tables] = {}

    def world(**switches: Any) -> Tables:
        key = Switches(**switches)
        if key not in made:
            folder = tmp_path_factory.mktemp("world") / "records"
            simulate(folder, ACCOUNTS, 5, UNTIL, switches=key)
            made[key] = Tables(folder)
        return made[key]

    return world


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"frailty": -0.1}, "frailty must lie between 0 and 2, not -0.1"),
        ({"frailty": float("nan")}, "frailty must lie between 0 and 2, not nan"),
        ({"drift": 1.5}, "drift must lie between -1 and 1, not 1.5"),
        ({"late_days": 31}, "late_days must lie between 0 and 30, not 31"),
        ({"missing": 1}, "missing must lie between 0 and 0.9, not 1"),
        ({"selection": -1}, "selection must lie between 0 and 5, not -1"),
        ({"partner_effect": "huge"}, "partner_effect must be one of none, small, large, not 'huge'"),
    ],
)
def test_a_switch_out_of_its_range_is_refused(switches: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Switches(**switches)


def test_switches_tell_what_is_on() -> None:
    assert str(PLAIN) == "none"
    assert str(Switches(drift=0.2, partner_effect="none")) == "drift 0.2, partner_effect none"


def test_frailty_is_hidden_and_averages_out(make: Make) -> None:
    """E[P given the hidden factor | records] = P given the records; four standard errors."""
    truth = make(frailty=1.0).at_creation()
    apart = truth["given_frailty"] - truth["probability"]
    assert apart.std() > 0.05
    assert abs(apart.mean()) < 4 * apart.std() / np.sqrt(len(apart))
    plain = make()["truth"]
    assert (plain["given_frailty"] == plain["probability"]).all()


def test_drift_lowers_the_chances_after_the_middle_and_raises_them_before(make: Make) -> None:
    plain, drifting = make().at_creation(), make(drift=0.5).at_creation()
    assert (plain.index == drifting.index).all()
    cut = make()["truth"]["as_of"].max()
    before, after = plain["as_of"] < cut - (365 + 92) * DAY, plain["as_of"] > cut - 364 * DAY
    assert (drifting["probability"] > plain["probability"])[before].all()
    assert (drifting["probability"] < plain["probability"])[after].all()


def test_closes_and_facts_are_recorded_late(make: Make) -> None:
    late = make(late_days=5.0)
    for table in (late.closes(), late["integration_usage"]):
        waits = (table["recorded_at"] - table["occurred_at"]) / DAY
        assert waits.min() >= 0
        assert waits.mean() == pytest.approx(5, rel=0.15)
    for name in ("buying_signals", "confirmations"):
        assert ((late[name]["recorded_at"] - late[name]["occurred_at"]) / DAY).mean() > 2


def test_nothing_tells_of_a_close_before_it_is_recorded(make: Make) -> None:
    """Partners are paid afterwards, and touches go on at their rate until then."""
    late = make(late_days=20.0)
    closes, payouts, touches = late.closes(), late["payouts"].set_index("lead_id"), late["touchpoints"]
    paid = payouts.merge(closes, on="lead_id", suffixes=("", "_close"))
    assert len(paid) > 0
    assert (paid["recorded_at"] > paid["recorded_at_close"]).all()
    touches = touches[~touches["deleted"]].merge(closes, on="lead_id", suffixes=("", "_close"))
    unrecorded = touches["recorded_at"].between(touches["occurred_at_close"], touches["recorded_at_close"])
    expected = 0.3 * (closes["recorded_at"] - closes["occurred_at"]).sum() / (7 * DAY)
    assert abs(unrecorded.sum() - expected) < 4 * np.sqrt(expected)


@pytest.mark.parametrize("column", ["employees", "industry", "annual_revenue_minor"])
def test_columns_are_missing(make: Make, column: str) -> None:
    plain, patchy = (tables.first("accounts", "account_id")[column] for tables in (make(), make(missing=0.3)))
    known = plain.notna()
    assert patchy[known].isna().mean() == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / known.sum()))
    assert patchy[~known].isna().all()


def test_partners_pick_what_would_do_well_without_them(make: Make) -> None:
    shares = {}
    for selection in (0.0, 2.0):
        leads = make(selection=selection, partner_effect="none").at_creation()
        good = leads["employees"].between(100, 2000)
        by_partner = leads["source_partner_id"].notna()
        shares[selection] = by_partner[good].mean() - by_partner[~good].mean()
        assert 0.3 < by_partner.mean() < 0.5
    assert abs(shares[0.0]) < 0.1 < shares[2.0]


def test_partners_pick_by_what_is_hidden_too(make: Make) -> None:
    leads = make(selection=2.0, frailty=1.0, partner_effect="none").at_creation()
    edge = np.log(leads["given_frailty"] / leads["probability"]).groupby(leads["source_partner_id"].notna())
    assert leads["probability"].groupby(leads["source_partner_id"].notna()).mean().diff().iloc[-1] > 0.03
    assert edge.mean().abs().max() < 0.5


def test_the_truth_knows_what_partners_add(make: Make) -> None:
    added = {}
    for effect in ("none", "small", "large"):
        truth = make(partner_effect=effect).at_creation()
        by_partner = truth[truth["source_partner_id"].notna()]
        added[effect] = (by_partner["probability"] - by_partner["without_partner"]).mean()
    assert abs(added["none"]) < 1e-12
    assert 0.01 < added["small"] < added["large"] / 2


def test_without_an_effect_the_counterfactual_is_the_truth(make: Make) -> None:
    truth = make(partner_effect="none", frailty=0.5, late_days=3.0, drift=0.2)["truth"]
    np.testing.assert_allclose(truth["probability"], truth["without_partner"], rtol=1e-9)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["simulate", *map(str, arguments), "--until", str(UNTIL)])


def test_the_command_makes_a_frozen_world_or_one_of_switches(tmp_path: Path) -> None:
    hard = WORLDS["hard"].switches
    assert run(tmp_path / "named", "--accounts", 20, "--world", "hard").exit_code == 0
    switches = ("--frailty", hard.frailty, "--late-days", hard.late_days, "--missing", hard.missing)
    assert run(tmp_path / "switched", "--accounts", 20, *switches).exit_code == 0
    simulate(tmp_path / "called", 20, 1, UNTIL, switches=hard)
    assert len({fingerprint(tmp_path / name) for name in ("named", "switched", "called")}) == 1


@pytest.mark.parametrize("name", WORLDS)
def test_the_command_knows_every_frozen_world_and_takes_no_switch_beside_it(tmp_path: Path, name: str) -> None:
    refused = run(tmp_path / "records", "--world", name, "--drift", 0.2)
    assert refused.exit_code == 2
    assert f"--world {name} fixes every switch" in refused.output
    assert not (tmp_path / "records").exists()
