"""Why a score changed between two decisions on a lead: new facts, another model, or another policy.

A change is split along a path: first the facts change, then the model, then the policy. The old model scores the new
facts, so the step of the facts is what the old model alone would have shown. The new model scores the same new facts,
so the step of the model is the rest. Both steps add up to the whole change, in log-odds and in percentage points. The
contributions of the old model split the step of the facts further, feature by feature. A qualification follows the same
path: the old policy is applied to the new facts before the new policy is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from features.catalogue.catalogue import Catalogue
from features.engines.python import Evaluation
from features.value_types import Scalar
from models.arrays import Reals
from models.bundle import Bundle
from models.explanation import chord, sentences
from models.policy import Policy, Qualification
from models.probability import sigmoid
from models.verdict import RuleOutcome, Verdict, apply_policy

FeatureValues: TypeAlias = Mapping[str, Scalar]
"""The values of one lead's features, by name."""


@dataclass(frozen=True)
class ScoreStep:
    """The part of a change of score that one cause made: in log-odds, and in percentage points of probability."""

    log_odds: float
    points: float


@dataclass(frozen=True, kw_only=True)
class FeatureChange:
    """The part of a change of score that one feature made under the old model.

    Attributes:
        feature: the feature's name.
        family: the feature's family.
        before, after: the feature's values. They are equal where other features changed its weight.
        log_odds, points: the part, in log-odds and in percentage points of probability.
        sentence: how sales reads it.
    """

    feature: str
    family: str
    before: Scalar
    after: Scalar
    log_odds: float
    points: float
    sentence: str


@dataclass(frozen=True, kw_only=True)
class ScoreChange:
    """A change of probability, split by cause. Facts and model add up to it; the features add up to the facts.

    Attributes:
        before: the old model's probability of the old facts.
        old_model: the old model's probability of the new facts.
        after: the new model's probability of the new facts.
        facts, model: the part of each cause.
        features: the part of each feature, the strongest first; features without a part are left out.
    """

    before: float
    old_model: float
    after: float
    facts: ScoreStep
    model: ScoreStep
    features: tuple[FeatureChange, ...]

    @property
    def points(self) -> float:
        """The whole change in percentage points."""
        return 100 * (self.after - self.before)

    @property
    def sentence(self) -> str:
        """How sales reads the change."""
        facts = f"{self.before:.1%} became {self.after:.1%}: {self.facts.points:+z.1f} points by new facts"
        return facts + (f", {self.model.points:+z.1f} by a new model" if self.model.log_odds else "")


def score_change(catalogue: Catalogue, old: Bundle, before: Evaluation, new: Bundle, after: Evaluation) -> ScoreChange:
    """The change from `old` on the facts `before` to `new` on the facts `after`.

    Args:
        catalogue: the families and sentences of the old bundle's features.
        old: the model of the earlier decision.
        before: the lead as of the earlier decision.
        new: the model of the later decision; the same one where only facts changed.
        after: the lead as of the later decision, for both models.

    Raises:
        ValueError: `before` or `after` lacks a feature that a model reads.
    """
    models_and_leads = ((old, before), (old, after), (new, after))
    rows = [_contributions(bundle, _features(catalogue, bundle, lead)) for bundle, lead in models_and_leads]
    log_odds = [float(row.sum()) for row in rows]
    first, second, third = (float(sigmoid(each)) for each in log_odds)
    return ScoreChange(
        before=first,
        old_model=second,
        after=third,
        facts=ScoreStep(log_odds[1] - log_odds[0], 100 * (second - first)),
        model=ScoreStep(log_odds[2] - log_odds[1], 100 * (third - second)),
        features=_feature_changes(catalogue, old, before, after, rows[1] - rows[0], 100 * chord(*log_odds[:2])),
    )


def _feature_changes(
    catalogue: Catalogue, old: Bundle, earlier: Evaluation, later: Evaluation, moved: Reals, scale: float
) -> tuple[FeatureChange, ...]:
    """The part of each feature that `moved`, in log-odds; `scale` turns log-odds into percentage points."""
    before, after = _features(catalogue, old, earlier), _features(catalogue, old, later)
    then, now = sentences(catalogue, old.encoding, earlier), sentences(catalogue, old.encoding, later)
    changes = [
        FeatureChange(
            feature=name,
            family=catalogue[name].family,
            before=before[name],
            after=after[name],
            log_odds=log_odds,
            points=log_odds * scale,
            sentence=_sentence(then(catalogue[name]), now(catalogue[name]), changed=before[name] != after[name]),
        )
        for name, log_odds in zip(old.encoding.names, moved[:-1].tolist(), strict=True)
        if log_odds
    ]
    return tuple(sorted(changes, key=lambda change: (-abs(change.log_odds), change.feature)))


