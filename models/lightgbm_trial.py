"""A model's text is read and followed by LightGBM in a process of its own first, which it may end without harm.

LightGBM's parser is native code that trusts its input. `models.trees` checks all that the parser is known to follow.
What a check overlooks ends the child process, and the text is refused. Without this, the process that serves would end
at every start. Run as a script, this file is the child: it calls the library by its C interface, because the import of
the Python package takes seconds (https://lightgbm.readthedocs.io/en/stable/C-API.html).
"""

import ctypes
import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

_DEADLINE = 300.0
"""Seconds. Reading the largest bundle takes a few; on a busy machine more."""
_NATIVE_DOUBLE, _CONTRIBUTIONS = 1, 3
_TRIED_VALUES = (0.0, float("nan"), 1e300)
"""The value of every feature in each row that the child explains."""
_sound: set[str] = set()
"""The hashes of the texts that a child process read."""


class UnreadableByLightGBM(ValueError):
    """LightGBM cannot read the text of a model, or the process that tried ended."""


def try_text(text: str, outputs: int = 1) -> None:
    """Lets LightGBM read and follow a model's text in a child process, unless one did already.

    Args:
        text: the model, checked by `models.trees`.
        outputs: the number of values that the model predicts for a row.

    Raises:
        UnreadableByLightGBM: LightGBM refused the text, or the child ended or took too long.
    """
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    if sha256 in _sound:
        return
    command = [sys.executable, "-I", __file__, str(_library()), str(outputs)]
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=_DEADLINE, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise UnreadableByLightGBM(f"LightGBM did not read the model in {_DEADLINE:g} seconds") from None
    if done.returncode < 0:
        raise UnreadableByLightGBM(f"reading the model ended the process that tried (signal {-done.returncode})")
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise UnreadableByLightGBM(f"LightGBM cannot read the model: {reason}")
    _sound.add(sha256)


def _library() -> Path:
    """The native library in LightGBM's package, which is found without importing the package."""
    found = importlib.util.find_spec("lightgbm")
    folders = (found.submodule_search_locations if found else None) or ()
    return next(file for folder in folders for file in Path(folder, "lib").glob("lib_lightgbm.*"))


def _read_and_follow(library: str, outputs: int) -> None:
    """Reads a model from the standard input, and explains rows of zeros, of missing values and of large values."""
    native = ctypes.CDLL(library)
    native.LGBM_GetLastError.restype = ctypes.c_char_p
    model, iterations, features = ctypes.c_void_p(), ctypes.c_int(), ctypes.c_int()
    text = sys.stdin.buffer.read()
    _done(native, native.LGBM_BoosterLoadModelFromString(text, ctypes.byref(iterations), ctypes.byref(model)))
    _done(native, native.LGBM_BoosterGetNumFeature(model, ctypes.byref(features)))
    columns = features.value
    cells = [value for value in _TRIED_VALUES for _ in range(columns)]
    rows, count = (ctypes.c_double * len(cells))(*cells), len(_TRIED_VALUES)
    values, length = (ctypes.c_double * (count * (columns + 1) * outputs))(), ctypes.c_int64()
    options = (_NATIVE_DOUBLE, count, columns, 1, _CONTRIBUTIONS, 0, -1, b"num_threads=1")
    _done(native, native.LGBM_BoosterPredictForMat(model, rows, *options, ctypes.byref(length), values))


def _done(native: ctypes.CDLL, status: int) -> None:
    if status:
        sys.exit(native.LGBM_GetLastError().decode(errors="replace"))


if __name__ == "__main__":
    _read_and_follow(sys.argv[1], int(sys.argv[2]))
    # The library's own clean-up has nothing to save.
    os._exit(0)
