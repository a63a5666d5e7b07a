"""The evaluation that a decision was made from, as canonical JSON text: the inputs of rules and model."""

import json
from collections.abc import Mapping
from typing import Any

from features.engines.python import Evaluation
from serving.store.canonical_json import canonical

_PARTS = ("lead", "account", "partner", "features")


def evaluation_to_json(evaluation: Evaluation) -> str:
    """An evaluation as canonical JSON text: `lead`, `account`, `partner` and `features`, each by name; and `fold`.

    An evaluation of texts as sent has no `fold`, as none had before texts were folded. `not_recorded` is there only
    where a kind of fact was not recorded, `opportunity` only where an amount is known.
    """
    content: dict[str, Any] = {name: dict(getattr(evaluation, name)) for name in _PARTS}
    if evaluation.fold:
        content["fold"] = evaluation.fold
    if evaluation.not_recorded:
        content["not_recorded"] = {kind: list(names) for kind, names in evaluation.not_recorded.items()}
    if evaluation.opportunity is not None:
        content["opportunity"] = list(evaluation.opportunity)
    return canonical(content)


def evaluation_from_json(text: str) -> Evaluation:
    """The evaluation that `evaluation_to_json` wrote."""
    content: Mapping[str, Any] = json.loads(text)
    minor, currency = content.get("opportunity", (None, None))
    return Evaluation(
        **{name: content[name] for name in _PARTS},
        fold=content.get("fold", 0),
        not_recorded=content.get("not_recorded", {}),
        opportunity=None if minor is None else (minor, currency),
    )
