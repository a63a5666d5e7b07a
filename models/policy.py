"""The policy: hard rules as data, evaluated in three values (Kleene's strong logic), and the qualification they give.

Rules test catalogue features and entity fields. In a qualifying gate unknown never passes; a disqualifier is
closed-world: no evidence, not disqualified. The YAML's JSON schema is `Policy.model_json_schema()`.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import ENTITIES
from features.records import ColumnType, constraint
from features.rows import list_fields
from features.value_types import Scalar

Outcome = Literal["pass", "fail", "unknown"]
Gate = Literal[
    "record",
    "disqualifier",
    "icp",
    "ecosystem_signal",
    "confirmation",
    "buying_signal",
    "engagement",
    "close_probability",
]
EQL_GATES: tuple[Gate, ...] = (
    "record",
    "disqualifier",
    "icp",
    "ecosystem_signal",
    "confirmation",
    "buying_signal",
    "close_probability",
)
"""The gates of an EQL; `engagement` only tells an MQL from an unqualified lead."""

Qualification = Literal["EQL", "SQL", "MQL", "UNQUALIFIED", "DISQUALIFIED"]

FIELD_TYPES: Mapping[str, ColumnType] = {
    "lead.partner_lead": "flag",
    **{f"{entity}.{column.name}": column.type for entity, kind in ENTITIES.items() for column in kind.content},
}
"""The fields rules may test, by type: the entities' columns, and whether the lead is a partner lead."""

LIST_FIELDS = frozenset(f"{entity}.{name}" for entity, kind in ENTITIES.items() for name in list_fields(kind))
"""Those that hold lists, flat as `|a|b|`; a test of one holds if it holds of an item."""

Operator = Literal["equals", "one_of", "in_list", "at_least", "at_most", "between", "given"]
_TEXT: tuple[Operator, ...] = ("equals", "one_of", "in_list", "given")
_NUMBER: tuple[Operator, ...] = ("equals", "one_of", "at_least", "at_most", "between", "given")
OPERATORS: Mapping[ColumnType, tuple[Operator, ...]] = {
    "text": _TEXT,
    "integer": _NUMBER,
    "real": _NUMBER,
    "flag": ("equals", "given"),
    "instant": ("given",),
    "date": ("given",),
}
"""What can be asked of a value, by its type."""


class InvalidPolicy(ValueError):
    """A policy file is not one; the message names the place, the constraint and the mend."""


