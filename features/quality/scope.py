"""What an examination looks at: the moment, the thresholds, and the tables as they stood then, as SQL."""

from collections.abc import Mapping
from dataclasses import dataclass

from features.quality.thresholds import Thresholds
from features.records import Kind
from features.value_types import DAY


@dataclass(frozen=True)
class Relation:
    """What to select a kind's versions from.

    Attributes:
        sql: a table's name or a subquery, with the columns of the kind and `superseded_at`.
        columns: the names of its columns.
    """

    sql: str
    columns: frozenset[str]


@dataclass(frozen=True)
class Scope:
    """One examination.

    Attributes:
        thresholds: what is ok, a warning, a failure.
        as_of: the moment whose knowledge is examined, microseconds.
        cut: nothing recorded after this instant should be there, microseconds; not before `as_of`.
        relations: of each kind that can be read, by its name.
    """

    thresholds: Thresholds
    as_of: int
    cut: int
    relations: Mapping[str, Relation]

    def __post_init__(self) -> None:
        if self.cut < self.as_of:
            raise ValueError(f"cut must not be before as_of ({self.as_of}), not {self.cut}")

    @property
    def tolerance(self) -> int:
        """Microseconds by which clocks and time zones may disagree."""
        return self.thresholds.times.tolerance_days * DAY

    def has(self, kind: str, column: str) -> bool:
        """Whether a kind can be read and has the column."""
        return kind in self.relations and column in self.relations[kind].columns

    def versions(self, kind: Kind) -> str:
        """SQL of every version of a kind, whenever it was recorded."""
        return self.relations[kind.name].sql

    def current(self, kind: Kind) -> str:
        """SQL of the version of each record that held at `as_of`, without tombstones."""
        known = f"coalesce(recorded_at, 0) <= {self.as_of} AND (superseded_at IS NULL OR superseded_at > {self.as_of})"
        return f"(SELECT * FROM {self.versions(kind)} AS v WHERE {known} AND NOT coalesce(deleted, FALSE))"


def identifier(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"
