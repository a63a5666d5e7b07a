"""Folders for work in progress inside the home. One that a killed process left is removed at a later start.

A lock tells a folder in use from a leftover. It works between containers too, where process ids say nothing.
"""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIXES = ("export-", "simulated-")
_LOCK = ".lock"


@contextmanager
def scratch_folder(home: Path, prefix: str) -> Iterator[Path]:
    """A folder in the home, which is deleted after the block. `prefix` is `export-` or `simulated-`."""
    with tempfile.TemporaryDirectory(dir=home, prefix=prefix) as name:
        folder = Path(name)
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder


def remove_leftovers(home: Path) -> list[str]:
    """Removes the folders that no process uses any more; returns their names."""
    found = [folder for prefix in _PREFIXES for folder in home.glob(f"{prefix}*") if folder.is_dir()]
    left = [folder for folder in found if _is_unused(folder)]
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
    return sorted(folder.name for folder in left)


def _is_unused(folder: Path) -> bool:
    try:
        with (folder / _LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        # Of an earlier version, which locked nothing.
        return True
    except OSError:
        return False
    return True