class Strict(BaseModel):
    """Frozen, without coercion or unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Number: TypeAlias = int | float
Choices: TypeAlias = Annotated[tuple[str | int, ...], Field(min_length=1, strict=False)]


class Test(Strict):
    """One test of a field (`lead.channel`) or a catalogue feature; unknown where it has no value.

    Text compares without regard to case, spaces, hyphens and underscores. `otherwise: unknown` turns a fail into
    unknown: what is not yet recorded may still come. `label` is how reasons name the subject.
    """

    field: str | None = None
    feature: str | None = None
    label: str | None = None
    equals: str | bool | int | None = None
    one_of: Choices | None = None
    in_list: str | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    between: Annotated[tuple[Number, Number], Field(strict=False)] | None = None
    given: Literal[True] | None = None
    otherwise: Literal["unknown"] | None = None

    @model_validator(mode="after")
    def _one_subject_and_operator(self) -> "Test":
        if (self.field is None) == (self.feature is None):
            raise ValueError("needs exactly one of field and feature")
        operators = get_args(Operator)
        if sum(getattr(self, name) is not None for name in operators) != 1:
            raise ValueError(f"needs exactly one of {', '.join(operators)}")
        if self.between and self.between[0] > self.between[1]:
            raise ValueError("between needs the lower bound first")
        return self

    @property
    def operator(self) -> Operator:
        """What it asks of its subject."""
        return next(name for name in get_args(Operator) if getattr(self, name) is not None)

    @cached_property
    def subject(self) -> str:
        """The feature's name, or the field's without its entity, as evidence and reasons name it."""
        return self.feature or (self.field or "").rpartition(".")[2]

    @cached_property
    def wanted(self) -> frozenset[Scalar]:
        """The values that `equals` or `one_of` asks for, as tests compare them."""
        return frozenset(map(normal, (*(self.one_of or ()), *(() if self.equals is None else (self.equals,)))))


class AllOf(Strict):
    """Every condition holds."""

    all: Annotated[tuple["Condition", ...], Field(min_length=1, strict=False)]


class AnyOf(Strict):
    """At least one condition holds."""

    any: Annotated[tuple["Condition", ...], Field(min_length=1, strict=False)]


class Not(Strict):
    """The condition does not hold."""

    model_config = ConfigDict(populate_by_name=True)

    condition: "Condition" = Field(alias="not")


def _form(content: Any) -> str:
    """Which form of condition `content` is, so that faults speak of that form alone."""
    if not isinstance(content, Mapping):
        return type(content).__name__ if isinstance(content, Strict) else Test.__name__
    forms = {"all": AllOf, "any": AnyOf, "not": Not}
    return next((form.__name__ for key, form in forms.items() if key in content), Test.__name__)


Condition: TypeAlias = Annotated[
    Annotated[Test, Tag("Test")]
    | Annotated[AllOf, Tag("AllOf")]
    | Annotated[AnyOf, Tag("AnyOf")]
    | Annotated[Not, Tag("Not")],
    Discriminator(_form),
]


class Rule(Strict):
    """One rule: what a qualifying gate requires, or a disqualifier forbids.

    Attributes:
        id: permanent; decisions quote it.
        gate: the gate it belongs to; a gate passes when all its rules do.
        description: what it is for.
        require: must hold (qualifying gates).
        forbid: must not hold (gate `disqualifier`); unknown is no evidence.
        ask: how to fill what is unknown, for `missing` and the next actions.
    """

    id: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
    gate: Gate
    description: str
    require: Condition | None = None
    forbid: Condition | None = None
    ask: str | None = None

    @model_validator(mode="after")
    def _require_or_forbid(self) -> "Rule":
        wanted = "forbid" if self.gate == "disqualifier" else "require"
        if (self.require is None) == (self.forbid is None) or getattr(self, wanted) is None:
            raise ValueError(f"a rule of gate {self.gate} has {wanted}, and only that")
        return self


class Policy(Strict):
    """The whole policy.

    Attributes:
        version: named in every decision.
        sql_probability: close probability from which an ICP-fitting lead with a buying signal is an SQL.
        minimum_probability: close probability an EQL needs; null for none.
        actions: what to do next, by qualification.
        lists: named lists that `in_list` tests use.
        rules: in the order decisions show them.
    """

    version: str
    sql_probability: Annotated[float, Field(ge=0, le=1)]
    minimum_probability: Annotated[float, Field(ge=0, le=1)] | None = None
    actions: dict[Qualification, str]
    lists: dict[str, Annotated[tuple[str, ...], Field(strict=False)]] = {}
    rules: Annotated[tuple[Rule, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _consistent(self) -> "Policy":
        ids = [rule.id for rule in self.rules]
        if repeated := {name for name in ids if ids.count(name) > 1}:
            raise ValueError(f"rule ids must be unique; repeated: {', '.join(sorted(repeated))}")
        for test in self._tests:
            if test.in_list is not None and test.in_list not in self.lists:
                raise ValueError(f"in_list names {test.in_list!r}, which lists does not define")
        return self

    @property
    def _tests(self) -> list[Test]:
        return [test for rule in self.rules for test in tests(rule.require or rule.forbid)]

    @cached_property
    def sha256(self) -> str:
        """Hash of what the policy says, however its file is laid out."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    @cached_property
    def normal_lists(self) -> Mapping[str, frozenset[Scalar]]:
        """The lists as tests compare them."""
        return {name: frozenset(map(normal, values)) for name, values in self.lists.items()}

    def check(self, catalogue: Catalogue) -> None:
        """Refuse a policy that tests what does not exist, or asks of it what never holds.

        Raises:
            InvalidPolicy: naming the field or feature, and the closest there are.
        """
        features: dict[str, ColumnType] = {e.name: "text" if e.kind == "category" else "real" for e in catalogue}
        for test in self._tests:
            what, name, known = "field", test.field or "", FIELD_TYPES
            if test.feature is not None:
                what, name, known = "feature", test.feature, features
            if name not in known:
                raise InvalidPolicy(f"there is no {what} {name!r}; the closest are {_closest(name, known)}")
            _refuse_misfit(test, f"{what} {name}", known[name])


