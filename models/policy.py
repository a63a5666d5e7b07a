"""The policy: hard rules as data, in three values (Kleene's strong logic), and the qualifications they lead to.

Rules test catalogue features and entity fields. In a qualifying gate `unknown` never passes. A disqualifier is
closed-world: a lead is disqualified on evidence only. The YAML's JSON schema is `Policy.model_json_schema()`.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from features import yaml_document
from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import ENTITIES
from features.folding import FOLD_VERSION, fold
from features.records import ColumnType, constraint
from features.rows import list_fields
from features.value_types import Scalar

DEFAULT_POLICY = Path(__file__).with_name("default_policy.yaml")
"""The policy that comes with EQL."""

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
"""The gates of an EQL. The gate `engagement` only separates an MQL from an unqualified lead."""

Qualification = Literal["EQL", "SQL", "MQL", "UNQUALIFIED", "DISQUALIFIED"]

FIELD_TYPES: Mapping[str, ColumnType] = {
    "lead.partner_lead": "flag",
    **{f"{entity}.{column.name}": column.type for entity, kind in ENTITIES.items() for column in kind.content},
}
"""The fields that rules may test, with their types: the entities' columns, and whether the lead is a partner lead."""

LIST_FIELDS = frozenset(f"{entity}.{name}" for entity, kind in ENTITIES.items() for name in list_fields(kind))
"""The fields that hold lists, flat as `|a|b|`. A test of a list holds if it holds for one of the items."""

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
"""The operators that fit a value, by its type."""


class InvalidPolicy(ValueError):
    """A policy file that breaks a constraint; the message names the place, the constraint and the fix."""


class Strict(BaseModel):
    """A frozen model that allows neither coercion nor unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Number: TypeAlias = int | float
Choices: TypeAlias = Annotated[tuple[str | int, ...], Field(min_length=1, strict=False)]


class Test(Strict):
    """One test of a field (`lead.channel`) or a catalogue feature. A test of a missing value is unknown.

    Text is folded (see `features.folding`), and compares without regard to spaces, hyphens and underscores.
    `otherwise: unknown` turns a fail into unknown, for values that may still be recorded. `label` names the subject in
    reasons.
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
        """The one operator that is given."""
        return next(name for name in get_args(Operator) if getattr(self, name) is not None)

    @cached_property
    def subject(self) -> str:
        """The name of the feature, or of the field without its entity, for evidence and reasons."""
        return self.feature or (self.field or "").rpartition(".")[2]

    @cached_property
    def wanted(self) -> Sequence[frozenset[Scalar]]:
        """The values of `equals` or `one_of`, normalised for comparison by each version of the folding."""
        return _normalised_sets((*(self.one_of or ()), *(() if self.equals is None else (self.equals,))))


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
    """The form of condition that `content` has; validation errors then concern that form alone."""
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
    """One rule: a condition that a qualifying gate requires, or that a disqualifier forbids.

    Attributes:
        id: permanent; decisions quote it.
        gate: the gate that the rule belongs to. A gate passes when all its rules pass.
        description: the purpose of the rule.
        require: the condition that must hold (qualifying gates).
        forbid: the condition that must not hold (gate `disqualifier`); an unknown condition is no evidence.
        unknown: of a disqualifier, what is true where the condition is unknown, such as "No opt-out on record".
        ask: the question that fills an unknown value, for `missing` and the next actions.
    """

    id: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
    gate: Gate
    description: str
    require: Condition | None = None
    forbid: Condition | None = None
    unknown: str | None = None
    ask: str | None = None

    @model_validator(mode="after")
    def _require_or_forbid(self) -> "Rule":
        wanted = "forbid" if self.gate == "disqualifier" else "require"
        if (self.require is None) == (self.forbid is None) or getattr(self, wanted) is None:
            raise ValueError(f"a rule of gate {self.gate} has {wanted}, and only that")
        if self.unknown is not None and self.gate != "disqualifier":
            raise ValueError(f"a rule of gate {self.gate} has no `unknown`; its `ask` says what is unknown")
        return self


