"""What a decision is made from: what features and rules see of the lead, and the partners' history it rests on.

Both are kept with the decision as canonical JSON text, and read back to make the decision again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from features.engines.python import Evaluation, Facts
from serving.store.canonical_json import canonical

HistorySource = Literal["store", "bundle"]
Origin = Literal["features", "facts"]
"""What a decision can be made again from."""


@dataclass(frozen=True)
class History:
    """The partners' history a decision rests on.

    Attributes:
        source: where it was taken from; None where the lead has no source partner, or nobody knows any history.
        rows: the rows that bear on that partner, by derived kind.
    """

    source: HistorySource | None = None
    rows: Facts = field(default_factory=dict)

    def to_json(self) -> str | None:
        """Canonical JSON text; None where there is none."""
        return None if self == History() else canonical({"source": self.source, "rows": self.rows})

    @classmethod
    def from_json(cls, text: str | None) -> "History":
        """What `to_json` gave."""
        return cls() if text is None else cls(**json.loads(text))


@dataclass(frozen=True)
class Basis:
    """All that one decision is made from, beside the scorer.

    Attributes:
        lead_id: the lead.
        as_of: the moment it speaks for, microseconds.
        evaluation: the lead as of then.
        history: the partners' history in it.
        ingest: of a lead of the store, the newest version of any record when it was read; None where facts were sent.
        request: the body the facts were sent in, as canonical JSON text.
    """

    lead_id: str
    as_of: int
    evaluation: Evaluation
    history: History
    ingest: int | None = None
    request: str | None = None


def features_text(evaluation: Evaluation) -> str:
    """An evaluation as canonical JSON text: `lead`, `account`, `partner` and `features`, each by name."""
    return canonical({name: dict(getattr(evaluation, name)) for name in _PARTS})


def evaluation_of(text: str) -> Evaluation:
    """The evaluation that `features_text` gave."""
    content: Mapping[str, Any] = json.loads(text)
    return Evaluation(**{name: content[name] for name in _PARTS})


_PARTS: Sequence[str] = ("lead", "account", "partner", "features")
