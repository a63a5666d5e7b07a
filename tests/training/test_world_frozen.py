"""The frozen worlds stay what they were when models were first judged on them."""

import datetime as dt
from pathlib import Path

import pytest

from training.world import PLAIN, WORLDS, Switches, fingerprint, simulate
from training.world.frozen import sample

DOCUMENT = Path(__file__).parents[2] / "docs" / "simulated-world.md"
UNTIL = dt.date(2026, 6, 30)


@pytest.mark.parametrize("name", WORLDS)
def test_a_frozen_world_has_not_changed(name: str) -> None:
    world = WORLDS[name]
    found = sample(world.switches)
    assert found == world.sha256, (
        f"the frozen world {name!r} is no longer what it was: its sample now has the fingerprint {found}. Scores of "
        "models in it cannot be compared with earlier ones. Undo the change; or, if it was wanted, give the new world "
        "a new name beside the old ones in training/world/frozen.py and measure everything again."
    )


def test_the_fingerprint_is_of_the_content_not_the_files(tmp_path: Path) -> None:
    for format in ("parquet", "csv"):
        simulate(tmp_path / format, 8, 3, UNTIL, format)
    simulate(tmp_path / "other", 8, 4, UNTIL)
    simulate(tmp_path / "switched", 8, 3, UNTIL, switches=Switches(drift=0.01))
    assert fingerprint(tmp_path / "parquet") == fingerprint(tmp_path / "csv")
    assert len({fingerprint(tmp_path / name) for name in ("parquet", "other", "switched")}) == 3


@pytest.mark.parametrize("name", WORLDS)
def test_the_documentation_says_what_a_frozen_world_is(name: str) -> None:
    switches, plain = vars(WORLDS[name].switches), vars(PLAIN)
    options = [f"--{k.replace('_', '-')} {v}" for k, v in switches.items() if v != plain[k]]
    told = f"`{' '.join(options)}`" if options else "none"
    assert f"| `{name}` | {told} | {WORLDS[name].stresses} |" in DOCUMENT.read_text("utf-8")


def test_the_worlds_differ() -> None:
    assert len({world.switches for world in WORLDS.values()}) == len(WORLDS) == 3
