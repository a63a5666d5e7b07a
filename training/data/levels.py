"""The levels of a category that a model knows, and the share of rows whose level it does not know."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from training.data.rows import MAX_LEVELS, MIN_LEVEL_ROWS


@dataclass(frozen=True)
class LeftOutLevels:
    """A category some of whose levels the model does not know, so that it reads them as missing.

    Attributes:
        feature: the category.
        levels: the levels that the training rows have.
        kept: how many of them the model knows; without any the model does not read the category.
        rows: the share of the training rows whose level it does not know, 0 to 1.
    """

    feature: str
    levels: int
    kept: int
    rows: float

    def __str__(self) -> str:
        if not self.kept:
            return (
                f"{self.feature}: none of {self.levels:,} levels has {MIN_LEVEL_ROWS} training rows, so the category "
                f"is not read; {self.rows:.1%} of the training rows have a level"
            )
        return (
            f"{self.feature}: {self.kept:,} of {self.levels:,} levels are kept; {self.rows:.1%} of the training rows "
            "have another level, which counts as missing"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class CountedLevels:
    """The levels of a category among the training rows.

    Attributes:
        feature: the category.
        rows: the rows of each level, without those of a missing value.
        total: all training rows.
    """

    feature: str
    rows: Mapping[str, int]
    total: int

    @property
    def kept(self) -> tuple[str, ...]:
        """The levels that the model knows: the most frequent ones, the most frequent first."""
        common = [level for level, rows in self.rows.items() if rows >= MIN_LEVEL_ROWS]
        return tuple(sorted(common, key=lambda level: (-self.rows[level], level))[:MAX_LEVELS])

    @property
    def left_out(self) -> LeftOutLevels | None:
        """What is left out; None where the model knows every level."""
        kept = self.kept
        if len(kept) == len(self.rows):
            return None
        unknown = sum(self.rows.values()) - sum(self.rows[level] for level in kept)
        return LeftOutLevels(self.feature, len(self.rows), len(kept), unknown / self.total)
