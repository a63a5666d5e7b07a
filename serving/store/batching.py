"""Micro-batching: work that several requests wait for is done for all of them in one call.

The batcher has no thread of its own and nothing to drain at the end. The request that gets the turn runs the batch for
every request that waits by then.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeAlias, TypeVar

from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Pending: TypeAlias = "tuple[_Item, Future[_Result]]"


@dataclass(frozen=True)
class MicroBatcher(Generic[_Item, _Result]):
    """Collects items that arrive at the same time and works on them together.

    Attributes:
        work: gives a result for each item in their order, or undoes what it did and raises. Where a batch fails, it
            runs again for each item alone.
    """

    work: Callable[[Sequence[_Item]], Sequence[_Result]]
    _pending: "deque[_Pending[_Item, _Result]]" = field(default_factory=deque)
    _turn: Lock = field(default_factory=Lock)

    def submit(self, item: _Item) -> _Result:
        """The result for this item, once its batch is done.

        Raises:
            Exception: whatever `work` raised for this item. The error of another item is not raised here.
        """
        own: Future[_Result] = Future()
        self._pending.append((item, own))
        with self._turn:
            # The request before may have done this item in its batch.
            if not own.done():
                self._run([self._pending.popleft() for _ in range(len(self._pending))])
        return own.result()

    def _run(self, batch: "Sequence[_Pending[_Item, _Result]]") -> None:
        try:
            results = self.work([item for item, _ in batch])
        except BaseException as error:
            # A store that is busy or gone fails every item. Any other error belongs to one item and must not reach the
            # others.
            if len(batch) > 1 and not isinstance(error, OperationalError | PoolTimeout):
                for pending in batch:
                    self._run([pending])
            else:
                for _, future in batch:
                    future.set_exception(error)
        else:
            for (_, future), result in zip(batch, results, strict=True):
                future.set_result(result)
