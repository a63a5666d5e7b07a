"""Times as exports write them, parsed into microseconds since the epoch."""

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from features.value_types import DAY, EPOCH, LAST_YEAR, microseconds, moment, parse_date
from training.importing.tables import TypedText

_ISO = re.compile(
    r"\d{4}-\d\d-\d\d([T ](\d\d:\d\d(:\d\d(\.\d{1,9})?)?|\d{6})(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII | re.IGNORECASE
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
        _, read = _first_reading(text, forms)
        try:
            aware = (read if read.tzinfo else read.replace(tzinfo=self.zone)).astimezone(dt.UTC)
        except OverflowError:
            aware = dt.datetime.min.replace(tzinfo=dt.UTC)
        if not 1970 <= aware.year <= LAST_YEAR:
            raise ValueError(f"must lie in the years 1970 to {LAST_YEAR}")
        return microseconds(aware)

    def day(self, text: str, forms: Sequence[str] = ()) -> int:
        """Microseconds of the UTC midnight of the calendar day in a date or time: as written, or as this clock has it.

        Raises:
            ValueError: the text is not a date, or lies outside the years 1970 to 2200.
        """
        form, read = _first_reading(text, forms)
        local = read.astimezone(self.zone) if form in _SINCE_1970 else read
        return parse_date(local.date().isoformat())

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


def readings(text: str, forms: Sequence[str]) -> Iterator[tuple[str, dt.datetime]]:
    """The forms that fit a text, in their order, and what the text says in each."""
    # A file that holds a time as a time gives it in ISO 8601.
    tried = (ISO, *forms) if isinstance(text, TypedText) or not forms else forms
    for form in tried:
        read = _read(text.strip(), form)
        if read is not None:
            yield form, read


def _read(text: str, form: str) -> dt.datetime | None:
    try:
        return _READERS[form](text) if form in _READERS else dt.datetime.strptime(text, form)  # noqa: DTZ007
    except (ValueError, OverflowError):
        return None


def _first_reading(text: str, forms: Sequence[str]) -> tuple[str, dt.datetime]:
    found = next(readings(text, forms), None)
    if found is None:
        default = "such as 2026-11-01 or 2026-11-01 09:30:00; name another form as format in the mapping"
        raise ValueError("must be a date or time " + (f"written {' or '.join(forms)}" if forms else default))
    return found


def _year_first(text: str) -> dt.datetime:
    """ISO 8601, also without hyphens or with slashes: the year comes first, so that no other reading is possible."""
    if other := _OTHER_DATES.match(text):
        month, day = (other["month"], other["day"]) if other["sign"] else (text[4:6], text[6:8])
        text = f"{other['year']}-{month:0>2}-{day:0>2}{text[other.end() :]}"
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


ISO = "iso"
"""The form of ISO 8601, which is the default."""
_OTHER_DATES = re.compile(
    r"(?P<year>\d{4})((?P<sign>[/.-])(?P<month>\d\d?)(?P=sign)(?P<day>\d\d?)|\d{4})(?=$|[T ])", re.ASCII | re.IGNORECASE
)
_DIGITS = re.compile(r"-?\d{1,15}(\.\d+)?", re.ASCII)
_SINCE_1970 = ("epoch", "epoch_ms")
NAMED = (ISO, *_SINCE_1970, "excel")
"""The forms with a name: ISO 8601, seconds and milliseconds since 1970 (UTC), and days of a spreadsheet (local)."""
_READERS: Mapping[str, Callable[[str], dt.datetime]] = {
    ISO: _year_first,
    "epoch": _seconds(1),
    "epoch_ms": _seconds(1000),
    "excel": _serial,
}


_DIRECTIVES = frozenset("aAbBdHIjmMpSfyYz")


def check_form(form: str) -> str:
    """`form` itself, if it is a strptime format with a year, or one of `NAMED`.

    Raises:
        ValueError: it is not such a format.
    """
    if form in NAMED:
        return form
    used = re.findall("%(.?)", form.replace("%%", ""))
    if not {"y", "Y"} & set(used) or set(used) - _DIRECTIVES or len(set(used)) < len(used):
        raise ValueError(
            f"must be a strptime format with a year, such as %d/%m/%Y %H:%M, or {', '.join(NAMED)}, not {form!r}"
        )
    return form
