"""The value types of records: instants, dates, texts, money, with their bounds.

Inside the software a time is an integer, the microseconds since 1970-01-01T00:00:00Z. Only the edges read and write
RFC 3339.
"""

import datetime as dt
import re
from typing import Annotated, Any, TypeAlias

from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    WithJsonSchema,
)
from typing_extensions import TypeAliasType

SECOND = 1_000_000
DAY = 86_400 * SECOND
MAX_INTEGER = 2**53
"""The largest integer that is exact in every JSON reader; some read doubles (RFC 8259, section 6)."""

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
LAST_YEAR = 2200
_END = (dt.datetime(LAST_YEAR + 1, 1, 1, tzinfo=dt.UTC) - EPOCH) // dt.timedelta(microseconds=1)
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_HOST = re.compile(r"(?=.{4,253}$)([^\W_]([\w-]{0,61}[^\W_])?\.)+[^\W\d_]([\w-]{0,61}[^\W_])")

Scalar: TypeAlias = str | int | float | bool | None
"""A value of a record's column or of a feature; None is unknown."""


def microseconds(moment: dt.datetime) -> int:
    """The microseconds since the epoch of an aware datetime."""
    return (moment - EPOCH) // dt.timedelta(microseconds=1)


def moment(instant: int) -> dt.datetime:
    """The aware UTC datetime of an instant in microseconds."""
    return EPOCH + dt.timedelta(microseconds=instant)


def rfc3339(instant: int) -> str:
    """An instant as RFC 3339 text in UTC, with a fraction of a second only where it is not 0.

    >>> rfc3339(1_793_491_200_000_000), rfc3339(1_793_491_200_500_000)
    ('2026-11-01T00:00:00Z', '2026-11-01T00:00:00.500000Z')
    """
    return moment(instant).isoformat().replace("+00:00", "Z")


def iso_date(instant: int) -> str:
    """The UTC calendar day of an instant.

    >>> iso_date(1_793_491_200_000_000)
    '2026-11-01'
    """
    return moment(instant).date().isoformat()


def parse_instant(text: str) -> int:
    """The instant, in microseconds, of an RFC 3339 time with an offset, in the years 1970 to 2200.

    >>> parse_instant("2026-11-01T01:00:00+01:00") == parse_instant("2026-11-01T00:00:00Z") == 1_793_491_200_000_000
    True

    Raises:
        ValueError: the text is not such a time.
    """
    if not _RFC_3339.fullmatch(text):
        raise ValueError("must be an RFC 3339 time with an offset, such as 2026-11-01T00:00:00Z")
    try:
        instant = microseconds(dt.datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError):
        raise ValueError("must be a time that exists, such as 2026-11-01T00:00:00Z") from None
    return _in_range(instant)


def parse_date(text: str) -> int:
    """The UTC midnight, in microseconds, that begins a calendar day written YYYY-MM-DD.

    Raises:
        ValueError: the text is not such a day, or lies outside the years 1970 to 2200.
    """
    if not _DATE.fullmatch(text):
        raise ValueError("must be a calendar day written YYYY-MM-DD")
    try:
        midnight = microseconds(dt.datetime.fromisoformat(f"{text}T00:00:00+00:00"))
    except ValueError:
        raise ValueError("must be a calendar day that exists, written YYYY-MM-DD") from None
    return _in_range(midnight)


def _in_range(instant: int) -> int:
    if not 0 <= instant < _END:
        raise ValueError(f"must lie in the years 1970 to {LAST_YEAR}")
    return instant


def _read_instant(value: Any, info: ValidationInfo) -> int:
    if isinstance(value, str):
        return parse_instant(value)
    if info.mode == "python" and type(value) is int:
        return _in_range(value)
    raise ValueError("must be an RFC 3339 time with an offset, written as text")


def _read_date(value: Any, info: ValidationInfo) -> int:
    if isinstance(value, str):
        return parse_date(value)
    if info.mode == "python" and type(value) is int:
        return _in_range(value - value % DAY)
    raise ValueError("must be a calendar day written YYYY-MM-DD")


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain the NUL character")
    return text


def _no_bar(text: str) -> str:
    if "|" in text:
        raise ValueError("must not contain the character |")
    return text


def _read_email(text: str) -> str:
    try:
        address = validate_email(text, check_deliverability=False, test_environment=True, strict=True)
    except EmailNotValidError:
        raise ValueError("must be an e-mail address such as name@company.example") from None
    return address.normalized.lower()


def _read_domain(text: str) -> str:
    host = text.lower().removesuffix(".")
    if not _HOST.fullmatch(host):
        raise ValueError("must be a domain such as company.example, without scheme or path")
    return host


Instant = TypeAliasType(
    "Instant", Annotated[int, BeforeValidator(_read_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
)
Date = TypeAliasType(
    "Date", Annotated[int, BeforeValidator(_read_date), WithJsonSchema({"type": "string", "format": "date"})]
)
_NO_NUL: dict[str, JsonValue] = {"pattern": r"^[^\x00]*$"}
_NO_NUL_NOR_BAR: dict[str, JsonValue] = {"pattern": r"^[^\x00|]*$"}
Id = TypeAliasType(
    "Id", Annotated[str, Field(min_length=1, max_length=200, json_schema_extra=_NO_NUL), AfterValidator(_no_nul)]
)
Text = TypeAliasType(
    "Text", Annotated[str, Field(min_length=1, max_length=500, json_schema_extra=_NO_NUL), AfterValidator(_no_nul)]
)
Item = TypeAliasType("Item", Annotated[Text, Field(json_schema_extra=_NO_NUL_NOR_BAR), AfterValidator(_no_bar)])
Url = TypeAliasType(
    "Url", Annotated[str, Field(min_length=1, max_length=2048, json_schema_extra=_NO_NUL), AfterValidator(_no_nul)]
)
Email = TypeAliasType(
    "Email", Annotated[str, Field(max_length=254, json_schema_extra={"format": "email"}), AfterValidator(_read_email)]
)
Domain = TypeAliasType(
    "Domain",
    Annotated[str, Field(max_length=253, json_schema_extra={"format": "hostname"}), AfterValidator(_read_domain)],
)
Country = TypeAliasType("Country", Annotated[str, Field(pattern="^[A-Z]{2}$")])
Count = TypeAliasType("Count", Annotated[int, Field(ge=0, le=MAX_INTEGER)])
Measure = TypeAliasType("Measure", Annotated[float, Field(ge=0)])
Share = TypeAliasType("Share", Annotated[float, Field(ge=0, le=1)])


class Money(BaseModel):
    """An amount in integer minor units (cents) of an ISO 4217 currency."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    minor: Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)]
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]


class Size(Money):
    """Money that measures a size, such as annual revenue, and so is never negative."""

    minor: Count
