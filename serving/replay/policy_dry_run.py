"""A dry run of a policy: what it would have said of the leads that were decided on lately.

Each lead's last decision keeps the features and the probability that it was made from. So a draft of a policy is
applied to exactly those, without the model and without the facts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from models.policy import Policy
from models.verdict import apply_policy
from serving.decisions import stored_decisions
from serving.decisions.evaluations import evaluation_from_json
from serving.decisions.stored_decisions import StoredDecision


@dataclass(frozen=True)
class Change:
    """A lead that the draft qualifies otherwise.

    Attributes:
        lead_id: the lead.
        before: its qualification, and whether it was pending, by its last decision.
        after: the same by the draft.
        rules: the rules whose outcome differs, or that only the draft has.
    """

    lead_id: str
    before: str
    after: str
    rules: tuple[str, ...]


@dataclass(frozen=True)
class DryRun:
    """What a draft of a policy changes.

    Attributes:
        leads: the number of leads that the draft was applied to.
        skipped: decisions of earlier versions, without features or without a feature that the draft reads.
        standings: the number of leads by their standing before and after.
        changes: the leads whose standing differs.
    """

    leads: int
    skipped: int
    standings: Mapping[tuple[str, str], int]
    changes: tuple[Change, ...]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        standings = [{"before": b, "after": a, "leads": n} for (b, a), n in sorted(self.standings.items())]
        changes = [{**change.__dict__, "rules": list(change.rules)} for change in self.changes]
        return {"leads": self.leads, "skipped": self.skipped, "standings": standings, "changes": changes}


def dry_run(connection: Connection, draft: Policy, since: int) -> DryRun:
    """Applies a draft of a policy to each lead's last decision, of those made since a moment (microseconds)."""
    return _summary(_compared(draft, kept) for kept in stored_decisions.last_of_leads(connection, since))


def _compared(draft: Policy, kept: StoredDecision) -> Change | None:
    """The decision under both policies; None where the draft cannot be applied to what is kept."""
    if kept.features is None:
        return None
    decision = kept.issued.decision
    probability = decision.close_probability
    likely = None if probability is None else probability.value
    try:
        verdict = apply_policy(draft, evaluation_from_json(kept.features), likely)
    except KeyError:
        return None
    before = {rule.rule: rule.outcome for rule in decision.rules}
    rules = tuple(rule.rule for rule in verdict.rules if before.get(rule.rule) != rule.outcome)
    return Change(
        decision.lead_id,
        _standing(decision.qualification, decision.pending),
        _standing(verdict.qualification, verdict.pending),
        rules,
    )


def _standing(qualification: str, pending: bool) -> str:
    return f"{qualification}, pending" if pending else qualification


def _summary(compared: Iterable[Change | None]) -> DryRun:
    standings: Counter[tuple[str, str]] = Counter()
    changes, skipped = [], 0
    for each in compared:
        if each is None:
            skipped += 1
            continue
        standings[each.before, each.after] += 1
        if each.before != each.after:
            changes.append(each)
    return DryRun(standings.total(), skipped, standings, tuple(changes))
