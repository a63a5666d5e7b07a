"""The verdict on one lead: each rule's outcome in three values (Kleene's strong logic), and the qualification.

In a qualifying gate unknown never passes; a disqualifier is closed-world: no evidence, not disqualified.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from features.engines.python import Evaluation
from features.records import PARTNER_CHANNELS
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
    normal,
)


class RuleOutcome(NamedTuple):
    """What one rule came to, with the values it looked at."""

    rule: str
    gate: Gate
    outcome: Outcome
    reason: str
    evidence: dict[str, Scalar]


class Verdict(NamedTuple):
    """What the policy says of one lead.

    Attributes:
        qualification: the label.
        pending: a partner lead that is not yet an EQL, with nothing failed, only unknown or unconfirmed.
        rules: every rule's outcome.
        missing: what to ask for, from the unknown rules of the EQL's gates.
    """

    qualification: Qualification
    pending: bool
    rules: tuple[RuleOutcome, ...]
    missing: tuple[str, ...]


def is_partner_lead(lead: Mapping[str, Any]) -> bool:
    """Whether the lead's channel is a partner channel or it names a source partner."""
    return lead.get("channel") in PARTNER_CHANNELS or lead.get("source_partner_id") is not None


def judge(policy: Policy, evaluation: Evaluation, probability: float | None) -> Verdict:
    """The verdict on one lead; `probability` is None without a model."""
    outcomes = [_apply(rule, policy, evaluation) for rule in policy.rules]
    if policy.minimum_probability is not None:
        outcomes.append(_minimum(policy.minimum_probability, probability))
    names: tuple[Gate, ...] = (*EQL_GATES, "engagement")
    gates = {gate: kleene_and(o.outcome for o in outcomes if o.gate == gate) for gate in names}
    qualification = _qualification(gates, probability, policy.sql_probability)
    failed = any(gates[gate] == "fail" for gate in EQL_GATES)
    pending = qualification != "EQL" and not failed and is_partner_lead(evaluation.lead)
    unknown = {o.rule for o in outcomes if o.outcome == "unknown" and o.gate in EQL_GATES}
    missing = tuple(rule.ask or rule.description for rule in policy.rules if rule.id in unknown)
    return Verdict(
        qualification=qualification,
        pending=pending,
        rules=tuple(outcomes),
        missing=() if qualification == "DISQUALIFIED" else missing,
    )


def kleene_and(outcomes: Iterable[Outcome]) -> Outcome:
    """Fail if any fails, else unknown if any is unknown, else pass (an empty gate passes)."""
    found = set(outcomes)
    return "fail" if "fail" in found else "unknown" if "unknown" in found else "pass"


def _qualification(gates: Mapping[Gate, Outcome], probability: float | None, sql_probability: float) -> Qualification:
    if gates["disqualifier"] == "fail":
        return "DISQUALIFIED"
    if all(gates[gate] == "pass" for gate in EQL_GATES):
        return "EQL"
    likely = probability is not None and probability >= sql_probability
    if likely and gates["icp"] == gates["buying_signal"] == "pass":
        return "SQL"
    return "MQL" if "pass" in (gates["buying_signal"], gates["engagement"]) else "UNQUALIFIED"


def _minimum(minimum: float, probability: float | None) -> RuleOutcome:
    outcome: Outcome = "unknown" if probability is None else "pass" if probability >= minimum else "fail"
    words = {"unknown": "no close probability", "pass": "at or above", "fail": "below"}[outcome]
    return RuleOutcome(
        rule="minimum_probability",
        gate="close_probability",
        outcome=outcome,
        reason=f"{words} the least the policy asks of an EQL, {minimum:.0%}",
        evidence={"close_probability": probability},
    )


class _Found(NamedTuple):
    """What a condition came to: whether it held, of a test the value it read, and the conditions it is made of."""

    condition: Condition
    held: bool | None
    value: Scalar = None
    parts: Sequence["_Found"] = ()


def _apply(rule: Rule, policy: Policy, evaluation: Evaluation) -> RuleOutcome:
    found = _look(rule.require or rule.forbid, policy, evaluation)
    held = found.held if rule.forbid is None else found.held is not True
    outcome: Outcome = "unknown" if held is None else "pass" if held else "fail"
    plain = outcome == "pass" and rule.forbid is not None
    reason = rule.description if plain else "; ".join(_phrases(found))
    evidence = {test.subject: _shown(test, value) for test, _, value, _ in _tests(found)}
    return RuleOutcome(rule=rule.id, gate=rule.gate, outcome=outcome, reason=reason, evidence=evidence)


