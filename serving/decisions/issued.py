"""A decision as it was issued: with its id, the source of the partner history, and its creation time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from features.value_types import parse_instant, rfc3339
from models.decision import Decision

HistorySource = Literal["store", "bundle"]
"""Where the partner history of a decision came from."""


@dataclass(frozen=True, kw_only=True)
class IssuedDecision:
    """A decision with what identifies it.

    Attributes:
        decision_id: its id.
        decision: the decision.
        partner_history: where the history of the source partner came from; None where no history was used.
        created_at: when the decision was made, microseconds.
    """

    decision_id: str
    decision: Decision
    partner_history: HistorySource | None
    created_at: int

    def to_dict(self) -> dict[str, Any]:
        """The decision as the API answers it."""
        return {
            "decision_id": self.decision_id,
            **self.decision.to_dict(),
            "partner_history": self.partner_history,
            "created_at": rfc3339(self.created_at),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "IssuedDecision":
        """The decision that `to_dict` wrote; earlier versions of the software did not write `partner_history`."""
        return cls(
            decision_id=content["decision_id"],
            decision=Decision.from_dict(content),
            partner_history=content.get("partner_history"),
            created_at=parse_instant(content["created_at"]),
        )

    @classmethod
    def from_json(cls, text: str) -> "IssuedDecision":
        """The decision in a stored decision's content."""
        return cls.from_dict(json.loads(text))
