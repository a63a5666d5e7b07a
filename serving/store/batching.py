"""Work done for several at a time: whoever has its turn does it for all who wait by then.

There is no thread of its own and nothing to drain at the end: all of it is the work of some request that waits for it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Together(Generic[_T, _R]):
    """Those who wait for work of one kind."""

    _waiting: "deque[tuple[_T, Future[_R]]]" = field(default_factory=deque)
    _turn: Lock = field(default_factory=Lock)

    def do(self, work: Callable[[Sequence[_T]], Sequence[_R]], item: _T) -> _R:
        """What `work` gives for this item, once it is done for all of those it is done with.

        Args:
            work: gives a result for each item in their order, or undoes what it did and raises. All who wait together
                must bring the same work, for it is done by one of them, and again for each alone where it failed.
            item: what it is done for.

        Raises:
            Exception: whatever the work raised for this item. A fault of another's is not told here.
        """
        own: Future[_R] = Future()
        self._waiting.append((item, own))
        with self._turn:
            # Another may have done it along with its own by now.
            if not own.done():
                _done(work, [self._waiting.popleft() for _ in range(len(self._waiting))])
        return own.result()


def _done(work: Callable[[Sequence[_T]], Sequence[_R]], waiting: "Sequence[tuple[_T, Future[_R]]]") -> None:
    try:
        results = work([item for item, _ in waiting])
    except BaseException as error:
        # A store that is busy or gone is so for all; any other fault is of one of them, which must not harm the others.
        if len(waiting) > 1 and not isinstance(error, OperationalError | PoolTimeout):
            for one in waiting:
                _done(work, [one])
        else:
            for _, future in waiting:
                future.set_exception(error)
    else:
        for (_, future), result in zip(waiting, results, strict=True):
            future.set_result(result)
