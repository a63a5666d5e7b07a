"""What is known of a body of records as a whole: its data cut, whether its times can be trusted, its attributes."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from features.value_types import parse_instant, rfc3339

ATTRIBUTE_PREFIX = "attributes."
"""Before an attribute's name in the flat columns of a lead."""


@dataclass(frozen=True)
class Attribute:
    """An extra column of a lead that an import mapping declared.

    Attributes:
        name: as in the mapping; also the feature's name.
        kind: numbers are floats (0 for "none"), categories text.
        known: `at_creation` becomes a feature; `later` is kept out and only reported.
    """

    name: str
    kind: Literal["number", "category"]
    known: Literal["at_creation", "later"]


@dataclass(frozen=True)
class Provenance:
    """Where records come from.

    Attributes:
        cut: nothing after this instant can be in them; None for a live store, whose cut is the moment of its export.
        point_in_time: whether recorded times are real; otherwise reports say "point in time not verifiable".
        attributes: the declared extra columns of leads.
    """

    cut: int | None = None
    point_in_time: bool = True
    attributes: tuple[Attribute, ...] = ()

    def to_json(self) -> str:
        """JSON text of this provenance, for a file beside the records."""
        return json.dumps({**asdict(self), "cut": None if self.cut is None else rfc3339(self.cut)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Provenance":
        """The provenance that `to_json` wrote.

        Raises:
            ValueError: the text is not such JSON.
        """
        try:
            content: Mapping[str, Any] = json.loads(text)
            attributes = tuple(Attribute(**attribute) for attribute in content["attributes"])
            cut = content["cut"]
            return cls(None if cut is None else parse_instant(cut), bool(content["point_in_time"]), attributes)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a provenance: {error}") from None
