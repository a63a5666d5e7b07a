"""The bootstrap of whole clusters: intervals and standard errors where rows of one account share their fate."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.arrays import Reals

DRAWS = 1000
T = TypeVar("T")


def central_95(draws: Sequence[float]) -> tuple[float, float]:
    """The central 95 % of bootstrap draws, by their quantiles.

    >>> central_95([float(n) for n in range(41)])
    (1.0, 39.0)
    """
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


class ClusterBootstrap:
    """Bootstrap weights that resample whole clusters.

    Every statistic is computed on the same draws, so differences between statistics are paired. The draws are made
    anew for each statistic, so only one is in memory at a time.

    Args:
        cluster: the cluster of each row.
        seed: the seed of the draws, or a generator that gives the seed.
        draws: the number of bootstrap replicates.
    """

    def __init__(self, cluster: NDArray[np.str_], seed: int | np.random.Generator, draws: int = DRAWS) -> None:
        _, self._row_cluster = np.unique(cluster, return_inverse=True)
        self._seed = seed if isinstance(seed, int) else int(seed.integers(2**63))
        self._draws = draws

    def _times(self) -> Iterator[Reals]:
        """How often each cluster is drawn, draw by draw."""
        rng = np.random.default_rng(self._seed)
        count = int(self._row_cluster.max()) + 1
        for _ in range(self._draws):
            yield np.bincount(rng.integers(count, size=count), minlength=count).astype(np.float64)

    def draw(self, statistic: Callable[[Reals], T]) -> list[T]:
        """The statistic of the row weights of each draw."""
        return [statistic(times[self._row_cluster]) for times in self._times()]

    def interval(self, statistic: Callable[[Reals], float]) -> tuple[float, float]:
        """The central 95 % of a statistic of row weights."""
        return central_95(self.draw(statistic))

    def mean_interval(self, values: Reals) -> tuple[float, float]:
        """The central 95 % of a mean over rows."""
        return central_95(self._means(values))

    def standard_error(self, values: Reals) -> float:
        """The standard error of a mean over rows."""
        return float(np.std(self._means(values)))

    def _means(self, values: Reals) -> list[float]:
        # Sums by cluster make a draw as cheap as the number of clusters, however many rows there are.
        sums = np.bincount(self._row_cluster, weights=values)
        counts = np.bincount(self._row_cluster).astype(np.float64)
        return [float((times @ sums) / (times @ counts)) for times in self._times()]
