"""Statistics that training and serving share: sums and standard errors of rows that belong together in clusters."""

import numpy as np
from numpy.typing import NDArray

from models.arrays import Reals

NORMAL_95 = 1.96
"""Standard errors between the centre of a normal distribution and either end of its central 95 %."""


def cluster_sums(values: Reals, cluster: NDArray[np.str_]) -> Reals:
    """The sum of the values of each cluster, in the order of the clusters' names.

    >>> cluster_sums(np.array([1.0, 2.0, 4.0]), np.array(["b", "a", "b"])).tolist()
    [2.0, 5.0]
    """
    _, position = np.unique(cluster, return_inverse=True)
    return np.asarray(np.bincount(position, weights=values))


def clustered_standard_error(values: Reals, cluster: NDArray[np.str_]) -> float:
    """The standard error of a mean over rows that belong together in clusters (the sandwich estimator).

    With every row in a cluster of its own it is the usual error but for the degrees of freedom, sqrt(variance / rows):

    >>> clustered_standard_error(np.array([0.0, 2.0]), np.array(["a", "b"])) == (1 / 2) ** 0.5
    True
    >>> clustered_standard_error(np.array([0.0, 2.0, 0.0, 2.0]), np.array(["a", "b", "a", "b"])) == (1 / 2) ** 0.5
    True
    """
    sums = cluster_sums(values - values.mean(), cluster)
    return float(np.sqrt((sums**2).sum()) / len(values))
