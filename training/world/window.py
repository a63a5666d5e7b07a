"""The two years of the simulated world's facts."""

import datetime as dt
from dataclasses import dataclass

from features.value_types import DAY, EPOCH, LAST_YEAR

DAYS = 730
FIRST_YEAR = 1972


@dataclass(frozen=True)
class SimulatedWindow:
    """The window from `start` to `cut`, microseconds at UTC midnights; every fact is recorded inside it."""

    start: int
    cut: int

    @classmethod
    def ending(cls, until: dt.date) -> "SimulatedWindow":
        """The two years whose last day is `until`.

        Raises:
            ValueError: the years are outside those that records may hold.
        """
        if not FIRST_YEAR <= until.year < LAST_YEAR:
            raise ValueError(f"until must lie in the years {FIRST_YEAR} to {LAST_YEAR - 1}, not {until}")
        cut = ((until - EPOCH.date()).days + 1) * DAY
        return cls(cut - DAYS * DAY, cut)
