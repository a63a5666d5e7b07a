"""Logs: JSON lines with the id of their request, and errors with their kind and stack.

The text of an error is never logged, because libraries put values into it, and values may be personal data.
"""

import json
import logging
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from typing_extensions import override

from features.value_types import microseconds, rfc3339

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the current request."""
REQUESTS = logging.getLogger("serving.requests")
"""The log of answered requests, at INFO; `extra={"fields": {...}}` holds the fields of a line."""


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        moment = rfc3339(microseconds(datetime.fromtimestamp(record.created, UTC)))
        content: dict[str, Any] = {"time": moment, "level": record.levelname, "logger": record.name}
        if message := record.getMessage():
            content["message"] = message
        if (request_id := REQUEST_ID.get()) is not None:
            content["request_id"] = request_id
        content.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1] is not None:
            content["error"] = type(record.exc_info[1]).__name__
            content["places"] = "".join(traceback.format_tb(record.exc_info[2]))
        return json.dumps(content, ensure_ascii=False)


def as_json() -> None:
    """Makes the log handlers of the process write JSON lines, and logs each request."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonLines())
    REQUESTS.setLevel(logging.INFO)


def log_error(log: logging.Logger, task: str | None, error: BaseException) -> None:
    """Logs that a task failed: the task, where it has a name, the kind of error and its stack, without the text."""
    stack = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s\n%s", type(error).__name__ if task is None else f"{task}: {type(error).__name__}", stack)
