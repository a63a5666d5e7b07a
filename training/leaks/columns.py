"""A feature as the search for leaks reads it: blank or one of a few levels, whatever its kind.

A category keeps all its levels, however many. A number's frequent values are levels of their own (0, -1 and 999 mean
something); what lies between them is cut into bands of about as many rows each.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.arrays import Integers, Reals

_MOST_BANDS = 20
_ROWS_A_BAND = 30
_FEW_VALUES = 50
_FREQUENT = 0.02
"""Share of the filled rows from which a number's value is a level of its own."""


@dataclass(frozen=True)
class FeatureColumn:
    """One feature of all rows.

    Attributes:
        name: of the feature.
        codes: the level of each row, -1 where it is blank.
        labels: the levels in words.
        numbers: the values, NaN where blank; None of a category.
    """

    name: str
    codes: Integers
    labels: tuple[str, ...]
    numbers: Reals | None

    @property
    def blank(self) -> NDArray[np.bool_]:
        """Which rows have no value."""
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
    own = distinct if len(distinct) <= _FEW_VALUES else distinct[counts >= max(2, _FREQUENT * len(filled))]
    edges = _edges(filled[~np.isin(filled, own)])
    place = np.minimum(np.searchsorted(own, numbers), max(len(own) - 1, 0))
    frequent = (own[place] == numbers) if len(own) else np.zeros(len(numbers), dtype=bool)
    codes = np.where(frequent, place, len(own) + np.searchsorted(edges, numbers, side="right"))
    labels = [f"{value:.10g}" for value in own] + _bands(edges)
    return np.where(np.isnan(numbers), -1, codes), tuple(labels)


def _edges(values: Reals) -> Reals:
    """Inner edges of bands of about as many values each."""
    bands = min(_MOST_BANDS, len(values) // _ROWS_A_BAND)
    if bands < 2:
        return np.empty(0)
    return np.unique(np.quantile(values, np.linspace(0, 1, bands + 1)[1:-1], method="higher"))


def _bands(edges: Reals) -> list[str]:
    if not len(edges):
        return ["any other number"]
    inner = [f"from {low:.6g} to below {high:.6g}" for low, high in pairwise(edges)]
    return [f"below {edges[0]:.6g}", *inner, f"{edges[-1]:.6g} or more"]
