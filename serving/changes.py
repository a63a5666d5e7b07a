"""What changed between two decisions on a lead, by cause: new facts, then another model, then another policy."""

import json
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Connection

from features.direct import Evaluation
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
from serving.archive import Archive, Unavailable
from serving.basis import evaluation_of
from serving.store.decisions import StoredDecision

_Seen: TypeAlias = tuple[Scorer, Evaluation]


@dataclass(frozen=True)
class RuleStep:
    """A rule whose outcome changed; None where one policy does not have it."""

    rule: str
    before: Outcome | None
    after: Outcome | None


@dataclass(frozen=True)
class Step:
    """What one cause changed.

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
    rules: tuple[RuleStep, ...]


@dataclass(frozen=True)
class Change:
    """A change taken apart; the points of the causes add up to the whole, those of the features to the facts'.

    Attributes:
        sentences: how sales reads it.
        points: the whole change in percentage points; None where one of the decisions has no probability.
        facts, model, policy: what each cause changed.
        features: what each feature moved, the strongest first.
    """

    sentences: tuple[str, ...]
    points: float | None
    facts: Step
    model: Step
    policy: Step
    features: tuple[FeatureChange, ...]


def change(connection: Connection, archive: Archive, before: StoredDecision, after: StoredDecision) -> Change:
    """The change from one decision to another on the same lead.

    Raises:
        Unavailable: it cannot be taken apart; the message says why.
    """
    then, now = _seen(connection, archive, before), _seen(connection, archive, after)
    try:
        moved = _moved(then, now)
        probabilities = _probabilities(then, now, moved)
        verdicts = qualification_change(then[0].policy, then[1], now[0].policy, now[1], probabilities)
    except (KeyError, ValueError) as error:
        raise Unavailable(f"the change cannot be taken apart: {error}") from None
    return _change(moved, verdicts)


def _seen(connection: Connection, archive: Archive, kept: StoredDecision) -> _Seen:
    if kept.features is None:
        raise Unavailable("what one of the decisions was made from is not kept")
    return archive.scorer(connection, json.loads(kept.content)), evaluation_of(kept.features)


def _moved(then: _Seen, now: _Seen) -> ScoreChange | None:
    """The change of probability; None where one of the decisions has none."""
    (old, before), (new, after) = then, now
    if old.served is None or new.served is None:
        return None
    return score_change(old.catalogue, old.served.bundle, before.features, new.served.bundle, after.features)


def _probabilities(then: _Seen, now: _Seen, moved: ScoreChange | None) -> PathProbabilities:
    """The close probabilities along the path of the change, for the models that there are."""
    if moved is not None:
        return PathProbabilities(moved.before, moved.old_model, moved.after)
    (old, before), (new, after) = then, now
    if old.served is not None:
        lost = score_change(old.catalogue, old.served.bundle, before.features, old.served.bundle, after.features)
        return PathProbabilities(lost.before, lost.after, None)
    if new.served is not None:
        found = score_change(new.catalogue, new.served.bundle, after.features, new.served.bundle, after.features)
        return PathProbabilities(None, None, found.after)
    return PathProbabilities(None, None, None)


def _change(moved: ScoreChange | None, verdicts: QualificationChange) -> Change:
    facts, model, policy = (None, None, None) if moved is None else (moved.facts, moved.model, ScoreStep(0.0, 0.0))
    return Change(
        sentences=(*(() if moved is None else (moved.sentence,)), verdicts.sentence),
        points=None if moved is None else moved.points,
        facts=_step(facts, verdicts.facts),
        model=_step(model, verdicts.model),
        policy=_step(policy, verdicts.policy),
        features=() if moved is None else moved.features,
    )


def _step(score: ScoreStep | None, verdict: VerdictStep) -> Step:
    points, log_odds = (None, None) if score is None else (score.points, score.log_odds)
    return Step(points, log_odds, verdict.before, verdict.after, tuple(map(_rule, verdict.rules)))


def _rule(changed: RuleChange) -> RuleStep:
    before, after = (None if found is None else found.outcome for found in (changed.before, changed.after))
    return RuleStep(changed.rule, before, after)