def _closest(name: str, known: Iterable[str]) -> str:
    return ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.0))


_NAMES: Mapping[type, str] = {str: "text", bool: "true or false", int: "a whole number"}


def _refuse_misfit(test: Test, subject: str, type_: ColumnType) -> None:
    """Refuse an operator or a value that the type of a test's subject never meets."""
    if test.operator not in OPERATORS[type_]:
        raise InvalidPolicy(f"{test.operator} does not fit {subject} ({type_}); use {' or '.join(OPERATORS[type_])}")
    wanted = {"text": str, "flag": bool}.get(type_, int)
    for value in (test.equals, *(test.one_of or ())):
        if value is not None and type(value) is not wanted:
            raise InvalidPolicy(f"{subject} ({type_}) never equals {value!r}; compare it with {_NAMES[wanted]}")


def normal(found: Any) -> Any:
    """Text without case, spaces, hyphens and underscores; other values as they are."""
    return re.sub(r"[\s_-]+", "", found.casefold()) if isinstance(found, str) else found


def tests(condition: Condition | None) -> list[Test]:
    """Every test of a condition, in order."""
    match condition:
        case Test():
            return [condition]
        case AllOf(all=parts) | AnyOf(any=parts):
            return [test for part in parts for test in tests(part)]
        case Not(condition=part):
            return tests(part)
    return []


def load(path: Path, catalogue: Catalogue) -> Policy:
    """The policy of a YAML file, checked against the catalogue.

    Raises:
        InvalidPolicy: naming the file, the place, the constraint and the mend.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        policy = Policy.model_validate(content)
        policy.check(catalogue)
    except OSError as error:
        raise InvalidPolicy(f"{path}: cannot be read ({error.strerror}); give the path of a policy file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidPolicy(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise InvalidPolicy(f"{path}: {_faults(error, content)}") from None
    except InvalidPolicy as error:
        raise InvalidPolicy(f"{path}: {error}") from None
    return policy


_MOST_FAULTS = 3
_QUOTE = "YAML reads an unquoted yes, no, on or off as a truth value: quote it"


def _faults(error: ValidationError, content: Any) -> str:
    """The first few faults, each with its place and the value at fault; unknown keys first, for they explain others."""
    found: dict[str, list[Any]] = {}
    for fault in sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden"):
        found.setdefault(_place(fault["loc"], content), []).append(fault)
    return "; ".join(f"{place}: {_says(faults)}" for place, faults in list(found.items())[:_MOST_FAULTS])


def _place(location: tuple[int | str, ...], content: Any) -> str:
    """A location as a policy's author knows it: rules by their id."""
    # Pydantic adds the form of a condition and the type of a choice to the location.
    parts = [str(part) for part in location if part not in ("Test", "AllOf", "AnyOf", "Not", "str", "int", "[key]")]
    if parts[:1] != ["rules"] or len(parts) == 1:
        return ".".join(parts) or "the policy"
    rule, *within = parts[1:]
    named = content["rules"][int(rule)].get("id", rule) if isinstance(content["rules"][int(rule)], dict) else rule
    return f"rule {named}" + (f", {'.'.join(within)}" if within else "")


def _says(faults: Sequence[Any]) -> str:
    """What the faults of one place demand (a choice of types has one for each), and what is there instead."""
    if faults[0]["type"] == "extra_forbidden":
        return "is not a key that belongs here"
    value = faults[0]["input"]
    demands = ("must be a mapping" if f["type"] == "model_type" else constraint(f) for f in faults)
    shown = f", not {value!r}" if isinstance(value, str | int | float) else ""
    return " or ".join(demands) + shown + (f" ({_QUOTE})" if isinstance(value, bool) else "")
