"""The value types of records: instants, dates, texts, money, with their bounds.

Inside the software a time is an integer, the microseconds since 1970-01-01T00:00:00Z. Only the edges read and write
RFC 3339.
"""

import datetime as dt
import re
from collections.abc import Mapping
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

from features import codes

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


def _read_id(text: str, info: ValidationInfo) -> str:
    if info.context is KEPT:
        return text
    if not text.isprintable():
        raise ValueError("must hold printable characters only, without line breaks and control characters")
    if text != text.strip():
        raise ValueError("must neither begin nor end with a blank")
    return text


def _read_country(code: str, info: ValidationInfo) -> str:
    return code if info.context is KEPT else codes.country(code)


def _read_currency(code: str, info: ValidationInfo) -> str:
    return code if info.context is KEPT else codes.currency(code)


KEPT: Mapping[str, bool] = {"kept": True}
"""The validation context of values that an earlier version of the software took in: later constraints on ids, countries
and currencies do not hold for them.
"""
_NO_NUL: dict[str, JsonValue] = {"pattern": r"^[^\x00]*$"}
_NO_NUL_NOR_BAR: dict[str, JsonValue] = {"pattern": r"^[^\x00|]*$"}
_PRINTABLE: dict[str, JsonValue] = {"pattern": r"^[^\x00-\x1f\x7f]*$"}

Instant = TypeAliasType(
    "Instant",
    Annotated[
        int,
        BeforeValidator(_read_instant),
        WithJsonSchema(
            {"type": "string", "format": "date-time", "description": "A moment, RFC 3339 with an offset, 1970 to 2200."}
        ),
    ],
)
Date = TypeAliasType(
    "Date",
    Annotated[
        int,
        BeforeValidator(_read_date),
        WithJsonSchema({"type": "string", "format": "date", "description": "A calendar day, YYYY-MM-DD."}),
    ],
)
Id = TypeAliasType(
    "Id",
    Annotated[
        str,
        Field(
            min_length=1,
            max_length=200,
            json_schema_extra=_PRINTABLE,
            description="An id: printable characters, without a blank at its beginning or end.",
        ),
        AfterValidator(_no_nul),
        AfterValidator(_read_id),
    ],
)
KeptId = TypeAliasType(
    "KeptId",
    Annotated[
        str,
        Field(min_length=1, max_length=200, json_schema_extra=_NO_NUL, description="The id of a kept record."),
        AfterValidator(_no_nul),
    ],
)
Text = TypeAliasType(
    "Text",
    Annotated[
        str,
        Field(min_length=1, max_length=500, json_schema_extra=_NO_NUL, description="A text."),
        AfterValidator(_no_nul),
    ],
)
Item = TypeAliasType(
    "Item",
    Annotated[
        Text,
        Field(json_schema_extra=_NO_NUL_NOR_BAR, description="An item of a list: a text without the character |."),
        AfterValidator(_no_bar),
    ],
)
Category = TypeAliasType(
    "Category",
    Annotated[
        str,
        Field(
            min_length=1,
            max_length=500,
            json_schema_extra=_NO_NUL,
            description="A text that names a category. Texts are compared without regard to case and to outer blanks.",
        ),
        AfterValidator(_no_nul),
    ],
)
"""A free text that names a category, such as an industry or a tier: it is compared folded (see `features.folding`)."""
Url = TypeAliasType(
    "Url",
    Annotated[
        str,
        Field(min_length=1, max_length=2048, json_schema_extra=_NO_NUL, description="An address on the web."),
        AfterValidator(_no_nul),
    ],
)
Email = TypeAliasType(
    "Email",
    Annotated[
        str,
        Field(max_length=254, json_schema_extra={"format": "email"}, description="An e-mail address."),
        AfterValidator(_read_email),
    ],
)
Domain = TypeAliasType(
    "Domain",
    Annotated[
        str,
        Field(
            max_length=253,
            json_schema_extra={"format": "hostname"},
            description="A domain, without scheme and path.",
        ),
        AfterValidator(_read_domain),
    ],
)
Country = TypeAliasType(
    "Country",
    Annotated[
        str,
        Field(pattern="^[A-Z]{2}$", description="A country, ISO 3166-1 alpha-2; UK and EL are read as GB and GR."),
        AfterValidator(_read_country),
    ],
)
Currency = TypeAliasType(
    "Currency",
    Annotated[str, Field(pattern="^[A-Z]{3}$", description="A currency, ISO 4217."), AfterValidator(_read_currency)],
)
Count = TypeAliasType("Count", Annotated[int, Field(ge=0, le=MAX_INTEGER, description="A number from 0 on.")])
Measure = TypeAliasType("Measure", Annotated[float, Field(ge=0, description="A number from 0 on.")])
Share = TypeAliasType("Share", Annotated[float, Field(ge=0, le=1, description="A share, 0 to 1.")])


class Money(BaseModel):
    """An amount in integer minor units (cents) of an ISO 4217 currency."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    minor: Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)]
    """The amount in minor units, such as cents."""
    currency: Currency
    """The currency, ISO 4217."""


class Size(Money):
    """Money that measures a size, such as annual revenue, and so is never negative."""

    minor: Count
    """The amount in minor units, such as cents."""
