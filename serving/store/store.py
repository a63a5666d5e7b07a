"""The store as the subjects use it: its engine, with the clock and the randomness that writes take."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Engine

from serving.identity import TokenSource
from serving.store.group_commit import GroupCommit


@dataclass(frozen=True)
class Store:
    """The store of one process.

    Attributes:
        engine: opens connections; `engine.begin()` is a write transaction, `serving.store.database.reading` a read.
        clock: the current time in microseconds.
        tokens: gives unpredictable bytes.
    """

    engine: Engine
    clock: Callable[[], int]
    tokens: TokenSource

    @cached_property
    def group_commit(self) -> GroupCommit:
        """Writes that may share a transaction with the writes of other requests."""
        return GroupCommit(self.engine)
