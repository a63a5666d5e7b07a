"""Group commit: what several requests write at the same time goes to the disk in one transaction.

A commit waits for the disk far longer than it writes, and on SQLite one commits at a time. So whoever has its turn
writes for all who wait by then; they share one commit, and each is answered after it. There is no thread of its own and
nothing to drain at the end: every write is some request's that waits for it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_T = TypeVar("_T")
_Write: TypeAlias = tuple[Callable[[Connection], Any], "Future[Any]"]


@dataclass(frozen=True)
class GroupCommit:
    """Writes to a store that may share a transaction with others: they must not read what others write.

    Attributes:
        engine: the store's.
    """

    engine: Engine
    _waiting: deque[_Write] = field(default_factory=deque)
    _turn: Lock = field(default_factory=Lock)

    def write(self, work: Callable[[Connection], _T]) -> _T:
        """What `work` gives, once all it wrote is on the disk. It may be done twice, the first time undone.

        Raises:
            Exception: whatever `work` or its commit raised; then nothing of it was written. A fault of another's work
                is not told here.
        """
        own: Future[_T] = Future()
        self._waiting.append((work, own))
        with self._turn:
            # Another may have written it along with its own by now.
            if not own.done():
                self._write([self._waiting.popleft() for _ in range(len(self._waiting))])
        return own.result()

    def _write(self, writes: Sequence[_Write]) -> None:
        try:
            with self.engine.begin() as connection:
                results = [work(connection) for work, _ in writes]
        except BaseException as error:
            # A store that is busy or gone is so for all; any other fault is of one of them, which must not harm the
            # others.
            if len(writes) > 1 and not isinstance(error, OperationalError | PoolTimeout):
                for write in writes:
                    self._write([write])
            else:
                for _, future in writes:
                    future.set_exception(error)
        else:
            for (_, future), result in zip(writes, results, strict=True):
                future.set_result(result)
