"""The verdict of the policy on one lead: each rule's outcome in three values, and the qualification.

Outcomes follow Kleene's strong three-valued logic. In a qualifying gate `unknown` never passes. A disqualifier is
closed-world: a lead is disqualified on evidence only.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from features.catalogue.entry import ENTITIES
from features.engines.python import Evaluation
from features.folding import folded_text
from features.partner_lead import is_partner_lead
from features.value_types import Scalar, iso_date, rfc3339
from models.policy import (
    EQL_GATES,
    FIELD_TYPES,
    LIST_FIELDS,
    AllOf,
    AnyOf,
    Condition,
    Gate,
    Not,
    Outcome,
    Policy,
    Qualification,
    Rule,
    Test,
    normalised,
)

_TEXTS = {entity: frozenset(kind.foldings) for entity, kind in ENTITIES.items()}
"""The fields of free text of each entity; a blank text is unknown."""


class RuleOutcome(NamedTuple):
    """The outcome of one rule for one lead.

    Attributes:
        rule: the rule's id.
        gate: the gate that the rule belongs to.
        outcome: pass, fail or unknown.
        reason: why, in words for sales.
        evidence: the values that the rule tested, by the name of the field or feature.
    """

    rule: str
    gate: Gate
    outcome: Outcome
    reason: str
    evidence: dict[str, Scalar]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; it shares the evidence."""
        return {
            "rule": self.rule,
            "gate": self.gate,
            "outcome": self.outcome,
            "reason": self.reason,
            "evidence": self.evidence,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "RuleOutcome":
        """The outcome that `to_dict` wrote."""
        return cls(content["rule"], content["gate"], content["outcome"], content["reason"], content["evidence"])


class Verdict(NamedTuple):
    """The result of applying a policy to one lead.

    Attributes:
        qualification: the label.
        pending: whether a partner lead is not yet an EQL although no gate has failed, so that only unknown or
            unconfirmed rules remain, and the policy still waits for them.
        rules: every rule's outcome, in the policy's order.
        missing: what to ask for: the questions of the unknown rules in the EQL's gates.
        not_recorded: the kinds of facts that were never recorded; no rule on them holds back a qualification but EQL.
    """

    qualification: Qualification
    pending: bool
    rules: tuple[RuleOutcome, ...]
    missing: tuple[str, ...]
    not_recorded: tuple[str, ...]


def partner_lead(evaluation: Evaluation) -> bool:
    """Whether an evaluated lead is a partner lead (see `features.partner_lead`)."""
    # The feature is missing where the channel is ours, for a channel that both sides may have by the lead's facts.
    involved = evaluation.features.get("partner_channel") is not None
    return is_partner_lead(evaluation.lead, partner_involved=involved)


def apply_policy(policy: Policy, evaluation: Evaluation, probability: float | None) -> Verdict:
    """The verdict on one lead; `probability` is its close probability, None without a model."""
    unrecorded = frozenset(name for names in evaluation.not_recorded.values() for name in names)
    outcomes = [_apply_rule(rule, policy, evaluation, unrecorded) for rule in policy.rules]
    if policy.minimum_probability is not None:
        outcomes.append(_minimum_probability(policy.minimum_probability, probability))
    names: tuple[Gate, ...] = (*EQL_GATES, "engagement")
    gates = {gate: kleene_and(o.outcome for o in outcomes if o.gate == gate) for gate in names}
    reachable = {gate: _reachable(outcome, gate, outcomes, unrecorded) for gate, outcome in gates.items()}
    qualification = _qualification(gates, reachable, probability, policy.sql_probability)
    failed = any(gates[gate] == "fail" for gate in EQL_GATES)
    waiting = qualification != "EQL" and not failed and partner_lead(evaluation)
    pending = waiting and not _expired(policy, evaluation)
    unknown = {o.rule for o in outcomes if o.outcome == "unknown" and o.gate in EQL_GATES}
    reasons = {o.rule: o.reason for o in outcomes}
    missing = tuple(
        rule.ask or (reasons[rule.id] if unrecorded else rule.description)
        for rule in policy.rules
        if rule.id in unknown
    )
    return Verdict(
        qualification=qualification,
        pending=pending,
        rules=tuple(outcomes),
        missing=() if qualification == "DISQUALIFIED" else missing,
        not_recorded=tuple(sorted(evaluation.not_recorded)),
    )


def _expired(policy: Policy, evaluation: Evaluation) -> bool:
    """Whether a lead has waited for so long that what is missing no longer arrives."""
    age = evaluation.features.get("lead_age_days")
    return policy.pending_days is not None and isinstance(age, int | float) and age > policy.pending_days


def kleene_and(outcomes: Iterable[Outcome]) -> Outcome:
    """Fail if any outcome fails, else unknown if any is unknown, else pass; without outcomes pass."""
    distinct = set(outcomes)
    return "fail" if "fail" in distinct else "unknown" if "unknown" in distinct else "pass"


def _reachable(outcome: Outcome, gate: Gate, outcomes: Iterable[RuleOutcome], unrecorded: frozenset[str]) -> Outcome:
    """A gate's outcome where facts that were never recorded count for the lead: nobody can supply them."""
    if outcome != "unknown":
        return outcome
    held_back = [o for o in outcomes if o.gate == gate and o.outcome != "pass"]
    return "pass" if all(not unrecorded.isdisjoint(o.evidence) for o in held_back) else outcome


def _qualification(
    gates: Mapping[Gate, Outcome], reachable: Mapping[Gate, Outcome], probability: float | None, sql_probability: float
) -> Qualification:
    if gates["disqualifier"] == "fail":
        return "DISQUALIFIED"
    if all(gates[gate] == "pass" for gate in EQL_GATES):
        return "EQL"
    likely = probability is not None and probability >= sql_probability
    if likely and reachable["icp"] == reachable["buying_signal"] == "pass":
        return "SQL"
    return "MQL" if "pass" in (reachable["buying_signal"], reachable["engagement"]) else "UNQUALIFIED"


def _minimum_probability(minimum: float, probability: float | None) -> RuleOutcome:
    outcome: Outcome = "unknown" if probability is None else "pass" if probability >= minimum else "fail"
    words = {"unknown": "no close probability", "pass": "at or above", "fail": "below"}[outcome]
    return RuleOutcome(
        rule="minimum_probability",
        gate="close_probability",
        outcome=outcome,
        reason=f"{words} the least the policy asks of an EQL, {minimum:.0%}",
        evidence={"close_probability": probability},
    )


class _ConditionResult(NamedTuple):
    """The result of one condition.

    Attributes:
        condition: the condition.
        held: whether it held; None is unknown.
        value: the value that a test read.
        children: the results of the conditions that it combines; a test has none.
        recorded: whether facts of the kind that a test reads were ever recorded.
    """

    condition: Condition
    held: bool | None
    value: Scalar = None
    children: Sequence["_ConditionResult"] = ()
    recorded: bool = True


def _apply_rule(rule: Rule, policy: Policy, evaluation: Evaluation, unrecorded: frozenset[str]) -> RuleOutcome:
    result = _evaluate(rule.require or rule.forbid, policy, evaluation, unrecorded)
    # An unknown condition is no evidence, so a rule that forbids it passes.
    held = result.held if rule.forbid is None else result.held is not True
    outcome: Outcome = "unknown" if held is None else "pass" if held else "fail"
    unmet = outcome == "pass" and rule.forbid is not None
    reason = _unmet(rule, result) if unmet else "; ".join(_phrases(result, evaluation.fold))
    evidence = {test.subject: _evidence(test, value) for test, _, value, *_ in _test_results(result)}
    return RuleOutcome(rule=rule.id, gate=rule.gate, outcome=outcome, reason=reason, evidence=evidence)


def _unmet(rule: Rule, result: "_ConditionResult") -> str:
    """Why a disqualifier does not hold: what is known against it, or that nothing is known for it."""
    return rule.description if result.held is False or rule.unknown is None else rule.unknown


def _evaluate(
    condition: Condition | None, policy: Policy, evaluation: Evaluation, unrecorded: frozenset[str]
) -> _ConditionResult:
    match condition:
        case Test(feature=feature) if feature in unrecorded:
            return _ConditionResult(condition, None, recorded=False)
        case Test():
            value = _read(condition, evaluation)
            return _ConditionResult(condition, _holds(condition, value, policy, evaluation.fold), value)
        case AllOf(all=conditions):
            children = [_evaluate(child, policy, evaluation, unrecorded) for child in conditions]
            held = [child.held for child in children]
            combined = False if False in held else None if None in held else True
            return _ConditionResult(condition, combined, children=children)
        case AnyOf(any=conditions):
            children = [_evaluate(child, policy, evaluation, unrecorded) for child in conditions]
            held = [child.held for child in children]
            combined = True if True in held else None if None in held else False
            return _ConditionResult(condition, combined, children=children)
        case Not(condition=denied):
            child = _evaluate(denied, policy, evaluation, unrecorded)
            return _ConditionResult(condition, None if child.held is None else not child.held, children=[child])
    raise TypeError(f"not a condition: {condition!r}")


def _test_results(result: _ConditionResult) -> list[Any]:
    """The results of every test in a condition, in order."""
    return [test for child in result.children for test in _test_results(child)] if result.children else [result]


def _read(test: Test, evaluation: Evaluation) -> Scalar:
    if test.feature is not None:
        return evaluation.features[test.feature]
    entity, _, column = (test.field or "").partition(".")
    if column == "partner_lead":
        return partner_lead(evaluation)
    value: Scalar = getattr(evaluation, entity).get(column)
    blank = evaluation.fold and column in _TEXTS[entity] and isinstance(value, str) and folded_text(value) is None
    return None if blank else value


def _evidence(test: Test, value: Scalar) -> Scalar:
    """A value as evidence shows it: instants as RFC 3339, dates as days, lists with commas."""
    if test.field in LIST_FIELDS and isinstance(value, str):
        return ", ".join(value.strip("|").split("|"))
    type_ = FIELD_TYPES.get(test.field or "")
    if type_ in ("instant", "date") and isinstance(value, int):
        return rfc3339(value) if type_ == "instant" else iso_date(value)
    return value


def _holds(test: Test, value: Scalar, policy: Policy, fold_version: int) -> bool | None:
    if value is None:
        held = None if test.given is None or test.otherwise == "unknown" else False
    else:
        held = _compare(test, value, policy, fold_version)
    return None if held is False and test.otherwise == "unknown" else held


def _compare(test: Test, value: Any, policy: Policy, fold_version: int) -> bool:
    if test.given:
        return True
    if test.field in LIST_FIELDS:
        return any(_compare_one(test, item, policy, fold_version) for item in value.strip("|").split("|"))
    return _compare_one(test, value, policy, fold_version)


def _compare_one(test: Test, value: Any, policy: Policy, fold_version: int) -> bool:
    if test.equals is not None or test.one_of is not None:
        return normalised(value, fold_version) in test.wanted[fold_version]
    if test.in_list is not None:
        return policy.lists_value(test.in_list, value, fold_version)
    low, high = test.between or (test.at_least, test.at_most)
    return bool((low is None or value >= low) and (high is None or value <= high))


def _phrases(result: _ConditionResult, fold_version: int) -> list[str]:
    """The result of each test in words; of an `any` or `all` only the conditions that decided it.

    The words follow the version of the folding, so that an earlier decision comes out again in its own words.
    """
    match result.condition:
        case AnyOf():
            decisive = [child for child in result.children if child.held]
        case AllOf():
            decisive = [child for child in result.children if child.held is False]
        case _:
            tests = _test_results(result)
            # A rule for partner leads tests for one first; that test explains nothing where it held.
            shown = [test for test in tests if not (test.held and test.condition.field == "lead.partner_lead")]
            return [_phrase(test.condition, test, fold_version) for test in shown]
    return [phrase for child in decisive or result.children for phrase in _phrases(child, fold_version)]


def _phrase(test: Test, result: _ConditionResult, fold_version: int) -> str:
    label, value, held = test.label or test.subject.replace("_", " "), cast(Any, result.value), result.held
    if not result.recorded:
        return f"not recorded: {label}"
    if value is None:
        return f"no {label}" if test.given else f"{label} unknown"
    if isinstance(value, bool):
        return label if value else f"not {label}"
    if test.given and not (fold_version and isinstance(value, str)):
        return f"{label} given"
    if test.given:
        return f"{label} {value}"
    if isinstance(value, str):
        return f"{label} {value.strip() if fold_version else value}{'' if held else ', not among those looked for'}"
    shown = f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{shown} {label}{_bounds(test, bool(held))}"


def _bounds(test: Test, held: bool) -> str:
    if test.between is not None:
        low, high = test.between
        return f", {'within' if held else 'outside'} {low:,} to {high:,}"
    if test.at_least is not None:
        return f", {'at least' if held else 'fewer than'} {test.at_least:,}"
    return f", {'at most' if held else 'more than'} {test.at_most:,}" if test.at_most is not None else ""
