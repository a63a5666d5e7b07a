"""The geometry of the small charts, which are 100 wide; templates draw them as SVG."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from models.decision import CloseProbability

WIDTH = 100.0
_SCALES = (0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Span:
    """A bar that starts at `x` and is `width` wide, in a chart of `WIDTH`."""

    x: float
    width: float


@dataclass(frozen=True)
class RangeBar:
    """A probability in a chart: the band of its range and the position of its mark."""

    band: Span
    mark: float


def scale(probabilities: Iterable[float]) -> float:
    """The probability at the right end of compared bars: the smallest of the fixed scales that fits all of them."""
    highest = max(probabilities, default=0.0)
    return next((end for end in _SCALES if highest <= end), 1.0)


def range_bar(probability: CloseProbability, end: float) -> RangeBar:
    """The bar of a `close_probability` on a scale from 0 to `end`."""
    lower, value, upper = (
        WIDTH * min(share / end, 1.0) for share in (probability.lower, probability.value, probability.upper)
    )
    return RangeBar(Span(lower, upper - lower), value)


def lengths(numbers: Sequence[float]) -> list[float]:
    """The lengths of bars for numbers of either sign; the largest fills the chart."""
    largest = max(map(abs, numbers), default=0.0)
    return [WIDTH * abs(number) / largest if largest else 0.0 for number in numbers]


def waterfall(start: float, steps: Sequence[float]) -> list[Span]:
    """The bars of a sum: `start` from zero, each step from the end of the bar before, and the total."""
    ends = list(accumulate(steps, initial=start))
    low, high = min(0.0, *ends), max(0.0, *ends)
    breadth = (high - low) or 1.0
    bars = [(0.0, start), *pairwise(ends), (0.0, ends[-1])]
    return [Span(WIDTH * (min(bar) - low) / breadth, WIDTH * abs(bar[1] - bar[0]) / breadth) for bar in bars]
