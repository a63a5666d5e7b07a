"""The thresholds of data quality: a YAML file that validates itself, errors naming the key, the value and the mend."""

import datetime as dt
import difflib
from collections.abc import Collection, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from features.provenance import ATTRIBUTE_PREFIX
from features.records import KINDS, constraint
from features.value_types import microseconds

Severity = Literal["ok", "warn", "fail"]
DEFAULT = Path(str(files("features") / "default_quality.yaml"))
"""The thresholds that come with the software."""

_MOST_FAULTS = 3


class InvalidThresholds(ValueError):
    """A file of thresholds is not one; the message names the file, the key, the constraint, the value and the mend."""


_PLACES = tuple(f"{kind.name}.{column.name}" for kind in KINDS.values() for column in kind.content)
_NUMBERS = tuple(f"{k.name}.{c.name}" for k in KINDS.values() for c in k.content if c.type in ("integer", "real"))


def _known(name: str, known: Collection[str], what: str) -> str:
    if name in known:
        return name
    close = ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.0))
    raise ValueError(f"must be {what}; the closest are {close}")


def _kind(name: str) -> str:
    return _known(name, KINDS, "a kind of record")


def _column(name: str) -> str:
    # Which attributes there are is only known with the records.
    known = name.startswith(f"leads.{ATTRIBUTE_PREFIX}")
    return name if known else _known(name, _PLACES, "a kind and a column of it, such as leads.channel")


def _number(name: str) -> str:
    return _known(name, _NUMBERS, "a kind and a column of numbers, such as accounts.employees")


_Measure = Annotated[float, Field(ge=0)]
_Days = Annotated[int, Field(ge=1, le=36_500)]
_Weeks = Annotated[int, Field(ge=4, le=52)]
_Calendar = Annotated[dt.date, Field(ge=dt.date(1970, 1, 1))]
_KindName = Annotated[str, AfterValidator(_kind)]
_AnyColumn = Annotated[str, AfterValidator(_column)]
_NumberColumn = Annotated[str, AfterValidator(_number)]


class Limits(BaseModel):
    """How much of a measure is a warning, and how much a failure.

    Attributes:
        warn: a measure above this is a warning.
        fail: a measure above this is a failure; None where it never is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    warn: _Measure
    fail: _Measure | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "Limits":
        if self.fail is not None and self.fail < self.warn:
            raise ValueError(f"must not have fail ({self.fail:g}) below warn ({self.warn:g})")
        return self

    def severity(self, measure: float) -> Severity:
        """What a measure is: ok up to `warn`, a warning up to `fail`, a failure above."""
        if self.fail is not None and measure > self.fail:
            return "fail"
        return "warn" if measure > self.warn else "ok"


class Stale(Limits):
    """Of the days without a new record, in usual intervals: those of the last `days`, at least `gaps` of them.

    `intervals` are kinds that come by the lot, with the days that may well lie between two.
    """

    days: _Days
    gaps: Annotated[int, Field(ge=1)]
    intervals: Mapping[_KindName, _Days]


class Late(Limits):
    """Of the share recorded over `days` after it happened, among what was recorded in the last `within_days`."""

    days: _Days
    within_days: _Days


class Times(Limits):
    """Of the share of impossible times; see the file for the fields."""

    tolerance_days: Annotated[int, Field(ge=0, le=366)]
    earliest: _Calendar
    first_days: Mapping[str, _Calendar]

    @property
    def start(self) -> int:
        """Microseconds of the start of `earliest`."""
        return instant(self.earliest)


class Values(Limits):
    """Of the share of values out of bounds; `most` is the highest credible number of a column."""

    most: Mapping[_NumberColumn, float]


class Versions(Limits):
    """Of the share of records with more than `most` versions."""

    most: Annotated[int, Field(ge=1)]


class Volume(Limits):
    """Of the change of a count against each of the `weeks` before, where it is beyond `deviations`."""

    weeks: _Weeks
    deviations: _Measure


class Thresholds(BaseModel):
    """All thresholds; `default_quality.yaml` says what each is."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    missing: Mapping[_AnyColumn, Limits]
    stale: Stale
    late: Late
    times: Times
    values: Values
    orphans: Limits
    duplicates: Limits
    versions: Versions
    volume_week: Volume
    volume_day: Volume


def instant(day: dt.date) -> int:
    """Microseconds of the start (UTC) of a calendar day."""
    return microseconds(dt.datetime.combine(day, dt.time(), dt.UTC))


def load(path: Path) -> Thresholds:
    """The thresholds of a YAML file.

    Raises:
        InvalidThresholds: naming the file, the key, the constraint, the value and the mend.
    """
    try:
        return Thresholds.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        mend = "give the path of a file of thresholds"
        raise InvalidThresholds(f"{path}: cannot be read ({error.strerror}); {mend}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidThresholds(f"{path}: not YAML: {' '.join(str(error).split())}; mend its syntax") from None
    except ValidationError as error:
        raise InvalidThresholds(f"{path}: {_faults(error.errors())}; see {DEFAULT.name} for what each key is") from None


def _faults(faults: Iterable[Any]) -> str:
    """The first few faults, unknown keys first, for they explain what is missing."""
    ordered = sorted(faults, key=lambda fault: fault["type"] != "extra_forbidden")
    return "; ".join(_says(fault) for fault in ordered[:_MOST_FAULTS])


def _says(fault: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in fault["loc"] if part != "[key]") or "the file"
    if fault["type"] == "extra_forbidden":
        return f"{place} is not a key that belongs here; remove it or correct its name"
    demand = "must be a mapping" if fault["type"] in ("model_type", "mapping_type") else constraint(fault)
    value = fault["input"]
    return f"{place} {demand}{f', not {value!r}' if not isinstance(value, Mapping) else ''}"
