"""Times as exports write them, parsed into microseconds since the epoch."""

import datetime as dt
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from features.value_types import DAY, LAST_YEAR, microseconds, moment, parse_date

_ISO = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True)
class Clock:
    """The clock of an export: times without an offset are local times of `zone`.

    A date is its first moment. When clocks go back, a time in the repeated hour is read as its first occurrence. When
    clocks go forward, a time in the skipped hour keeps the offset from before, so that 02:30 is an hour after 01:30.
    """

    zone: ZoneInfo

    def instant(self, text: str, form: str | None = None) -> int:
        """Microseconds of an ISO date or time, or of one written in the strptime format `form`.

        Raises:
            ValueError: the text is not such a time, or lies outside the years 1970 to 2200.
        """
        read = _written(text, form)
        try:
            aware = (read if read.tzinfo else read.replace(tzinfo=self.zone)).astimezone(dt.UTC)
        except OverflowError:
            aware = dt.datetime.min.replace(tzinfo=dt.UTC)
        if not 1970 <= aware.year <= LAST_YEAR:
            raise ValueError(f"must lie in the years 1970 to {LAST_YEAR}")
        return microseconds(aware)

    def end(self, text: str) -> int:
        """As `instant`, but a date is the end of its day."""
        first = self.instant(text)
        if len(text.strip()) > len("2018-12-31"):
            return first
        day = moment(first).astimezone(self.zone).date() + dt.timedelta(days=1)
        return microseconds(dt.datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(dt.UTC))

    def starts_day_of(self, midnight: int, instant: int) -> bool:
        """Whether `midnight` is the first moment of the local day that `instant` lies in."""
        if not 0 <= instant - midnight <= 2 * DAY:
            return False
        local = moment(instant).astimezone(self.zone)
        return midnight == microseconds(local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0))


def calendar_day(text: str, form: str | None = None) -> int:
    """Microseconds of the UTC midnight of the calendar day in a date or time, as written.

    Raises:
        ValueError: the text is not a date, or lies outside the years 1970 to 2200.
    """
    return parse_date(_written(text, form).date().isoformat())


def _written(text: str, form: str | None) -> dt.datetime:
    text = text.strip()
    try:
        if form is not None:
            return dt.datetime.strptime(text, form)  # noqa: DTZ007, the caller adds the zone
        if _ISO.fullmatch(text):
            return dt.datetime.fromisoformat(text.upper())
    except ValueError:
        pass
    example = f"written {form}" if form else "such as 2026-11-01 or 2026-11-01 09:30:00"
    raise ValueError(f"must be a date or time {example}")


_DIRECTIVES = frozenset("aAbBdHIjmMpSfyYz")


def check_form(form: str) -> str:
    """`form` itself, if it is a strptime format with a year.

    Raises:
        ValueError: it is not such a format.
    """
    used = re.findall("%(.?)", form.replace("%%", ""))
    if not {"y", "Y"} & set(used) or set(used) - _DIRECTIVES or len(set(used)) < len(used):
        raise ValueError(f"must be a strptime format with a year, such as %d/%m/%Y %H:%M, not {form!r}")
    return form
