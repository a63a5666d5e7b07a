"""Why a score changed between two decisions on a lead: new facts, another model, another policy, split exactly.

The path is facts, then model, then policy. New facts are scored by the old model first, so what they move is what the
old model would have said had nothing else changed; the new model on the same facts moves the rest. Both steps add up
in log-odds and in points, and contributions take the step of the facts apart feature by feature. A qualification takes
the same path: the new facts are judged by the old policy before the new policy judges them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from features.catalogue.catalogue import Catalogue
from features.engines.python import Evaluation
from features.value_types import Scalar
from models.bundle import Bundle
from models.explanation import chord
from models.policy import Policy, Qualification
from models.probability import sigmoid
from models.verdict import RuleOutcome, Verdict, judge

Features = Mapping[str, Scalar]


@dataclass(frozen=True)
class Step:
    """What one cause moved: log-odds, and percentage points of probability."""

    log_odds: float
    points: float


@dataclass(frozen=True)
class FeatureChange:
    """What one feature moved under the old model.

    Attributes:
        feature, family: which.
        before, after: its values; equal where it only weighs differently beside those that changed.
        log_odds, points: what it moved.
        sentence: how sales reads it.
    """

    feature: str
    family: str
    before: Scalar
    after: Scalar
    log_odds: float
    points: float
    sentence: str


@dataclass(frozen=True)
class ScoreChange:
    """A change of probability taken apart; facts and model add up to it, the features to the facts.

    Attributes:
        before, after: probabilities.
        old_model: what the old model says of the new facts.
        facts, model: what each moved.
        features: what each feature moved, strongest first; those that moved nothing are left out.
    """

    before: float
    old_model: float
    after: float
    facts: Step
    model: Step
    features: tuple[FeatureChange, ...]

    @property
    def points(self) -> float:
        """The whole change in percentage points."""
        return 100 * (self.after - self.before)

    @property
    def sentence(self) -> str:
        """The change for sales."""
        said = f"{self.before:.1%} became {self.after:.1%}: {self.facts.points:+z.1f} points by new facts"
        return said + (f", {self.model.points:+z.1f} by a new model" if self.model.log_odds else "")


def score_change(catalogue: Catalogue, old: Bundle, before: Features, new: Bundle, after: Features) -> ScoreChange:
    """The change from `old` on the features `before` to `new` on the features `after`.

    Args:
        catalogue: the words of the old bundle's features.
        old: the model of the earlier decision.
        before: the features it saw, by name.
        new: the model of the later decision; the same one where only facts changed.
        after: the features of the later decision, those of both models.

    Raises:
        ValueError: a feature that a model reads is missing, so the change cannot be split.
    """
    first, second, third = _parts(old, before), _parts(old, after), _parts(new, after)
    odds = [float(parts.sum()) for parts in (first, second, third)]
    p = [float(sigmoid(each)) for each in odds]
    moved = second[:-1] - first[:-1]
    scale = 100 * chord(odds[0], odds[1])
    features = [
        FeatureChange(
            name,
            catalogue[name].family,
            before[name],
            after[name],
            float(m),
            float(m) * scale,
            _sentence(catalogue, name, before[name], after[name]),
        )
        for name, m in zip(old.encoding.names, moved, strict=True)
        if m
    ]
    features.sort(key=lambda change: (-abs(change.log_odds), change.feature))
    facts, model = Step(odds[1] - odds[0], 100 * (p[1] - p[0])), Step(odds[2] - odds[1], 100 * (p[2] - p[1]))
    return ScoreChange(p[0], p[1], p[2], facts, model, tuple(features))


def _parts(bundle: Bundle, features: Features) -> NDArray[np.float64]:
    """The calibrated parts of one row."""
    names = bundle.encoding.names
    missing = sorted(set(names) - set(features))
    if missing:
        raise ValueError(
            f"the change cannot be split: the {bundle.rung} model {bundle.sha256[:12]} reads {', '.join(missing)}, "
            f"which the features given lack; evaluate them with that bundle's catalogue"
        )
    parts = bundle.parts(bundle.encoding.encode({name: [features[name]] for name in names}, 1))
    return np.asarray(parts[0])


def _sentence(catalogue: Catalogue, name: str, before: Scalar, after: Scalar) -> str:
    now, then = catalogue[name].read(after), catalogue[name].read(before)
    return f"{now} (before: {then})" if before != after else f"{now}: weighs differently beside what changed"


@dataclass(frozen=True)
class RuleChange:
    """A rule whose outcome changed: before and after, None where one policy does not have it."""

    rule: str
    before: RuleOutcome | None
    after: RuleOutcome | None


@dataclass(frozen=True)
class VerdictStep:
    """What one cause did to the verdict."""

    before: Qualification
    after: Qualification
    pending_before: bool
    pending_after: bool
    rules: tuple[RuleChange, ...]

    @property
    def changed(self) -> bool:
        """Whether the qualification, or that it is pending, changed."""
        return (self.before, self.pending_before) != (self.after, self.pending_after)


@dataclass(frozen=True)
class QualificationChange:
    """A change of verdict by cause, each step from where the one before it ended."""

    facts: VerdictStep
    model: VerdictStep
    policy: VerdictStep

    @property
    def sentence(self) -> str:
        """The change for sales."""
        causes = {"new facts": self.facts, "a new model": self.model, "a new policy": self.policy}
        said = [f"{s.before} became {s.after} by {cause}" for cause, s in causes.items() if s.before != s.after]
        return "; ".join(said) or f"{self.policy.after} as before"


def qualification_change(
    old: Policy,
    before: Evaluation,
    new: Policy,
    after: Evaluation,
    probabilities: tuple[float | None, float | None, float | None],
) -> QualificationChange:
    """The change from the old policy on the facts `before` to the new policy on the facts `after`.

    Args:
        old: the policy of the earlier decision.
        before: the lead as of the earlier decision.
        new: the policy of the later decision; the same one where it did not change.
        after: the lead as of the later decision.
        probabilities: before, of the old model on the new facts, and after (see `ScoreChange`); None without a model.
    """
    then, between, now = probabilities
    verdicts = [judge(old, before, then), judge(old, after, between), judge(old, after, now), judge(new, after, now)]
    facts, model, policy = (_step(one, other) for one, other in pairwise(verdicts))
    return QualificationChange(facts, model, policy)


def _step(before: Verdict, after: Verdict) -> VerdictStep:
    then, now = ({outcome.rule: outcome for outcome in verdict.rules} for verdict in (before, after))
    rules = tuple(
        RuleChange(rule, then.get(rule), now.get(rule))
        for rule in {**then, **now}
        if _outcome(then.get(rule)) != _outcome(now.get(rule))
    )
    return VerdictStep(before.qualification, after.qualification, before.pending, after.pending, rules)


def _outcome(found: RuleOutcome | None) -> str | None:
    return None if found is None else found.outcome
