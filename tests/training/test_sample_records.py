"""Records to try things on: given or simulated, and as they stood some days ago."""

import datetime as dt
from pathlib import Path

import pytest

from features.folder import FolderWriter, read, read_provenance
from features.provenance import Provenance
from features.records import KINDS
from features.value_types import DAY
from training.world.sample_records import records_before, sample_records

UNTIL = dt.date(2026, 6, 30)


def test_records_that_are_named_are_taken_as_they_are(tmp_path: Path) -> None:
    assert sample_records({"records": "mine"}, tmp_path, UNTIL) == Path("mine")
    assert not any(tmp_path.iterdir())


def test_without_records_a_world_of_so_many_accounts_is_made(tmp_path: Path) -> None:
    found = sample_records({"accounts": "30"}, tmp_path, UNTIL)
    accounts = {stored.row()["account_id"] for stored in read(found, KINDS["accounts"])}
    assert len(accounts) == 30


def test_records_as_they_stood_differ_by_the_cut_alone(tmp_path: Path) -> None:
    now = sample_records({"accounts": 30}, tmp_path, UNTIL)
    then = records_before(now, 100, tmp_path / "then")
    cut, earlier = read_provenance(now).cut, read_provenance(then).cut
    assert cut is not None
    assert earlier == cut - 100 * DAY
    assert list(read(then, KINDS["leads"])) == list(read(now, KINDS["leads"]))


def test_days_and_a_cut_are_needed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="days must be 1 or more, not 0"):
        records_before(tmp_path, 0, tmp_path / "then")
    with FolderWriter(tmp_path / "uncut", Provenance()):
        pass
    with pytest.raises(ValueError, match="has no data cut"):
        records_before(tmp_path / "uncut", 1, tmp_path / "then")
    assert not (tmp_path / "then").exists()
