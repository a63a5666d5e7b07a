"""The provenance of a body of records: its data cut, whether its recorded times are real, and its attributes."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from features.value_types import parse_instant, rfc3339

ATTRIBUTE_PREFIX = "attributes."
"""The prefix of an attribute's name in the flat columns of a lead."""


@dataclass(frozen=True)
class Attribute:
    """An extra column of a lead that an import mapping declares.

    Attributes:
        name: the name in the mapping, which is also the name of the feature.
        kind: `number` for floats (0 for "none"), `category` for texts.
        known: `at_creation` makes the column a feature; a column known `later` is only reported.
    """

    name: str
    kind: Literal["number", "category"]
    known: Literal["at_creation", "later"]


@dataclass(frozen=True)
class Provenance:
    """The provenance of a body of records.

    Attributes:
        cut: the data cut, microseconds: the records are complete until then. None for a live store, whose cut is the
            moment of its export.
        point_in_time: whether recorded times are real; otherwise reports state "point in time not verifiable".
        attributes: the declared extra columns of leads.
        since: by kind of fact, the moment (microseconds) from which on the source records it, for kinds that it does;
            None where it records every kind (see `features.delivery`).
    """

    cut: int | None = None
    point_in_time: bool = True
    attributes: tuple[Attribute, ...] = ()
    since: Mapping[str, int] | None = None

    def to_json(self) -> str:
        """The JSON text of this provenance, for a file beside the records."""
        content = {**asdict(self), "cut": None if self.cut is None else rfc3339(self.cut)}
        content["since"] = None if self.since is None else {kind: rfc3339(at) for kind, at in self.since.items()}
        return json.dumps(content, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Provenance":
        """The provenance in a JSON text, as `to_json` writes it.

        Raises:
            ValueError: the text is no such JSON.
        """
        try:
            content: Mapping[str, Any] = json.loads(text)
            attributes = tuple(Attribute(**attribute) for attribute in content["attributes"])
            cut = content["cut"]
            # Earlier versions of the software wrote no `since`.
            named = content.get("since")
            since = None if named is None else {kind: parse_instant(at) for kind, at in named.items()}
            return cls(None if cut is None else parse_instant(cut), bool(content["point_in_time"]), attributes, since)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a provenance: {error}") from None
