"""The blocks of a mapping file: the files of an export, and what their columns mean for each kind of record."""

from collections.abc import Collection
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from typing_extensions import override

from features.folding import fold
from features.value_types import Currency
from training.importing.fields import FieldSource, Forms, short_form
from training.importing.mapping_base import MappingPart, Name, Names, Text, Texts, listed, truth, whole_number

ROW = "row"
"""In place of a column: the number of the row, from 1."""
NONE = "none"
"""In place of a column: there is none."""


def _encoding(name: str) -> str:
    try:
        "".encode(name)
    except (LookupError, UnicodeError):
        raise ValueError(f"must be an encoding such as utf-8 or cp1252, not {name!r}") from None
    return name


class Time(MappingPart):
    """A column of times, ISO 8601 or of other forms."""

    column: Name
    format: Annotated[Forms, Field(description="forms of the times, tried in order; default ISO")] = ()


Decimal = Annotated[Literal[".", ","], BeforeValidator(str, json_schema_input_type=Literal[".", ","])]
Thousands = Annotated[
    Literal[",", ".", " ", "'", "’"],
    BeforeValidator(str, json_schema_input_type=Literal[",", ".", " ", "'", "’"]),
]
TimeColumn = Annotated[Time, BeforeValidator(short_form("column"), json_schema_input_type=Name | Time)]
SameOrColumn = Annotated[
    Time | None,
    BeforeValidator(
        lambda value: None if value == "same" else short_form("column")(value), json_schema_input_type=Name | Time
    ),
]
"""A column of times, or `same`: recorded when it happened."""


PARQUET = (".parquet",)
WORKBOOKS = (".xlsx", ".xlsm")
OTHER_WORKBOOKS = (".xls", ".xlsb", ".ods", ".numbers")


class File(MappingPart):
    """A CSV, Parquet or .xlsx file of the export, relative to its folder; .gz is unpacked."""

    file: Name
    separator: Annotated[Text, Field(pattern=r'^[^"\r\n]$')] = ","
    encoding: Annotated[Text, AfterValidator(_encoding)] = "utf-8"
    skip_lines: Annotated[
        int,
        BeforeValidator(whole_number, json_schema_input_type=int),
        Field(description="lines above the line with the names of the columns"),
    ] = 0
    sheet: Annotated[Name | None, Field(description="of an .xlsx file; by default the first")] = None

    @model_validator(mode="after")
    def _of_its_format(self) -> "File":
        suffix = PurePath(self.file).suffix.lower()
        if self.sheet is not None and suffix not in WORKBOOKS:
            raise ValueError(f"has a sheet, but {self.file} is no .xlsx file; leave out sheet")
        if self.skip_lines and suffix in PARQUET:
            raise ValueError(f"has skip_lines, but {self.file} is Parquet, which has no lines; leave out skip_lines")
        return self


class Join(File):
    """Columns looked up in another file by a column both files have."""

    on: Name
    columns: Annotated[Names, Field(min_length=1)]


class Amount(MappingPart):
    """A column of amounts in major units of one currency."""

    column: Name
    currency: Currency


class Outcome(MappingPart):
    """The column that tells won and lost rows; any other value is still open.

    Texts are compared folded, without blanks at their ends, unless `exact` is true.
    """

    column: Name
    won: Annotated[Texts, Field(min_length=1)]
    lost: Texts = ()
    exact: Annotated[
        bool,
        BeforeValidator(truth, json_schema_input_type=bool),
        Field(description="true: upper and lower case differ"),
    ] = False
    closed_at: TimeColumn | None = None
    closed_at_fallback: Annotated[
        TimeColumn | None, Field(description="the time of the close where closed_at is missing")
    ] = None
    amount: Annotated[Amount | None, Field(description="the amount of the deal, on its close or while it is open")] = (
        None
    )

    def compared(self, text: str) -> str:
        """A text as it is compared with those of `won` and `lost`."""
        return text.strip() if self.exact else fold(text)

    def events(self) -> dict[str, str]:
        """The event of each text, as `compared` gives it."""
        return {
            **{self.compared(text): "won" for text in self.won},
            **{self.compared(text): "lost" for text in self.lost},
        }

    @model_validator(mode="after")
    def _apart(self) -> "Outcome":
        lost = {*map(self.compared, self.lost)}
        if both := [text for text in self.won if self.compared(text) in lost]:
            raise ValueError(f"has {min(both)!r} as both won and lost; keep it in one of them")
        if self.closed_at_fallback is not None and self.closed_at is None:
            raise ValueError("has closed_at_fallback without closed_at; name closed_at too")
        return self


class Extra(MappingPart):
    """An extra column that becomes a feature of leads."""

    column: Annotated[Name | None, Field(description="by default the attribute's own name")] = None
    kind: Annotated[Literal["number", "category"] | None, Field(description="inferred where absent")] = None
    known: Annotated[Literal["at_creation", "later"], Field(description="at_creation, or later: kept out")]
    none: Annotated[Texts, Field(description='texts that mean "none" rather than unknown')] = ()


