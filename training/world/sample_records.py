"""Sample records for notebooks: given records or a small simulated world, as they are or as of an earlier time."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from features.folder import PROVENANCE, read_provenance
from features.value_types import DAY
from training.world import PLAIN, Switches, simulate

ACCOUNTS = 5000
SEED = 1


def sample_records(arguments: Mapping[str, Any], scratch: Path, until: dt.date, switches: Switches = PLAIN) -> Path:
    """The folder in the argument `records`, else a simulated world.

    Args:
        arguments: of a notebook: `records`, or the number of `accounts` to simulate.
        scratch: an empty folder for the world.
        until: the world's last day.
        switches: the switches that make the world harder.
    """
    if given := arguments.get("records"):
        return Path(str(given))
    simulate(scratch / "world", int(arguments.get("accounts") or ACCOUNTS), SEED, until, switches=switches)
    return scratch / "world"


def records_before(records: Path, days: int, into: Path) -> Path:
    """The records with a data cut `days` days earlier, as a folder of links to the files.

    A training on them knows no outcome after that cut.

    Raises:
        ValueError: `days` is below 1, or the records have no data cut.
        FolderError: the records cannot be read.
    """
    if days < 1:
        raise ValueError(f"days must be 1 or more, not {days}")
    known = read_provenance(records)
    if known.cut is None:
        raise ValueError(f"{records} has no data cut; export the store's records with `eql export`")
    into.mkdir(parents=True)
    for file in records.iterdir():
        if file.name != PROVENANCE:
            (into / file.name).symlink_to(file.absolute())
    (into / PROVENANCE).write_text(replace(known, cut=known.cut - days * DAY).to_json(), encoding="utf-8")
    return into
