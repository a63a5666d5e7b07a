"""How a lead stands by what its partner knows: without the vendor's account that the lead joined by its domain."""

from collections.abc import Sequence

from models.scorer import Scorer
from serving.decisions.partner_standings import PartnerStanding
from serving.decisions.partner_view import missing
from serving.scoring.inputs import DecisionInputs


def standings(
    scorer: Scorer, inputs: Sequence[DecisionInputs], decision_ids: Sequence[str]
) -> dict[str, PartnerStanding]:
    """The standing of each lead that stands otherwise for its partner, by the id of the decision in whose place it is.

    Args:
        scorer: the scorer that decides.
        inputs: the leads.
        decision_ids: the decisions on them, in the same order.
    """
    hidden = [
        (name, (each.lead_id, each.as_of, each.for_partner))
        for each, name in zip(inputs, decision_ids, strict=True)
        if each.for_partner is not None
    ]
    decisions = scorer.decide_all([lead for _, lead in hidden])
    return {
        name: PartnerStanding(
            decision_id=name,
            lead_id=decision.lead_id,
            qualification=decision.qualification,
            pending=decision.pending,
            missing=tuple(missing(decision)),
        )
        for (name, _), decision in zip(hidden, decisions, strict=True)
    }