class Others(MappingPart):
    """Every column that the mapping does not name elsewhere, as an attribute of the column's name."""

    known: Annotated[Literal["at_creation", "later"], Field(description="at_creation, or later: kept out")]
    except_: Annotated[Names, Field(alias="except")] = ()


class Attributes(MappingPart):
    """Attributes by name; `"*"` stands for every column not named elsewhere."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[Name, Extra]
    others: Annotated[Others | None, Field(alias="*")] = None

    def named(self) -> dict[str, Extra]:
        """The attributes that have a name of their own."""
        return dict(self.__pydantic_extra__)


class Block(File):
    """What all kinds of records have in common."""

    id: Name = ROW
    missing: Texts | None = None
    decimal: Decimal | None = None
    thousands: Thousands | None = None
    where: Annotated[
        dict[Name, Annotated[Texts, Field(min_length=1)]],
        Field(default_factory=dict, description="only rows with one of these texts in each of these columns"),
    ]
    recorded_at: SameOrColumn = None
    joins: Annotated[tuple[Join, ...], BeforeValidator(listed, json_schema_input_type=list[Join])] = ()
    fields: Annotated[dict[Name, FieldSource], Field(default_factory=dict)]

    def happened(self) -> Time | None:
        """The column of the time when it happened."""
        return None

    def parent(self) -> str | None:
        """The column that names the lead or account it speaks of."""
        return None

    def used(self) -> Collection[str] | None:
        """Every column that the block reads, of its own file or of those it joins; None for all columns."""
        return {*self.columns(), *(column for join in self.joins for column in join.columns)}

    def columns(self) -> tuple[str, ...]:
        """Every column the block names but for its attributes."""
        times = [time.column for time in (self.happened(), self.recorded_at) if time]
        fields = [source.column for source in self.fields.values()]
        keys = [None if self.id == ROW else self.id, self.parent()]
        on = (join.on for join in self.joins)
        return tuple(name for name in (*keys, *times, *fields, *on, *self.where) if name)


class Entity(Block):
    """Accounts or partners, known as they are from `recorded_at` on (always, where absent)."""

    id: Name


class Leads(Block):
    """Leads, with what only they have: an order, groups, an outcome and attributes."""

    id: Name
    occurred_at: TimeColumn | None = None
    time: Annotated[Literal["none"] | None, Field(description="none: the export has no dates")] = None
    order: Annotated[Name, Field(description="a column of whole numbers, row or none")] = NONE
    group_by: Names = ()
    outcome: Outcome | None = None
    attributes: Attributes = Attributes()

    @model_validator(mode="after")
    def _dated(self) -> "Leads":
        closed = self.outcome.closed_at if self.outcome else None
        _dated_or_not(self.occurred_at, self.time, self.recorded_at or closed)
        return self

    @override
    def happened(self) -> Time | None:
        return self.occurred_at

    @override
    def columns(self) -> tuple[str, ...]:
        outcome = [self.outcome.column] if self.outcome else []
        parts = (self.outcome.closed_at, self.outcome.closed_at_fallback, self.outcome.amount) if self.outcome else ()
        closed = [part.column for part in parts if part]
        order = [self.order] if self.order not in (ROW, NONE) else []
        return (*super().columns(), *outcome, *closed, *order, *self.group_by)

    @override
    def used(self) -> Collection[str] | None:
        if self.attributes.others is not None:
            return None
        named = self.attributes.named()
        return {*(super().used() or ()), *(extra.column or name for name, extra in named.items())}


class AccountRecord(Block):
    """Shared customers or integration usage: their days are fields."""

    account: Name

    @override
    def parent(self) -> str:
        return self.account


class Dated(Block):
    """Facts that stand alone, each at a time."""

    occurred_at: TimeColumn

    @override
    def happened(self) -> Time:
        return self.occurred_at


class LeadFact(Dated):
    """Facts of a lead, each at a time."""

    lead: Name

    @override
    def parent(self) -> str:
        return self.lead


class LeadEvents(Block):
    """Steps of the sales process of a lead."""

    lead: Name
    occurred_at: TimeColumn | None = None
    time: Annotated[Literal["none"] | None, Field(description="none: the export has no dates")] = None
    event: Annotated[Literal["opened", "stage", "won", "lost", "reopened"] | None, Field(description="constant")] = None

    @model_validator(mode="after")
    def _one_event(self) -> "LeadEvents":
        if (self.event is None) == ("event" not in self.fields):
            raise ValueError("must have either event: won (or another constant) or a field event")
        _dated_or_not(self.occurred_at, self.time, self.recorded_at)
        return self

    @override
    def happened(self) -> Time | None:
        return self.occurred_at

    @override
    def parent(self) -> str:
        return self.lead


def _dated_or_not(occurred_at: Time | None, time: str | None, other: Time | None) -> None:
    if (occurred_at is None) == (time is None):
        raise ValueError("must have either occurred_at or, where the export has no dates, time: none")
    if time is not None and other is not None:
        raise ValueError(f"has time: none but takes times from {other.column!r}; leave out one of them")
