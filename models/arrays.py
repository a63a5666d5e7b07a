"""Names for the arrays that models and statistics compute on."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Reals: TypeAlias = NDArray[np.float64]
"""A vector of numbers, mostly one a row: shape (rows,)."""
Matrix: TypeAlias = NDArray[np.float64]
"""One row a lead: shape (rows, columns)."""
Integers: TypeAlias = NDArray[np.int64]
Booleans: TypeAlias = NDArray[np.bool_]
