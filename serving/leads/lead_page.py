"""A lead's page: the stored decision taken apart for reading. Nothing is computed anew; sums are of what is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.records import Row
from features.value_types import parse_instant
from models.verdict import kleene_and
from operations.mandatory import missing_fields
from serving.decisions.reasons import Reason, told
from serving.html import charts as figures
from serving.html import words
from serving.html.charts import RangeBar, Span


@dataclass(frozen=True)
class Who:
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
        """What tells the lead from others, in a few words each."""
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
    """A gate with what it came to and its rules' outcomes."""

    name: str
    outcome: str
    rules: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Weighed:
    """A reason with the length of its bar."""

    reason: Reason
    length: float


@dataclass(frozen=True)
class Step:
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


@dataclass(frozen=True)
class Probability:
    """What the page says of a probability and where it comes from.

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
    favouring: Sequence[Weighed]
    against: Sequence[Weighed]
    others: float
    steps: Sequence[Step]
    without: float
    served: float


@dataclass(frozen=True)
class LeadPage:
    """What a lead's page shows.

    Attributes:
        decision: the stored content.
        who: whom it is about.
        probability: its explanation; None where the decision has no probability.
        gates: every rule by gate.
        asks: what to ask for that the next actions do not say.
        lacking: mandatory fields the lead's record lacks, without those whose rule passed on other evidence.
        as_of, created_at: microseconds.
    """

    decision: Mapping[str, Any]
    who: Who
    probability: Probability | None
    gates: Sequence[Gate]
    asks: Sequence[str]
    lacking: Sequence[str]
    as_of: int
    created_at: int


def lead_page(decision: Mapping[str, Any], who: Who) -> LeadPage:
    """The page of a stored decision."""
    return LeadPage(
        decision=decision,
        who=who,
        probability=_probability(decision) if decision["close_probability"] else None,
        gates=_gates(decision["rules"]),
        asks=() if decision["pending"] else decision["missing"],
        lacking=_lacking(decision["rules"], who.lead),
        as_of=parse_instant(decision["as_of"]),
        created_at=parse_instant(decision["created_at"]),
    )


def _lacking(rules: Sequence[Mapping[str, Any]], lead: Row) -> list[str]:
    passed = {rule["rule"] for rule in rules if rule["outcome"] == "pass"}
    names = (name.removesuffix("_id") for name in missing_fields(lead))
    return [name.replace("_", " ") for name in names if name not in passed]


def _gates(rules: Sequence[Mapping[str, Any]]) -> list[Gate]:
    grouped: dict[str, list[Mapping[str, Any]]] = {name: [] for name in words.GATES}
    for rule in rules:
        grouped.setdefault(rule["gate"], []).append(rule)
    return [
        Gate(name, kleene_and(rule["outcome"] for rule in found), found) for name, found in grouped.items() if found
    ]


def _probability(decision: Mapping[str, Any]) -> Probability:
    probability, explanation = decision["close_probability"], decision["explanation"]
    without = decision["without_partner"]["close_probability"]
    end = figures.scale([probability["upper"], without])
    reasons = told(explanation["contributions"])
    shown = [*reasons.favouring, *reasons.against]
    weighed = list(map(Weighed, shown, figures.lengths([reason.points for reason in shown])))
    return Probability(
        end=end,
        bar=figures.range_bar(probability, end),
        favouring=weighed[: len(reasons.favouring)],
        against=weighed[len(reasons.favouring) :],
        others=reasons.others,
        steps=_steps(explanation, probability["value"]),
        without=figures.WIDTH * without / end,
        served=figures.WIDTH * probability["value"] / end,
    )


def _steps(explanation: Mapping[str, Any], value: float) -> list[Step]:
    families, baseline = explanation["families"], explanation["baseline"]
    bars = figures.waterfall(100 * baseline, [family["points"] for family in families])
    named = [(words.FAMILIES.get(f["family"], f["family"]), f["family"], words.points(f["points"])) for f in families]
    ends = ("Baseline", None, words.percent(baseline)), ("This lead", None, words.percent(value))
    return [Step(*each, bar) for each, bar in zip((ends[0], *named, ends[1]), bars, strict=True)]
