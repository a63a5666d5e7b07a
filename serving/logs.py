"""Log lines as JSON, one an event, with the request they belong to. Of an error its kind and places, never its text.

Libraries put values into the texts of errors, and values may be personal.
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
"""The id of the request that is being worked on."""
REQUESTS = logging.getLogger("serving.requests")
"""Where each answered request is told, at INFO; `extra={"fields": {...}}` holds what of it."""


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
    """Makes the process's handlers write JSON lines, a line a request among them."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonLines())
    REQUESTS.setLevel(logging.INFO)
