"""The two years that the simulated world's facts fall in."""

import datetime as dt
from dataclasses import dataclass

from features.values import DAY, EPOCH, LAST_YEAR

DAYS = 730
FIRST_YEAR = 1972


@dataclass(frozen=True)
class SimulatedWindow:
    """From `start` to `cut`, microseconds at UTC midnights; nothing is recorded before or after."""

    start: int
    cut: int

    @classmethod
    def ending(cls, until: dt.date) -> "SimulatedWindow":
        """The two years whose last day is `until`.

        Raises:
            ValueError: they do not lie in the years records may hold.
        """
        if not FIRST_YEAR <= until.year < LAST_YEAR:
            raise ValueError(f"until must lie in the years {FIRST_YEAR} to {LAST_YEAR - 1}, not {until}")
        cut = ((until - EPOCH.date()).days + 1) * DAY
        return cls(cut - DAYS * DAY, cut)
