"""Times as exports write them, parsed into microseconds since the epoch."""

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from features.value_types import DAY, EPOCH, LAST_YEAR, microseconds, moment, parse_date

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

    def instant(self, text: str, forms: Sequence[str] = ()) -> int:
        """Microseconds of an ISO date or time, or of one written in the first of `forms` that fits.

        Raises:
            ValueError: the text is not such a time, or lies outside the years 1970 to 2200.
        """
        read = _written(text, forms)
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


def calendar_day(text: str, forms: Sequence[str] = ()) -> int:
    """Microseconds of the UTC midnight of the calendar day in a date or time, as written.

    Raises:
        ValueError: the text is not a date, or lies outside the years 1970 to 2200.
    """
    return parse_date(_written(text, forms).date().isoformat())


def _written(text: str, forms: Sequence[str]) -> dt.datetime:
    text = text.strip()
    for form in forms or (_YEAR_FIRST,):
        try:
            return _READERS[form](text) if form in _READERS else dt.datetime.strptime(text, form)  # noqa: DTZ007
        except (ValueError, OverflowError):
            continue
    example = f"written {' or '.join(forms)}" if forms else "such as 2026-11-01 or 2026-11-01 09:30:00"
    raise ValueError(f"must be a date or time {example}")


def _year_first(text: str) -> dt.datetime:
    """ISO 8601, also without hyphens or with slashes: the year comes first, so that no other reading is possible."""
    if compact := _COMPACT.fullmatch(text):
        text = "-".join(compact.groups())
    if not _ISO.fullmatch(text):
        raise ValueError
    return dt.datetime.fromisoformat(text.upper())


def _seconds(divisor: int) -> Callable[[str], dt.datetime]:
    def read(text: str) -> dt.datetime:
        # A form of digits alone: `nan` and `1e9` are no times.
        if not _DIGITS.fullmatch(text):
            raise ValueError
        return EPOCH + dt.timedelta(seconds=float(text) / divisor)

    return read


def _serial(text: str) -> dt.datetime:
    """A day of a spreadsheet: days since 1899-12-30, whose fraction is the time of day (local)."""
    if not _DIGITS.fullmatch(text):
        raise ValueError
    moment = dt.datetime(1899, 12, 30) + dt.timedelta(days=float(text))  # noqa: DTZ001, the caller adds the zone
    return (moment + dt.timedelta(microseconds=500)).replace(microsecond=0)


_YEAR_FIRST = "year first"
_COMPACT = re.compile(r"(\d{4})[/.]?(\d\d)[/.]?(\d\d)", re.ASCII)
_DIGITS = re.compile(r"-?\d{1,15}(\.\d+)?", re.ASCII)
NUMERIC = ("epoch", "epoch_ms", "excel")
"""The forms of times that are numbers: seconds and milliseconds since 1970 (UTC), and days of a spreadsheet (local)."""
_READERS: Mapping[str, Callable[[str], dt.datetime]] = {
    _YEAR_FIRST: _year_first,
    "epoch": _seconds(1),
    "epoch_ms": _seconds(1000),
    "excel": _serial,
}


_DIRECTIVES = frozenset("aAbBdHIjmMpSfyYz")


def check_form(form: str) -> str:
    """`form` itself, if it is a strptime format with a year, or one of `NUMERIC`.

    Raises:
        ValueError: it is not such a format.
    """
    if form in NUMERIC:
        return form
    used = re.findall("%(.?)", form.replace("%%", ""))
    if not {"y", "Y"} & set(used) or set(used) - _DIRECTIVES or len(set(used)) < len(used):
        raise ValueError(
            f"must be a strptime format with a year, such as %d/%m/%Y %H:%M, or {', '.join(NUMERIC)}, not {form!r}"
        )
    return form
