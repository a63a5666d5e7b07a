"""The mapping file: which column of which file of an export is what."""

from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from features.catalogue.entry import FACTS
from features.records import KINDS, constraint
from training.importing.blocks import (
    AccountRecord,
    Block,
    Dated,
    Decimal,
    Entity,
    LeadEvents,
    LeadFact,
    Leads,
    Thousands,
)
from training.importing.dialect import Dialect
from training.importing.errors import InvalidMapping, hint
from training.importing.fields import Source, check
from training.importing.mapping_base import FoldedTexts, MappingPart, Text, Texts, listed, read_yaml
from training.importing.numbers import NumberFormat
from training.importing.time_parsing import Clock


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(f"must be a time zone, not {name!r}; {hint(name, sorted(available_timezones()))}") from None
    return name


def _fact_kinds(names: Any) -> Any:
    for name in listed(names):
        if name not in FACTS:
            raise ValueError(f"must name kinds of facts, not {name!r}; {hint(str(name), sorted(FACTS))}")
    return tuple(names)


class Records(MappingPart):
    """The kinds of records in the export."""

    accounts: Entity | None = None
    partners: Entity | None = None
    leads: Leads | None = None
    referrals: LeadFact | None = None
    confirmations: LeadFact | None = None
    shared_customers: AccountRecord | None = None
    integration_usage: AccountRecord | None = None
    touchpoints: LeadFact | None = None
    buying_signals: LeadFact | None = None
    lead_events: LeadEvents | None = None
    spend: Dated | None = None
    agreements: Dated | None = None
    payouts: Dated | None = None
    exchange_rates: Dated | None = None

    def blocks(self) -> dict[str, Block]:
        """The blocks by kind, entities before the facts that speak of them."""
        given = {name: getattr(self, name) for name in KINDS}
        return {name: block for name, block in given.items() if block is not None}

    @model_validator(mode="after")
    def _consistent(self) -> "Records":
        blocks = self.blocks()
        if not blocks:
            raise ValueError("must name at least one kind, such as leads")
        for name, block in blocks.items():
            if KINDS[name].parent == "lead_id" and self.leads is None:
                raise ValueError(f".{name} speaks of leads; add records.leads, else none of its rows has a lead")
            for field, source in block.fields.items():
                _check(name, field, source)
        return self


def _check(kind: str, field: str, source: Source) -> None:
    try:
        check(KINDS[kind], field, source)
    except ValueError as error:
        raise ValueError(f".{kind}.fields.{field} {error}") from None


class Mapping(MappingPart):
    """A mapping file: how to read a CRM export as records."""

    timezone: Annotated[Text, AfterValidator(_zone), Field(description="of times without an offset")] = "UTC"
    missing: Annotated[Texts, Field(description="texts that mean unknown, beside the empty text")] = ("",)
    decimal: Annotated[Decimal, Field(description="the decimal sign of numbers")] = "."
    thousands: Annotated[Thousands | None, Field(description="the sign between groups of three digits")] = None
    cut: Annotated[
        str | None,
        BeforeValidator(str, json_schema_input_type=str),
        Field(description="the data cut, a date (its end) or a time; by default the latest time in the records"),
    ] = None
    delivers: Annotated[
        tuple[str, ...] | None,
        BeforeValidator(_fact_kinds, json_schema_input_type=list[str]),
        Field(
            description="the kinds of facts that the source records, so that none in the export means none; by default "
            "those of which a record is known"
        ),
    ] = None
    records: Records

    @field_validator("cut")
    @classmethod
    def _is_time(cls, cut: str, info: ValidationInfo) -> str:
        try:
            Clock(ZoneInfo(info.data.get("timezone", "UTC"))).end(cut)
        except ValueError as error:
            raise ValueError(f"{error}, not {cut!r}") from None
        return cut

    def dialect(self, block: Block) -> Dialect:
        """How the cells of a block are written."""
        missing = self.missing if block.missing is None else block.missing
        return Dialect(FoldedTexts.of(("", *missing)), self.clock(), self._numbers(block))

    def since(self) -> dict[str, int]:
        """The kinds of facts that the source is said to record, each from always on."""
        return dict.fromkeys(self.delivers or (), 0)

    def clock(self) -> Clock:
        """The clock of the export."""
        return Clock(ZoneInfo(self.timezone))

    def data_cut(self) -> int | None:
        """Microseconds of the declared cut; a date is the end of its day."""
        return None if self.cut is None else self.clock().end(self.cut)

    def _numbers(self, block: Block) -> NumberFormat:
        return NumberFormat(block.decimal or self.decimal, block.thousands or self.thousands)

    @model_validator(mode="after")
    def _number_formats(self) -> "Mapping":
        for name, block in self.records.blocks().items():
            try:
                self._numbers(block)
            except ValueError as error:
                raise ValueError(f".records.{name} {error}") from None
        return self


def load(path: Path) -> Mapping:
    """The mapping in a YAML file.

    Raises:
        InvalidMapping: the file cannot be read, is not YAML, or breaks the mapping language.
    """
    try:
        return Mapping.model_validate(read_yaml(path.read_text("utf-8")))
    except ValidationError as error:
        raise InvalidMapping(f"{path.name}: {_sentence(error)}") from None
    except UnicodeDecodeError:
        raise InvalidMapping(f"{path.name} is not UTF-8 text; save the mapping in that encoding") from None
    except ValueError as error:
        raise InvalidMapping(f"{path.name} {error}") from None
    except OSError as error:
        raise InvalidMapping(f"the mapping {path} cannot be read: {error.strerror}; name a mapping file") from None


def _sentence(error: ValidationError) -> str:
    """The first error of a mapping, and the number of further errors."""
    errors = error.errors()
    more = f" ({len(errors) - 1} more to fix)" if len(errors) > 1 else ""
    return _words(errors[0]) + more


def _words(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"] if part != "[key]")
    words = constraint(error)
    if error["type"] == "missing" and error["loc"][-1] == "known":
        words += "; write known: at_creation, or known: later, which keeps the column out"
    if error["type"] not in ("value_error", "missing"):
        words += f", not {error['input']!r}"
    return f"{where}{words}" if words.startswith(".") else f"{where or 'the mapping'} {words}"


def json_schema() -> dict[str, Any]:
    """The JSON schema of the mapping language."""
    schema = Mapping.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "EQL import mapping"}
