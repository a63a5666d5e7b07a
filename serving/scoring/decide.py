"""The one way to a decision: inputs in, decisions out, in the form that is answered and in the form that is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from models.decision import Decision
from models.scorer import Scorer
from serving.decisions import partner_standings, stored_decisions
from serving.decisions.evaluations import evaluation_to_json
from serving.decisions.issued import IssuedDecision
from serving.decisions.partner_standings import PartnerStanding
from serving.decisions.stored_decisions import StoredDecision
from serving.identity import TokenSource
from serving.scoring.inputs import DecisionInputs
from serving.scoring.partner_standing import standings
from serving.store.canonical_json import canonical

_SALT_BYTES = 32


@dataclass(frozen=True)
class NewDecision:
    """A decision that was just made.

    Attributes:
        issued: the decision with its id.
        content: the decision as the API answers it.
        stored: the decision as the store keeps it.
        standing: how the lead stands for its partner; None where it stands as in the decision.
    """

    issued: IssuedDecision
    content: Mapping[str, Any]
    stored: StoredDecision
    standing: PartnerStanding | None = None


def decide(scorer: Scorer, inputs: Sequence[DecisionInputs]) -> list[Decision]:
    """The decision on each of these leads, in their order."""
    return scorer.decide_all([(each.lead_id, each.as_of, each.evaluation) for each in inputs])


def decide_and_issue(
    scorer: Scorer, inputs: Sequence[DecisionInputs], tokens: TokenSource, now: int
) -> list[NewDecision]:
    """The decision on each of these leads with an id and `now` (microseconds) as its creation time."""
    made = [
        _new(issue(decision, stored_decisions.new_id(tokens), each, now), each, tokens)
        for decision, each in zip(decide(scorer, inputs), inputs, strict=True)
    ]
    seen = standings(scorer, inputs, [each.issued.decision_id for each in made])
    return [replace(each, standing=seen.get(each.issued.decision_id)) for each in made]


def keep(connection: Connection, decisions: Sequence[NewDecision]) -> None:
    """Stores decisions, with how their leads stand for their partners."""
    stored_decisions.add(connection, [each.stored for each in decisions])
    partner_standings.add(connection, [each.standing for each in decisions if each.standing is not None])


def issue(decision: Decision, decision_id: str, inputs: DecisionInputs, created_at: int) -> IssuedDecision:
    """A decision with its id, the source of its partner history, and its creation time."""
    return IssuedDecision(
        decision_id=decision_id,
        decision=decision,
        partner_history=inputs.history.source,
        created_at=created_at,
    )


def _new(issued: IssuedDecision, inputs: DecisionInputs, tokens: TokenSource) -> NewDecision:
    content = issued.to_dict()
    stored = StoredDecision(
        decision_id=issued.decision_id,
        lead_id=inputs.lead_id,
        stored=inputs.ingest is not None,
        as_of=inputs.as_of,
        created_at=issued.created_at,
        content=canonical(content),
        request=inputs.request,
        salt=tokens(_SALT_BYTES).hex(),
        features=evaluation_to_json(inputs.evaluation),
        ingest=inputs.ingest,
        history=inputs.history.to_json(),
    )
    return NewDecision(issued, content, stored)