class Policy(Strict):
    """The whole policy.

    Attributes:
        version: named in every decision.
        sql_probability: close probability from which a lead with ICP fit and a buying signal is an SQL.
        minimum_probability: close probability that an EQL needs; null for none.
        pending_days: days since its creation after which a lead is no longer pending, because what is missing no
            longer arrives; null for never.
        actions: the next action for each qualification.
        lists: named lists for `in_list` tests.
        rules: the rules, in the order in which decisions show them.
    """

    version: str
    sql_probability: Annotated[float, Field(ge=0, le=1)]
    minimum_probability: Annotated[float, Field(ge=0, le=1)] | None = None
    pending_days: Annotated[int, Field(ge=1)] | None = None
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
        """Hash of the policy's content, whatever the layout of its file."""
        content = self.model_dump(mode="json")
        # These keys came later; without them the hash of a policy stays what kept decisions name.
        if self.pending_days is None:
            del content["pending_days"]
        content["rules"] = [
            {name: value for name, value in rule.items() if name != "unknown" or value is not None}
            for rule in content["rules"]
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @cached_property
    def normalised_lists(self) -> Mapping[str, Sequence[frozenset[Scalar]]]:
        """The lists, normalised for comparison by each version of the folding."""
        return {name: _normalised_sets(values) for name, values in self.lists.items()}

    def lists_value(self, name: str, value: Scalar, fold_version: int = FOLD_VERSION) -> bool:
        """Whether the list of that name, if there is one, has the value, normalised for comparison."""
        values = self.normalised_lists.get(name)
        return values is not None and normalised(value, fold_version) in values[fold_version]

    def check(self, catalogue: Catalogue) -> None:
        """Checks that every test reads an existing field or feature, with an operator and a value of its type.

        Raises:
            InvalidPolicy: a test does not; the message names the field or feature, and the closest existing ones.
        """
        features: dict[str, ColumnType] = {e.name: "text" if e.kind == "category" else "real" for e in catalogue}
        for test in self._tests:
            kind, name, types = "field", test.field or "", FIELD_TYPES
            if test.feature is not None:
                kind, name, types = "feature", test.feature, features
            if name not in types:
                raise InvalidPolicy(f"there is no {kind} {name!r}; the closest are {_closest(name, types)}")
            _check_fit(test, f"{kind} {name}", types[name])


def _closest(name: str, existing: Iterable[str]) -> str:
    return ", ".join(difflib.get_close_matches(name, existing, n=3, cutoff=0.0))


_TYPE_NAMES: Mapping[type, str] = {str: "text", bool: "true or false", int: "a whole number"}


def _check_fit(test: Test, subject: str, type_: ColumnType) -> None:
    """Checks that the operator and the values of a test fit the type of its subject."""
    if test.operator not in OPERATORS[type_]:
        raise InvalidPolicy(f"{test.operator} does not fit {subject} ({type_}); use {' or '.join(OPERATORS[type_])}")
    wanted = {"text": str, "flag": bool}.get(type_, int)
    for value in (test.equals, *(test.one_of or ())):
        if value is not None and type(value) is not wanted:
            raise InvalidPolicy(f"{subject} ({type_}) never equals {value!r}; compare it with {_TYPE_NAMES[wanted]}")


def normalised(value: Any, fold_version: int = FOLD_VERSION) -> Any:
    """Text folded, without spaces, hyphens and underscores; other values unchanged.

    Decisions of the version 0 of the folding compared texts without regard to case alone.

    >>> normalised("E-Commerce ")
    'ecommerce'
    """
    if not isinstance(value, str):
        return value
    return re.sub(r"[\s_-]+", "", fold(value) if fold_version else value.casefold())


def _normalised_sets(values: Iterable[Scalar]) -> Sequence[frozenset[Scalar]]:
    """The normalised values by each version of the folding, from 0 on."""
    return [frozenset(normalised(value, version) for value in values) for version in range(FOLD_VERSION + 1)]


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
        InvalidPolicy: the file breaks a constraint; the message names the file, the place, the constraint and the fix.
    """
    try:
        content = yaml_document.load(path.read_text(encoding="utf-8"))
        policy = Policy.model_validate(content)
        policy.check(catalogue)
    except OSError as error:
        raise InvalidPolicy(f"{path}: cannot be read ({error.strerror}); give the path of a policy file") from None
    except UnicodeDecodeError:
        raise InvalidPolicy(f"{path}: not YAML: the file is not UTF-8; save it as UTF-8") from None
    except yaml_document.InvalidYaml as error:
        raise InvalidPolicy(f"{path}: {error}") from None
    except ValidationError as error:
        raise InvalidPolicy(f"{path}: {_describe(error, content)}") from None
    except InvalidPolicy as error:
        raise InvalidPolicy(f"{path}: {error}") from None
    return policy


_MAX_ERRORS = 3
_QUOTE = "YAML reads an unquoted yes, no, on or off as a truth value: quote it"


def _describe(error: ValidationError, content: Any) -> str:
    """The first few errors, each with its location and the wrong value."""
    by_location: dict[str, list[Any]] = {}
    # Unknown keys come first, because they often explain the other errors.
    for one in sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden"):
        by_location.setdefault(_author_location(one["loc"], content), []).append(one)
    return "; ".join(
        f"{location}: {_constraints(errors)}" for location, errors in list(by_location.items())[:_MAX_ERRORS]
    )


def _author_location(location: tuple[int | str, ...], content: Any) -> str:
    """A location in the words of a policy's author: rules by their id."""
    # Pydantic adds the form of a condition and the type of a choice to the location.
    parts = [str(part) for part in location if part not in ("Test", "AllOf", "AnyOf", "Not", "str", "int", "[key]")]
    if parts[:1] != ["rules"] or len(parts) == 1:
        return ".".join(parts) or "the policy"
    rule, *within = parts[1:]
    named = content["rules"][int(rule)].get("id", rule) if isinstance(content["rules"][int(rule)], dict) else rule
    return f"rule {named}" + (f", {'.'.join(within)}" if within else "")


def _constraints(errors: Sequence[Any]) -> str:
    """The constraints that one location breaks, and the wrong value. A choice of types has one constraint for each."""
    if errors[0]["type"] == "extra_forbidden":
        return "is not a key that belongs here"
    value = errors[0]["input"]
    demands = ("must be a mapping" if one["type"] == "model_type" else constraint(one) for one in errors)
    shown = f", not {value!r}" if isinstance(value, str | int | float) else ""
    return " or ".join(demands) + shown + (f" ({_QUOTE})" if isinstance(value, bool) else "")
