"""A feature as the search for leaks reads it: each row is blank or has one of a few levels, whatever the kind.

A category keeps all its levels. Each frequent value of a number is a level of its own, because values such as 0, -1 and
999 often mean something special. The other values are cut into bands with about the same number of rows.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.arrays import Integers, Reals

_MAX_BANDS = 20
_ROWS_PER_BAND = 30
_MAX_DISTINCT = 50
_MIN_SHARE = 0.02
"""A number's value is a level of its own from this share of the filled rows on."""


@dataclass(frozen=True)
class FeatureColumn:
    """One feature of all rows.

    Attributes:
        name: the feature.
        codes: the level of each row, -1 where the feature is blank.
        labels: the levels in words.
        numbers: the values, NaN where blank; None for a category.
    """

    name: str
    codes: Integers
    labels: tuple[str, ...]
    numbers: Reals | None

    @property
    def blank(self) -> NDArray[np.bool_]:
        """The rows without a value."""
        return self.codes < 0


def feature_column(name: str, values: pa.ChunkedArray, train: Integers) -> FeatureColumn:
    """A feature's values as levels; a number's bands are cut by the rows `train`."""
    if pa.types.is_null(values.type):
        return FeatureColumn(name, np.full(len(values), -1), (), None)
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        encoded = values.combine_chunks().dictionary_encode()
        codes = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy()
        return FeatureColumn(name, codes, tuple(encoded.dictionary.to_pylist()), None)
    numbers = pc.fill_null(values.cast(pa.float64()), np.nan).to_numpy()
    codes, labels = _levels(numbers, numbers[train])
    return FeatureColumn(name, codes, labels, numbers)


def _levels(numbers: Reals, train: Reals) -> tuple[Integers, tuple[str, ...]]:
    filled = train[~np.isnan(train)]
    if not len(filled):
        return np.full(len(numbers), -1), ()
    distinct, counts = np.unique(filled, return_counts=True)
    own = distinct if len(distinct) <= _MAX_DISTINCT else distinct[counts >= max(2, _MIN_SHARE * len(filled))]
    edges = _edges(filled[~np.isin(filled, own)])
    position = np.minimum(np.searchsorted(own, numbers), max(len(own) - 1, 0))
    frequent = (own[position] == numbers) if len(own) else np.zeros(len(numbers), dtype=bool)
    codes = np.where(frequent, position, len(own) + np.searchsorted(edges, numbers, side="right"))
    labels = [f"{value:.10g}" for value in own] + _bands(edges)
    return np.where(np.isnan(numbers), -1, codes), tuple(labels)


def _edges(values: Reals) -> Reals:
    """Inner edges of bands with about the same number of values."""
    bands = min(_MAX_BANDS, len(values) // _ROWS_PER_BAND)
    if bands < 2:
        return np.empty(0)
    return np.unique(np.quantile(values, np.linspace(0, 1, bands + 1)[1:-1], method="higher"))


def _bands(edges: Reals) -> list[str]:
    if not len(edges):
        return ["any other number"]
    inner = [f"from {low:.6g} to below {high:.6g}" for low, high in pairwise(edges)]
    return [f"below {edges[0]:.6g}", *inner, f"{edges[-1]:.6g} or more"]
