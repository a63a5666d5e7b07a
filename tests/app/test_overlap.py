"""`eql overlap`: a partner's list in, shared customers in the store, nothing of a faulty one."""

import csv
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from features.records import KINDS, Row
from serving.records import versions
from serving.store import database

Result = subprocess.CompletedProcess[str]
Eql = Callable[..., Result]
KEY = "sixteen bytes at least\n"


@pytest.fixture(scope="module")
def world(run_eql: Eql, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a small simulated ecosystem."""
    folder = tmp_path_factory.mktemp("world")
    for arguments in (("simulate", folder / "records", "--accounts", 30, "--seed", 1), ("import", folder / "records")):
        assert run_eql(folder / "home", *arguments).returncode == 0
    return folder / "home"


@pytest.fixture
def home(world: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(world, tmp_path / "home"))


@pytest.fixture
def eql(run_eql: Eql, home: Path) -> Eql:
    return lambda *arguments: run_eql(home, *arguments)


def stored(home: Path, name: str) -> list[Row]:
    engine = database.connect(f"sqlite:///{home / 'eql.sqlite'}")
    with database.reading(engine) as connection:
        rows = list(versions.versions(connection, KINDS[name]))
    engine.dispose()
    return rows


def ours(home: Path) -> list[Row]:
    return list({row["account_id"]: row for row in stored(home, "accounts") if row["domain"]}.values())


def write(path: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = ("domain", "name", "country")) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def answer(done: Result) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_from_upload_to_wrong_match_and_back(eql: Eql, home: Path, tmp_path: Path) -> None:
    first, second, *_ = ours(home)
    rows = [(f"https://www.{first['domain']}/", "", ""), ("", second["name"], second["country"]), ("n/a", "", "")]
    file = write(tmp_path / "list.csv", [*rows, ("me@gmail.com", "", ""), ("nobody-knows.com", "", "")])
    before = len(stored(home, "shared_customers"))
    rejects = tmp_path / "rejects.csv"
    match = ("overlap", "match", file, "--partner", "P-01", "--rejects", rejects, "--json")
    result = answer(eql(*match))
    assert (result["rows"], result["rejected"], result["unmatched"]) == (5, 1, 2)
    assert result["matched"] == {"domain": 1, "name": 1}
    assert result["never_matched"] == [{"domain": "gmail.com", "why": "free mail", "rows": 1}]
    assert [one["account_id"] for one in result["overlaps"]] == sorted((first["account_id"], second["account_id"]))
    with rejects.open(newline="") as stream:
        assert [(line["row"], line["field"], line["value"]) for line in csv.DictReader(stream)] == [
            ("3", "domain", "n/a")
        ]
    kept = stored(home, "shared_customers")[before:]
    assert [row["shared_customer_id"] for row in kept] == [one["shared_customer_id"] for one in result["overlaps"]]
    assert all("list.csv" in row["source"] and row["reason"] and row["recorded_at"] for row in kept)

    wrong_id = kept[0]["shared_customer_id"]
    assert answer(eql("overlap", "wrong", wrong_id, "--actor", "ana", "--json"))["overlaps"][0]["confidence"] == 0
    again = answer(eql(*match))
    assert again["marked_wrong"] == 1
    assert wrong_id not in [one["shared_customer_id"] for one in again["overlaps"]]
    assert eql("overlap", "wrong", wrong_id, "--undo").returncode == 0
    assert answer(eql(*match))["overlaps"] != again["overlaps"]


def test_hashed_and_counted_only(eql: Eql, home: Path, tmp_path: Path) -> None:
    file = write(
        tmp_path / "list.csv", [(row["domain"], row["name"], "") for row in ours(home)] + [("hidden.com", "", "")]
    )
    key, out = tmp_path / "key.txt", tmp_path / "hashed.csv"
    key.write_text(KEY)
    assert eql("overlap", "hash", file, "--key-file", key, "--out", out).returncode == 0
    assert not [row["domain"] for row in ours(home) if row["domain"] in out.read_text()]
    before = len(stored(home, "shared_customers"))
    match = ("overlap", "match", out, "--partner", "P-01", "--key-file", key, "--json")
    result = answer(eql(*match, "--counts-only"))
    assert len(stored(home, "shared_customers")) == before
    assert result["accounts"] == {"customer": len(ours(home)), "opportunity": None, "prospect": None}
    assert not {"overlaps", "unmatched", "matched", "never_matched"} & {*result}
    assert answer(eql(*match))["matched"] == {"domain": len(ours(home)), "name": 0}


def test_what_cannot_be_used_is_refused_and_nothing_written(eql: Eql, home: Path, tmp_path: Path) -> None:
    before = stored(home, "shared_customers")
    good = write(tmp_path / "good.csv", [("acme.com", "", "")])
    layout = write(tmp_path / "layout.csv", [("acme.com",)], header=("company site",))
    rubbish = write(tmp_path / "rubbish.csv", [("n/a", "", ""), ("acme.com", "", ""), ("-", "", "")])
    key = tmp_path / "key.txt"
    key.write_text("short")
    for arguments, words in (
        ((layout, "--partner", "P-01"), ("layout.csv", "company site", "nothing was written")),
        ((rubbish, "--partner", "P-01"), ("2 of its 3 rows", "nothing was written")),
        ((good, "--partner", "P-999"), ("no partner P-999", "eql import")),
        ((good, "--partner", "P-01", "--key-file", key), ("key.txt", "16 bytes")),
        ((good, "--partner", "P-01", "--rejects", tmp_path / "no" / "where.csv"), ("where.csv", "cannot be written")),
        ((tmp_path / "absent.csv", "--partner", "P-01"), ("absent.csv",)),
    ):
        done = eql("overlap", "match", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert [word for word in words if word not in done.stderr] == []
    assert eql("overlap", "wrong", "nowhere").returncode == 1
    assert eql("overlap", "match", good, "--partner", "P-01", "--relationship", "friend").returncode == 2
    assert eql("overlap", "match", good).returncode == 2
    assert stored(home, "shared_customers") == before
    assert not (home / "overlap-rejects.csv").exists()


def test_a_failure_is_one_sentence_and_exit_code_1(start_eql: Eql, home: Path, tmp_path: Path) -> None:
    layout = write(tmp_path / "layout.csv", [("acme.com",)], header=("company site",))
    done = start_eql(home, "overlap", "match", layout, "--partner", "P-01")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("eql: ")
    assert done.stderr.count("\n") == 1