def _features(catalogue: Catalogue, bundle: Bundle, lead: Evaluation) -> FeatureValues:
    """The features of a lead as the bundle reads them: with texts folded by the bundle's version."""
    return lead.features_folded_by(bundle.fold, catalogue)


def _contributions(bundle: Bundle, features: FeatureValues) -> Reals:
    """The calibrated contributions of one lead, the base last: shape (features + 1,)."""
    names = bundle.encoding.names
    missing = sorted(set(names) - set(features))
    if missing:
        raise ValueError(
            f"the change cannot be split: the {bundle.rung} model {bundle.sha256[:12]} reads {', '.join(missing)}, "
            f"which the features given lack; evaluate them with that bundle's catalogue"
        )
    return np.asarray(bundle.contributions(bundle.encoding.encode_rows([features]))[0])


def _sentence(then: str, now: str, *, changed: bool) -> str:
    return f"{now} (before: {then})" if changed else f"{now}: weighs differently beside what changed"


@dataclass(frozen=True)
class RuleChange:
    """A rule whose outcome changed. An outcome is None where the policy does not have the rule."""

    rule: str
    before: RuleOutcome | None
    after: RuleOutcome | None


@dataclass(frozen=True, kw_only=True)
class VerdictStep:
    """The part of a change of verdict that one cause made.

    Attributes:
        before, after: the qualifications.
        pending_before, pending_after: whether the lead was pending.
        rules: the rules whose outcome changed.
    """

    before: Qualification
    after: Qualification
    pending_before: bool
    pending_after: bool
    rules: tuple[RuleChange, ...]

    @property
    def changed(self) -> bool:
        """Whether the qualification or the pending flag changed."""
        return (self.before, self.pending_before) != (self.after, self.pending_after)


@dataclass(frozen=True)
class QualificationChange:
    """A change of verdict, split by cause. Each step starts where the step before it ended."""

    facts: VerdictStep
    model: VerdictStep
    policy: VerdictStep

    @property
    def sentence(self) -> str:
        """How sales reads the change."""
        causes = {"new facts": self.facts, "a new model": self.model, "a new policy": self.policy}
        steps = [f"{s.before} became {s.after} by {cause}" for cause, s in causes.items() if s.before != s.after]
        return "; ".join(steps) or f"{self.policy.after} as before"


@dataclass(frozen=True)
class PathProbabilities:
    """The close probabilities along the path of a change; None where there is no model.

    Attributes:
        before: the old model's probability of the old facts.
        old_model: the old model's probability of the new facts.
        after: the new model's probability of the new facts.
    """

    before: float | None = None
    old_model: float | None = None
    after: float | None = None


def qualification_change(
    old: Policy, before: Evaluation, new: Policy, after: Evaluation, probabilities: PathProbabilities
) -> QualificationChange:
    """The change from the old policy on the facts `before` to the new policy on the facts `after`.

    Args:
        old: the policy of the earlier decision.
        before: the lead as of the earlier decision.
        new: the policy of the later decision; the same one where it did not change.
        after: the lead as of the later decision.
        probabilities: the lead's close probabilities along the path.
    """
    verdicts = (
        apply_policy(old, before, probabilities.before),
        apply_policy(old, after, probabilities.old_model),
        apply_policy(old, after, probabilities.after),
        apply_policy(new, after, probabilities.after),
    )
    facts, model, policy = (_verdict_step(start, end) for start, end in pairwise(verdicts))
    return QualificationChange(facts, model, policy)


def _verdict_step(before: Verdict, after: Verdict) -> VerdictStep:
    then, now = ({outcome.rule: outcome for outcome in verdict.rules} for verdict in (before, after))
    rules = tuple(
        RuleChange(rule, then.get(rule), now.get(rule))
        for rule in {**then, **now}
        if _outcome(then.get(rule)) != _outcome(now.get(rule))
    )
    return VerdictStep(
        before=before.qualification,
        after=after.qualification,
        pending_before=before.pending,
        pending_after=after.pending,
        rules=rules,
    )


def _outcome(rule: RuleOutcome | None) -> str | None:
    return None if rule is None else rule.outcome
