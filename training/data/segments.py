"""Segments of leads to leave out of training and testing, by the values of the leads at creation."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.catalogue.catalogue import Catalogue
from features.folding import fold
from features.value_types import Scalar
from training.data.snapshots import Snapshots

_MAX_NAMED = 12


class UnknownSegment(ValueError):
    """A segment names no category, or a value that no lead has; the message names the choices."""


@dataclass(frozen=True)
class Segment:
    """The leads with one value of a category at creation.

    Attributes:
        name: a category among the features.
        value: the value of that category; texts are compared folded (see `features.folding`).

    Raises:
        UnknownSegment: either is empty.
    """

    name: str
    value: str

    def __post_init__(self) -> None:
        if not (self.name and self.value):
            raise UnknownSegment(f"a segment is NAME=VALUE, such as region=emea, not {str(self)!r}")

    def __str__(self) -> str:
        return f"{self.name}={self.value}"

    def holds(self, value: Scalar) -> bool:
        """Whether a value of the category is the segment's."""
        return isinstance(value, str) and fold(value) == fold(self.value)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The segment that `NAME=VALUE` means.

        Raises:
            UnknownSegment: the text has another form.
        """
        name, _, value = text.partition("=")
        return cls(name.strip(), value.strip())


@dataclass(frozen=True)
class ExcludedSegment:
    """A segment left out of training and testing.

    Attributes:
        segment: the segment, NAME=VALUE.
        leads: how many leads it has.
    """

    segment: str
    leads: int

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self)


def segment_leads(segment: Segment, snapshots: Snapshots, catalogue: Catalogue, table: pa.Table) -> NDArray[np.str_]:
    """The ids of the leads of a segment, from a table of features in the order of the snapshots.

    Raises:
        UnknownSegment: the segment has no lead.
    """
    categories = [entry.name for entry in catalogue if entry.kind == "category"]
    if segment.name not in categories:
        raise UnknownSegment(f"{segment.name!r} is no category to exclude by; choose among {', '.join(categories)}")
    values = table[segment.name].filter(pa.array(snapshots.at_creation)).to_pylist()
    chosen = np.array([segment.holds(value) for value in values])
    if not chosen.any():
        raise UnknownSegment(f"no lead had {segment} when it was created; {_choices(segment.name, values)}")
    leads: NDArray[np.str_] = snapshots.lead_id[snapshots.at_creation][chosen]
    return leads


def _choices(name: str, values: Sequence[Scalar]) -> str:
    counts = Counter(value for value in values if value is not None).most_common()
    named = ", ".join(f"{value} ({leads:,} lead{'s' * (leads != 1)})" for value, leads in counts[:_MAX_NAMED])
    more = f" and {len(counts) - _MAX_NAMED} more" if len(counts) > _MAX_NAMED else ""
    return f"{name} is {named}{more}" if named else f"{name} is missing for every lead"
