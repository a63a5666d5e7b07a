"""The public data with its after-the-fact columns declared at creation, and as the examples declare them."""

import functools
import os
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from features.catalogue import CATALOGUE
from features.folder import FolderWriter
from features.records import KINDS, Stored
from training.fitting.trainer import train
from training.importing import importer, mapping
from training.leaks import LeakFound

ROOT = Path(__file__).parents[2]
DATASETS = Path(os.environ.get("EQL_DATASETS", ROOT / ".." / "shared" / "datasets"))
NAMES = ("olist_funnel", "xeducation_leads", "bank_marketing", "sparklesquad_crm")
"""All examples but ibm_sales_win_loss, whose import alone takes longer than the rest together."""
Blocked = Callable[..., list[str]]


class Reached(Exception):
    """Training went past the search for leaks."""


@pytest.fixture(scope="module")
def blocked(tmp_path_factory: pytest.TempPathFactory) -> Blocked:
    """The attributes that block training on a data set, some of which are declared at creation after all."""

    @functools.cache
    def run(name: str, *at_creation: str) -> list[str]:
        if not (DATASETS / name).is_dir():
            pytest.skip(f"the public data {name} is not there (EQL_DATASETS)")
        return _blocked(name, at_creation, tmp_path_factory.mktemp(name))

    return run


def _blocked(name: str, at_creation: Collection[str], folder: Path) -> list[str]:
    text = (ROOT / "examples" / f"{name}.yaml").read_text("utf-8")
    lines = text.splitlines()
    for column in at_creation:
        (place,) = [i for i, line in enumerate(lines) if line.strip().startswith(f"{column}:") and "later" in line]
        lines[place] = lines[place].replace("known: later", "known: at_creation")
    (folder / "mapping.yaml").write_text("\n".join(lines), "utf-8")
    records: list[Stored] = []
    loaded = mapping.load(folder / "mapping.yaml")
    report = importer.run(DATASETS / name, loaded, records.extend, folder / "rejects.csv")
    with FolderWriter(folder / "records", report.provenance) as writer:
        for kind in KINDS.values():
            writer.write(kind, [one.row() for one in records if one.kind is kind])
    try:
        train(folder / "records", CATALOGUE, _stop_when_fitting)
    except LeakFound as found:
        return [suspect.name for suspect in found.suspects]
    except Reached:
        return []
    raise AssertionError("training ended without fitting anything")


def _stop_when_fitting(words: str) -> None:
    """The search comes before the first word of rolling origins or of a rung; what follows takes minutes."""
    if words.startswith(("rolling origin", "fitting")):
        raise Reached


@pytest.mark.parametrize("name", NAMES)
def test_an_honest_declaration_is_not_blocked(name: str, blocked: Blocked) -> None:
    assert blocked(name) == []


def test_what_sales_noted_of_a_lead_blocks_by_name(blocked: Blocked) -> None:
    assert blocked("xeducation_leads", "Tags") == ["Tags"]


def test_the_value_of_a_close_and_an_account_filled_in_by_it_block_by_name(blocked: Blocked) -> None:
    assert set(blocked("sparklesquad_crm", "close_value", "account")) == {"account", "close_value"}


def test_how_long_a_call_was_blocks_by_name(blocked: Blocked) -> None:
    assert blocked("bank_marketing", "duration") == ["duration"]
