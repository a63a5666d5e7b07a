"""The encoding of features as the numbers that a model reads.

Each feature is one float64 column. A category is the position of its level; a missing value is NaN.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from features.folding import fold
from features.value_types import Scalar
from models.arrays import Matrix


@dataclass(frozen=True)
class EncodedFeature:
    """How one feature is encoded.

    Attributes:
        name: the catalogue's name.
        kind: a number is kept; a category becomes the position of its level.
        levels: the category's known levels in order; any other value counts as missing.
    """

    name: str
    kind: Literal["number", "category"]
    levels: tuple[str, ...] = ()

    @cached_property
    def codes(self) -> Mapping[Scalar, float]:
        """The code of each level of a category."""
        return {level: float(code) for code, level in enumerate(self.levels)}

    @cached_property
    def _levels_by_folded_text(self) -> Mapping[str, str]:
        """The level of each folded text; of several levels that fold alike, the first."""
        return {fold(level): level for level in reversed(self.levels)}

    def levels_that_fold_alike(self, values: Iterable[Scalar]) -> list[Scalar]:
        """The values of a category, each text replaced by the level that folds like it, where there is one."""
        levels = self._levels_by_folded_text
        return [levels.get(fold(value), value) if isinstance(value, str) else value for value in values]

    def encode(self, values: Iterable[Scalar]) -> list[float]:
        """The codes of `values`."""
        if self.kind == "category":
            return [self.codes.get(value, np.nan) for value in values]
        return [np.nan if value is None else float(value) for value in values]


@dataclass(frozen=True)
class Encoding:
    """The features a model reads, in its order."""

    features: tuple[EncodedFeature, ...]

    @cached_property
    def levels(self) -> Mapping[str, frozenset[str]]:
        """The known levels of each category, by name."""
        return {feature.name: frozenset(feature.levels) for feature in self.features if feature.kind == "category"}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The features' names in order."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def _names_and_codes(self) -> Sequence[tuple[str, Mapping[Scalar, float] | None]]:
        """Each feature's name, with the codes of a category and None for a number."""
        return [(feature.name, feature.codes if feature.kind == "category" else None) for feature in self.features]

    def encode_rows(self, rows: Sequence[Mapping[str, Scalar]]) -> Matrix:
        """A matrix (rows, features) of a few rows, each a mapping from feature names to values."""
        encoded = [
            [row[name] if codes is None else codes.get(row[name]) for name, codes in self._names_and_codes]
            for row in rows
        ]
        # NumPy turns None into NaN. Without the reshape, no rows or no features would lose a dimension.
        return np.array(encoded, dtype=np.float64).reshape(len(rows), len(self.features))

    def encode(self, columns: Mapping[str, Sequence[Scalar]], rows: int) -> Matrix:
        """A matrix (rows, features) of columns by feature name, each of length `rows`."""
        matrix = np.empty((rows, len(self.features)))
        for position, feature in enumerate(self.features):
            matrix[:, position] = feature.encode(columns[feature.name])
        return matrix
