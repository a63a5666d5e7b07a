"""Group commit: what several requests write at the same time goes to the disk in one transaction.

A commit waits for the disk far longer than it writes, and on SQLite one commits at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine

from serving.store.batching import Together

_T = TypeVar("_T")
_Write: TypeAlias = Callable[[Connection], Any]


@dataclass(frozen=True)
class GroupCommit:
    """Writes to a store that may share a transaction with others: they must not read what others write.

    Attributes:
        engine: the store's.
    """

    engine: Engine
    _writers: Together[_Write, Any] = field(default_factory=Together)

    def write(self, work: Callable[[Connection], _T]) -> _T:
        """What `work` gives, once all it wrote is on the disk. It may be done twice, the first time undone.

        Raises:
            Exception: whatever `work` or its commit raised; then nothing of it was written. A fault of another's work
                is not told here.
        """
        written: _T = self._writers.do(self._write, work)
        return written

    def _write(self, works: Sequence[_Write]) -> list[Any]:
        with self.engine.begin() as connection:
            return [work(connection) for work in works]