def _look(condition: Condition | None, policy: Policy, evaluation: Evaluation) -> _Found:
    match condition:
        case Test():
            value = _read(condition, evaluation)
            return _Found(condition, _tested(condition, value, policy), value)
        case AllOf(all=conditions):
            parts = [_look(part, policy, evaluation) for part in conditions]
            held = [part.held for part in parts]
            return _Found(condition, False if False in held else None if None in held else True, parts=parts)
        case AnyOf(any=conditions):
            parts = [_look(part, policy, evaluation) for part in conditions]
            held = [part.held for part in parts]
            return _Found(condition, True if True in held else None if None in held else False, parts=parts)
        case Not(condition=denied):
            part = _look(denied, policy, evaluation)
            return _Found(condition, None if part.held is None else not part.held, parts=[part])
    raise TypeError(f"not a condition: {condition!r}")


def _tests(found: _Found) -> list[Any]:
    """What every test of a condition came to, in order."""
    return [test for part in found.parts for test in _tests(part)] if found.parts else [found]


def _read(test: Test, evaluation: Evaluation) -> Scalar:
    if test.feature is not None:
        return evaluation.features[test.feature]
    entity, _, column = (test.field or "").partition(".")
    if column == "partner_lead":
        return is_partner_lead(evaluation.lead)
    found: Scalar = getattr(evaluation, entity).get(column)
    return found


def _shown(test: Test, found: Scalar) -> Scalar:
    """A value as evidence shows it: instants as RFC 3339, dates as days, lists with commas."""
    if test.field in LIST_FIELDS and isinstance(found, str):
        return ", ".join(found.strip("|").split("|"))
    type_ = FIELD_TYPES.get(test.field or "")
    if type_ in ("instant", "date") and isinstance(found, int):
        return rfc3339(found) if type_ == "instant" else iso_date(found)
    return found


def _tested(test: Test, found: Scalar, policy: Policy) -> bool | None:
    if found is None:
        held = None if test.given is None or test.otherwise == "unknown" else False
    else:
        held = _compare(test, found, policy)
    return None if held is False and test.otherwise == "unknown" else held


def _compare(test: Test, found: Any, policy: Policy) -> bool:
    if test.given:
        return True
    if test.field in LIST_FIELDS:
        return any(_compare_one(test, item, policy) for item in found.strip("|").split("|"))
    return _compare_one(test, found, policy)


def _compare_one(test: Test, found: Any, policy: Policy) -> bool:
    if test.equals is not None or test.one_of is not None:
        return normal(found) in test.wanted
    if test.in_list is not None:
        return normal(found) in policy.normal_lists[test.in_list]
    low, high = test.between or (test.at_least, test.at_most)
    return bool((low is None or found >= low) and (high is None or found <= high))


def _phrases(found: _Found) -> list[str]:
    """What each test of a condition found, in words; of an `any`, only what decided it."""
    match found.condition:
        case AnyOf():
            telling = [part for part in found.parts if part.held]
        case AllOf():
            telling = [part for part in found.parts if part.held is False]
        case _:
            told = [test for test in _tests(found) if not (test.held and test.condition.field == "lead.partner_lead")]
            return [_phrase(test.condition, test.held, test.value) for test in told]
    return [phrase for part in telling or found.parts for phrase in _phrases(part)]


def _phrase(test: Test, held: bool | None, found: Any) -> str:
    label = test.label or test.subject.replace("_", " ")
    if found is None:
        return f"no {label}" if test.given else f"{label} unknown"
    if isinstance(found, bool):
        return label if found else f"not {label}"
    if test.given:
        return f"{label} given"
    if isinstance(found, str):
        return f"{label} {found}{'' if held else ', not among those looked for'}"
    shown = f"{found:,}" if isinstance(found, int) else f"{found:,.0f}" if abs(found) >= 100 else f"{found:.3g}"
    return f"{shown} {label}{_bounds(test, bool(held))}"


def _bounds(test: Test, held: bool) -> str:
    if test.between is not None:
        low, high = test.between
        return f", {'within' if held else 'outside'} {low:,} to {high:,}"
    if test.at_least is not None:
        return f", {'at least' if held else 'fewer than'} {test.at_least:,}"
    return f", {'at most' if held else 'more than'} {test.at_most:,}" if test.at_most is not None else ""
