"""The scope of an examination: the moment, the thresholds, and SQL for the records as they were known then."""

from collections.abc import Mapping
from dataclasses import dataclass

from features.folding import folded_column
from features.quality.thresholds import Thresholds
from features.records import Kind
from features.value_types import DAY


@dataclass(frozen=True)
class Relation:
    """The SQL relation that holds the versions of a kind.

    Attributes:
        sql: the name of a table, or a subquery, with the columns of the kind and `superseded_at`.
        columns: the names of its columns.
    """

    sql: str
    columns: frozenset[str]


@dataclass(frozen=True)
class Scope:
    """One examination.

    Attributes:
        thresholds: the limits of ok, warning and failure.
        as_of: the moment whose knowledge is examined, microseconds.
        cut: the moment after which no record should have been recorded, microseconds; at `as_of` or later.
        relations: the relation of each readable kind, by the name of the kind.
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
        """The difference between clocks and time zones that is no error, in microseconds."""
        return self.thresholds.times.tolerance_days * DAY

    def has(self, kind: str, column: str) -> bool:
        """Whether the kind is readable and has the column."""
        return kind in self.relations and column in self.relations[kind].columns

    def compared(self, kind: Kind, column: str) -> str:
        """SQL for the column that is compared: the folded one of free text, where the file could be read whole."""
        folded = folded_column(column)
        return identifier(folded if self.has(kind.name, folded) else column)

    def versions(self, kind: Kind) -> str:
        """SQL for all versions of a kind, whenever they were recorded."""
        return self.relations[kind.name].sql

    def current(self, kind: Kind) -> str:
        """SQL for the version of each record that held at `as_of`, without tombstones."""
        known = f"coalesce(recorded_at, 0) <= {self.as_of} AND (superseded_at IS NULL OR superseded_at > {self.as_of})"
        return f"(SELECT * FROM {self.versions(kind)} AS v WHERE {known} AND NOT coalesce(deleted, FALSE))"


def identifier(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"
