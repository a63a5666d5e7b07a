"""From features to the numbers a model reads: one float64 column a feature, categories as codes, missing as NaN."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from features.value_types import Scalar

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class EncodedFeature:
    """How one feature is encoded.

    Attributes:
        name: the catalogue's name.
        kind: numbers go through; a category becomes the position of its level.
        levels: the category's known levels in order; any other value is missing.
    """

    name: str
    kind: Literal["number", "category"]
    levels: tuple[str, ...] = ()

    @cached_property
    def codes(self) -> Mapping[Scalar, float]:
        """Of a category the code of each level."""
        return {level: float(code) for code, level in enumerate(self.levels)}

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
    def names(self) -> tuple[str, ...]:
        """The features' names in order."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def _read(self) -> Sequence[tuple[str, Mapping[Scalar, float] | None]]:
        """Each feature's name, and of a category its codes."""
        return [(feature.name, feature.codes if feature.kind == "category" else None) for feature in self.features]

    def encode_rows(self, rows: Sequence[Mapping[str, Scalar]]) -> Matrix:
        """`encode` of a few rows, each of features by name."""
        # NumPy reads None as NaN.
        codes = [[row[n] if known is None else known.get(row[n]) for n, known in self._read] for row in rows]
        return np.array(codes, dtype=np.float64).reshape(len(rows), len(self.features))

    def encode(self, columns: Mapping[str, Sequence[Scalar]], rows: int) -> Matrix:
        """A matrix (rows, features) of columns by feature name, each of length `rows`."""
        matrix = np.empty((rows, len(self.features)))
        for position, feature in enumerate(self.features):
            matrix[:, position] = feature.encode(columns[feature.name])
        return matrix
