"""Group commit: the writes of several concurrent requests go to the disk in one transaction.

A commit waits for the disk far longer than it writes, and on SQLite one transaction commits at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine

from serving.store.batching import MicroBatcher

_T = TypeVar("_T")
_Write: TypeAlias = Callable[[Connection], Any]


@dataclass(frozen=True)
class GroupCommit:
    """Writes that may share a transaction with others: a write must not read what another one writes.

    Attributes:
        engine: the store's.
    """

    engine: Engine

    @cached_property
    def _batcher(self) -> MicroBatcher[_Write, Any]:
        return MicroBatcher(self._write)

    def write(self, work: Callable[[Connection], _T]) -> _T:
        """The result of `work`, once its writes are on the disk. `work` may run twice, the first time rolled back.

        Raises:
            Exception: whatever `work` or its commit raised; then none of its writes are kept.
        """
        written: _T = self._batcher.submit(work)
        return written

    def _write(self, works: Sequence[_Write]) -> list[Any]:
        with self.engine.begin() as connection:
            return [work(connection) for work in works]
