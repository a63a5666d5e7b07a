"""The dialect of a file: which texts mean unknown, and how it writes times and numbers."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from training.importing.mapping_base import FoldedTexts
from training.importing.numbers import PLAIN, NumberFormat
from training.importing.time_parsing import Clock


@dataclass(frozen=True)
class Dialect:
    """How the cells of a block are written.

    Attributes:
        missing: texts that mean unknown.
        clock: of times without an offset.
        numbers: the format of numbers.
    """

    missing: FoldedTexts
    clock: Clock
    numbers: NumberFormat


MAPPING = Dialect(FoldedTexts.of([""]), Clock(ZoneInfo("UTC")), PLAIN)
"""The dialect of the constants in a mapping."""
