"""The policy: hard rules as data, evaluated in three values (Kleene's strong logic), and the qualification they give.

Rules test catalogue features and entity fields. In a qualifying gate unknown never passes; a disqualifier is
closed-world: no evidence, not disqualified. The YAML's JSON schema is `Policy.model_json_schema()`.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import ENTITIES
from features.records import constraint
from features.values import Scalar

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

DERIVED_FIELDS = frozenset({"lead.partner_lead"})
"""Fields rules may test beside the entities' columns: whether the lead is a partner lead."""


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
        operators = ("equals", "one_of", "in_list", "at_least", "at_most", "between", "given")
        if sum(getattr(self, name) is not None for name in operators) != 1:
            raise ValueError(f"needs exactly one of {', '.join(operators)}")
        return self

    @property
    def subject(self) -> str:
        """The feature's name, or the field's without its entity, as evidence and reasons name it."""
        return self.feature or (self.field or "").rpartition(".")[2]


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


Condition: TypeAlias = Test | AllOf | AnyOf | Not


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
        """Hash of the policy's content."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @cached_property
    def normal_lists(self) -> Mapping[str, frozenset[Scalar]]:
        """The lists as tests compare them."""
        return {name: frozenset(map(normal, values)) for name, values in self.lists.items()}

    def check(self, catalogue: Catalogue) -> None:
        """Refuse a policy that tests what does not exist.

        Raises:
            InvalidPolicy: naming the unknown field or feature.
        """
        fields = {f"{entity}.{column.name}" for entity, kind in ENTITIES.items() for column in kind.content}
        for test in self._tests:
            if test.feature is not None and test.feature not in catalogue:
                raise InvalidPolicy(f"feature {test.feature!r} is not in the catalogue; see docs/features.md")
            if test.field is not None and test.field not in fields | DERIVED_FIELDS:
                raise InvalidPolicy(f"field {test.field!r} does not exist; fields are {', '.join(sorted(fields))}")


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
        raise InvalidPolicy(f"{path}: {'; '.join(_faults(error))}") from None
    except InvalidPolicy as error:
        raise InvalidPolicy(f"{path}: {error}") from None
    return policy


_FORMS = {"Test", "AllOf", "AnyOf", "Not"}


def _faults(error: ValidationError) -> list[str]:
    """One line a fault; of a condition that matches no form, only the form it resembles."""
    lines = []
    for fault in error.errors():
        place = [str(part) for part in fault["loc"]]
        other_form = _FORMS & set(place) and "Test" not in place
        if fault["type"] in ("extra_forbidden", "missing") and other_form:
            continue
        shown = ".".join(part for part in place if part not in _FORMS)
        lines.append(f"{shown or 'policy'}: {constraint(fault)}")
    return lines[:5]
