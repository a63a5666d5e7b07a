"""The thresholds of data quality, read from a YAML file and validated."""

import datetime as dt
import difflib
from collections.abc import Collection, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from features import yaml_document
from features.provenance import ATTRIBUTE_PREFIX
from features.records import KINDS, constraint
from features.value_types import microseconds

Severity = Literal["ok", "warn", "fail"]
DEFAULT = Path(str(files("features") / "default_quality.yaml"))
"""The file of the default thresholds, which is installed with the software."""

_MAX_ERRORS = 3


class InvalidThresholds(ValueError):
    """A file holds no valid thresholds; the message names the file, the key, the constraint, the value and the fix."""


_COLUMNS = tuple(f"{kind.name}.{column.name}" for kind in KINDS.values() for column in kind.content)
_NUMBERS = tuple(f"{k.name}.{c.name}" for k in KINDS.values() for c in k.content if c.type in ("integer", "real"))


def _known(name: str, known: Collection[str], what: str) -> str:
    if name in known:
        return name
    close = ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.0))
    raise ValueError(f"must be {what}; the closest are {close}")


def _kind(name: str) -> str:
    return _known(name, KINDS, "a kind of record")


def _column(name: str) -> str:
    # The attributes are declared beside the records, which are not open yet.
    known = name.startswith(f"leads.{ATTRIBUTE_PREFIX}")
    return name if known else _known(name, _COLUMNS, "a kind and a column of it, such as leads.channel")


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
    """The limits of a measure.

    Attributes:
        warn: a measure above this is a warning.
        fail: a measure above this is a failure; None where no measure is a failure.
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
        """The severity of a measure: ok up to `warn`, a warning up to `fail`, a failure above."""
        if self.fail is not None and measure > self.fail:
            return "fail"
        return "warn" if measure > self.warn else "ok"


class Stale(Limits):
    """Limits of the days without a new record, in units of the usual interval between arrivals.

    Attributes:
        days: the usual interval is measured in so many days before the silence.
        gaps: the check needs at least so many intervals.
        intervals: the kinds that arrive in batches, with the usual days between two batches.
    """

    days: _Days
    gaps: Annotated[int, Field(ge=1)]
    intervals: Mapping[_KindName, _Days]


class Late(Limits):
    """Limits of the share recorded more than `days` after it happened, among the records of the last `within_days`."""

    days: _Days
    within_days: _Days


class Times(Limits):
    """Limits of the share of impossible times; the default file explains the fields."""

    tolerance_days: Annotated[int, Field(ge=0, le=366)]
    earliest: _Calendar
    first_days: Mapping[str, _Calendar]

    @property
    def start(self) -> int:
        """The start of the day `earliest`, in microseconds."""
        return instant(self.earliest)


class Values(Limits):
    """Limits of the share of values out of bounds; `most` is the highest credible number of a column."""

    most: Mapping[_NumberColumn, float]


class Versions(Limits):
    """Limits of the share of records with more than `most` versions."""

    most: Annotated[int, Field(ge=1)]


class Volume(Limits):
    """Limits of the change of a count against the `weeks` before, where the change exceeds `deviations`."""

    weeks: _Weeks
    deviations: _Measure


class Thresholds(BaseModel):
    """All thresholds; `default_quality.yaml` explains each."""

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
    """The start (UTC) of a calendar day, in microseconds."""
    return microseconds(dt.datetime.combine(day, dt.time(), dt.UTC))


def load(path: Path) -> Thresholds:
    """The thresholds of a YAML file.

    Raises:
        InvalidThresholds: the file cannot be read, or holds no valid thresholds.
    """
    try:
        return Thresholds.model_validate(yaml_document.load(path.read_text(encoding="utf-8")))
    except OSError as error:
        fix = "give the path of a file of thresholds"
        raise InvalidThresholds(f"{path}: cannot be read ({error.strerror}); {fix}") from None
    except UnicodeDecodeError:
        raise InvalidThresholds(f"{path}: not YAML: the file is not UTF-8; save it as UTF-8") from None
    except yaml_document.InvalidYaml as error:
        raise InvalidThresholds(f"{path}: {error}") from None
    except ValidationError as error:
        raise InvalidThresholds(f"{path}: {_errors(error.errors())}; {DEFAULT.name} explains each key") from None


def _errors(errors: Iterable[Any]) -> str:
    """The first few errors. Unknown keys come first, because a misspelt key also explains a missing one."""
    ordered = sorted(errors, key=lambda error: error["type"] != "extra_forbidden")
    return "; ".join(_message(error) for error in ordered[:_MAX_ERRORS])


def _message(error: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in error["loc"] if part != "[key]") or "the file"
    if error["type"] == "extra_forbidden":
        return f"{key} is not a key that belongs here; remove it or correct its name"
    demand = "must be a mapping" if error["type"] in ("model_type", "mapping_type") else constraint(error)
    value = error["input"]
    return f"{key} {demand}{f', not {value!r}' if not isinstance(value, Mapping) else ''}"
