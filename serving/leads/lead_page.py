"""The content of a lead's page: the kept decision, arranged for reading. Probabilities and points are the kept ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from features.partner_lead import is_partner_lead
from features.records import Row
from models.decision import Decision
from models.explanation import Explanation
from models.verdict import RuleOutcome, kleene_and
from operations.mandatory import missing_fields
from serving.decisions.issued import IssuedDecision
from serving.decisions.reasons import Reason, strongest_reasons
from serving.html import charts, words
from serving.html.charts import RangeBar, Span


@dataclass(frozen=True)
class LeadRecords:
    """The lead, its account and its source partner as recorded by the decision's moment; empty where unknown."""

    lead: Row
    account: Row
    partner: Row

    @property
    def name(self) -> str | None:
        """The account's name, else its domain."""
        return self.account.get("name") or self.account.get("domain")

    @property
    def facts(self) -> list[str]:
        """The identifying fields of the lead, in a few words each."""
        channel, source = self.lead.get("channel"), self.partner.get("name") or self.lead.get("source_partner_id")
        known = (
            self.account.get("domain") if self.account.get("name") else None,
            source and f"from {source}",
            channel and f"by {channel.replace('_', ' ')}",
            self.lead.get("region"),
        )
        return [fact for fact in known if fact]


@dataclass(frozen=True)
class Gate:
    """A gate with its outcome and the outcomes of its rules."""

    name: str
    outcome: str
    rules: Sequence[RuleOutcome]


@dataclass(frozen=True)
class ReasonBar:
    """A reason with the length of its bar."""

    reason: Reason
    length: float


@dataclass(frozen=True)
class WaterfallStep:
    """A step from the baseline to the lead's probability.

    Attributes:
        name: what it is.
        family: the signal family, None of the ends.
        text: the share, or the percentage points added.
        bar: where it goes.
    """

    name: str
    family: str | None
    text: str
    bar: Span


@dataclass(frozen=True, kw_only=True)
class ProbabilityChart:
    """The charts of a probability and of its reasons.

    Attributes:
        end: the probability at the right end of the bars of the range and of `without_partner`.
        bar: the value and its range.
        favouring, against: the strongest reasons.
        others: what all other reasons add, in percentage points.
        steps: from the baseline by the families' sums to the value.
        without: the length of the bar without partners.
        served: the length of the bar of the value.
    """

    end: float
    bar: RangeBar
    favouring: Sequence[ReasonBar]
    against: Sequence[ReasonBar]
    others: float
    steps: Sequence[WaterfallStep]
    without: float
    served: float


@dataclass(frozen=True, kw_only=True)
class LeadPage:
    """The content of a lead's page.

    Attributes:
        decision_id: the decision's id.
        decision: the kept decision.
        records: the lead and the records around it.
        probability: the charts of the explanation; None where the decision has no probability.
        gates: every rule by gate.
        asks: what to ask for that the next actions do not mention.
        lacking: mandatory fields that the lead's record lacks, without those whose rule passed on other evidence.
        as_of, created_at: microseconds.
    """

    decision_id: str
    decision: Decision
    records: LeadRecords
    probability: ProbabilityChart | None
    gates: Sequence[Gate]
    asks: Sequence[str]
    lacking: Sequence[str]
    as_of: int
    created_at: int


def lead_page(issued: IssuedDecision, records: LeadRecords) -> LeadPage:
    """The page of a kept decision."""
    decision = issued.decision
    return LeadPage(
        decision_id=issued.decision_id,
        decision=decision,
        records=records,
        probability=_probability_chart(decision),
        gates=_gates(decision.rules),
        asks=() if decision.pending else decision.missing,
        lacking=_lacking(decision.rules, records.lead),
        as_of=decision.as_of,
        created_at=issued.created_at,
    )


def _lacking(rules: Sequence[RuleOutcome], lead: Row) -> list[str]:
    passed = {rule.rule for rule in rules if rule.outcome == "pass"}
    partner_lead = is_partner_lead(lead, partner_involved=any(rule.evidence.get("partner_lead") for rule in rules))
    names = (name.removesuffix("_id") for name in missing_fields(lead, partner_lead=partner_lead))
    return [name.replace("_", " ") for name in names if name not in passed]


def _gates(rules: Sequence[RuleOutcome]) -> list[Gate]:
    grouped: dict[str, list[RuleOutcome]] = {name: [] for name in words.GATES}
    for rule in rules:
        grouped.setdefault(rule.gate, []).append(rule)
    return [Gate(name, kleene_and(rule.outcome for rule in of), of) for name, of in grouped.items() if of]


def _probability_chart(decision: Decision) -> ProbabilityChart | None:
    probability, explanation = decision.close_probability, decision.explanation
    if probability is None or explanation is None or decision.without_partner is None:
        return None
    without = decision.without_partner.close_probability
    end = charts.scale([probability.upper, without])
    reasons = strongest_reasons(explanation.contributions)
    shown = [*reasons.favouring, *reasons.against]
    bars = list(map(ReasonBar, shown, charts.lengths([reason.points for reason in shown])))
    return ProbabilityChart(
        end=end,
        bar=charts.range_bar(probability, end),
        favouring=bars[: len(reasons.favouring)],
        against=bars[len(reasons.favouring) :],
        others=reasons.others,
        steps=_steps(explanation, probability.value),
        without=charts.WIDTH * without / end,
        served=charts.WIDTH * probability.value / end,
    )


def _steps(explanation: Explanation, value: float) -> list[WaterfallStep]:
    families, baseline = explanation.families, explanation.baseline
    first, last = ("Baseline", None, words.percent(baseline)), ("This lead", None, words.percent(value))
    between = [(words.FAMILIES.get(f, f), f, words.points(points)) for f, points in families.items()]
    bars = charts.waterfall(100 * baseline, list(families.values()))
    return [WaterfallStep(*each, bar) for each, bar in zip((first, *between, last), bars, strict=True)]
