"""One HTTP connection: how it ends when the service does, and what is said to callers that do not speak HTTP."""

import json
from typing import Any

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.http.problems import MEDIA_TYPE, Problem

_REFUSAL = json.dumps(Problem(400, "The request is not HTTP/1.1 as this service reads it.").content).encode()
_SECONDS = 1.0


class Connection(HttpToolsProtocol):
    """A connection that, when the service ends, is closed after its next answer, or a second without a request.

    uvicorn closes idle connections at once, and a request that is on its way then gets no answer; and it closes one
    whose answer has begun without having said so, and the next request may be on its way.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._draining = False
        self._arriving = False

    @override
    def shutdown(self) -> None:
        if self._draining and self._idle():
            self.transport.close()
        elif self._to_be_answered():
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(_SECONDS, self.shutdown)
        self._draining = True

    @override
    def on_message_begin(self) -> None:
        self._arriving = True
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        self._arriving = False
        super().on_headers_complete()
        if self._draining:
            self.cycle.keep_alive = False

    @override
    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP as all else is refused."""
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(_REFUSAL)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + _REFUSAL)
        self.transport.close()

    def _idle(self) -> bool:
        return not self._arriving and (self.cycle is None or self.cycle.response_complete)

    def _to_be_answered(self) -> bool:
        return self.cycle is not None and not self.cycle.response_started
