"""The changes between two decisions on a lead, by cause: new facts, then another model, then another policy."""

from dataclasses import dataclass

from sqlalchemy import Connection

from features.engines.python import Evaluation
from models.change import (
    FeatureChange,
    PathProbabilities,
    QualificationChange,
    RuleChange,
    ScoreChange,
    ScoreStep,
    VerdictStep,
    qualification_change,
    score_change,
)
from models.policy import Outcome, Qualification
from models.scorer import Scorer
from serving.champion.scorer_cache import ScorerCache, Unavailable
from serving.decisions.evaluations import evaluation_from_json
from serving.decisions.stored_decisions import StoredDecision


@dataclass(frozen=True)
class RuleTransition:
    """A rule whose outcome changed; None where one of the policies lacks the rule."""

    rule: str
    before: Outcome | None
    after: Outcome | None


@dataclass(frozen=True, kw_only=True)
class CauseOfChange:
    """The effect of one cause.

    Attributes:
        points: percentage points of probability; None where one of the decisions has none.
        log_odds: the same in log-odds.
        before, after: the qualification.
        rules: the rules whose outcome changed.
    """

    points: float | None
    log_odds: float | None
    before: Qualification
    after: Qualification
    rules: tuple[RuleTransition, ...]


@dataclass(frozen=True, kw_only=True)
class DecisionChange:
    """A change by its causes. Their points add up to the whole change, those of the features to the facts'.

    Attributes:
        sentences: the change in words for sales.
        points: the whole change in percentage points; None where one of the decisions has no probability.
        facts, model, policy: what each cause changed.
        features: the change by each feature, the largest first.
    """

    sentences: tuple[str, ...]
    points: float | None
    facts: CauseOfChange
    model: CauseOfChange
    policy: CauseOfChange
    features: tuple[FeatureChange, ...]


@dataclass(frozen=True)
class _Side:
    """One of two decisions: its scorer and the evaluation that it decided on."""

    scorer: Scorer
    evaluation: Evaluation


def change(
    connection: Connection, scorers: ScorerCache, before: StoredDecision, after: StoredDecision
) -> DecisionChange:
    """The change from one decision to another on the same lead.

    Raises:
        Unavailable: the change cannot be split by cause; the message says why.
    """
    old, new = _side(connection, scorers, before), _side(connection, scorers, after)
    try:
        score = _score_change(old, new)
        verdicts = qualification_change(
            old.scorer.policy, old.evaluation, new.scorer.policy, new.evaluation, _probabilities(old, new, score)
        )
    except (KeyError, ValueError) as error:
        raise Unavailable(f"the change cannot be taken apart: {error}") from None
    return _decision_change(score, verdicts)


def _side(connection: Connection, scorers: ScorerCache, stored: StoredDecision) -> _Side:
    if stored.features is None:
        raise Unavailable("what one of the decisions was made from is not kept")
    decision = stored.issued.decision
    scorer = scorers.scorer(connection, decision.model, decision.policy, decision.catalogue)
    return _Side(scorer, evaluation_from_json(stored.features))


def _score_change(old: _Side, new: _Side) -> ScoreChange | None:
    """The change of the probability; None where one of the decisions has none."""
    if old.scorer.served is None or new.scorer.served is None:
        return None
    return score_change(
        old.scorer.catalogue,
        old.scorer.served.bundle,
        old.evaluation,
        new.scorer.served.bundle,
        new.evaluation,
    )


def _probabilities(old: _Side, new: _Side, score: ScoreChange | None) -> PathProbabilities:
    """The probabilities before, of the old model on the new facts, and after."""
    if score is not None:
        return PathProbabilities(score.before, score.old_model, score.after)
    before, after = old.evaluation, new.evaluation
    if old.scorer.served is not None:
        bundle = old.scorer.served.bundle
        lost = score_change(old.scorer.catalogue, bundle, before, bundle, after)
        return PathProbabilities(before=lost.before, old_model=lost.after)
    if new.scorer.served is not None:
        bundle = new.scorer.served.bundle
        return PathProbabilities(after=score_change(new.scorer.catalogue, bundle, after, bundle, after).after)
    return PathProbabilities()


def _decision_change(score: ScoreChange | None, verdicts: QualificationChange) -> DecisionChange:
    facts, model = (None, None) if score is None else (score.facts, score.model)
    # A policy moves no probability.
    policy = None if score is None else ScoreStep(0.0, 0.0)
    return DecisionChange(
        sentences=(*(() if score is None else (score.sentence,)), verdicts.sentence),
        points=None if score is None else score.points,
        facts=_cause(facts, verdicts.facts),
        model=_cause(model, verdicts.model),
        policy=_cause(policy, verdicts.policy),
        features=() if score is None else score.features,
    )


def _cause(score: ScoreStep | None, verdict: VerdictStep) -> CauseOfChange:
    return CauseOfChange(
        points=None if score is None else score.points,
        log_odds=None if score is None else score.log_odds,
        before=verdict.before,
        after=verdict.after,
        rules=tuple(map(_transition, verdict.rules)),
    )


def _transition(changed: RuleChange) -> RuleTransition:
    before, after = (None if found is None else found.outcome for found in (changed.before, changed.after))
    return RuleTransition(changed.rule, before, after)
