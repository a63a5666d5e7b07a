"""The worker: it runs tasks beside the service. Any number of workers may run side by side."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Thread

from serving.logs import log_error

_LOG = logging.getLogger(__name__)
IDLE = 1.0
"""Seconds between two runs of a task that found nothing to do."""
MAX_BACKOFF = 300.0
"""Seconds between two runs of a task that keeps failing, at most."""


@dataclass(frozen=True)
class Task:
    """Work that is done whenever there is some.

    Attributes:
        name: the task's name.
        run: does a bounded part of the work in transactions of its own, and returns whether more may be waiting.
    """

    name: str
    run: Callable[[], bool]


@dataclass(frozen=True)
class Worker:
    """Runs tasks, each in a thread of its own, so that no task waits for another.

    Attributes:
        tasks: what to run.
        stopping: set to stop; the running part of each task is finished first.
        wait: sleeps for some seconds, or until `stopping` is set.
    """

    tasks: Sequence[Task]
    stopping: Event
    wait: Callable[[float], object]

    def once(self) -> list[str]:
        """Does all the work that is waiting now; returns the names of the tasks that failed."""
        return [task.name for task in self.tasks if not self._exhaust(task)]

    def _exhaust(self, task: Task) -> bool:
        while not self.stopping.is_set():
            more = _attempt(task)
            if not more:
                return more is not None
        return True

    def run(self) -> None:
        """Runs until `stopping` is set."""
        threads = [Thread(target=self.repeat, args=(task,), name=task.name) for task in self.tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def repeat(self, task: Task) -> None:
        """Runs one task until `stopping` is set; after each failure it waits twice as long."""
        failures = 0
        while not self.stopping.is_set():
            more = _attempt(task)
            failures = failures + 1 if more is None else 0
            if not more:
                self.wait(min(IDLE * 2**failures, MAX_BACKOFF))


def _attempt(task: Task) -> bool | None:
    """Whether more work may be waiting; None where the task failed, which is logged."""
    try:
        return task.run()
    except Exception as error:
        log_error(_LOG, task.name, error)
        return None
