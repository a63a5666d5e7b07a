"""One HTTP connection: how it closes when the service shuts down, and the answer to bytes that are not HTTP."""

import json
from typing import Any

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.http.problems import MEDIA_TYPE, Problem

_BAD_REQUEST_BODY = json.dumps(Problem(400, "The request is not valid HTTP/1.1.").content).encode()
_GRACE_SECONDS = 1.0


class Connection(HttpToolsProtocol):
    """A connection that, at shutdown, closes after its next answer, or after a second without a request.

    uvicorn closes idle connections at once. A request that is on its way then gets no answer. uvicorn also closes a
    connection whose answer has begun without `Connection: close`, although the next request may be on its way.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._draining = False
        self._receiving = False

    @override
    def shutdown(self) -> None:
        if self._draining and self._is_idle():
            self.transport.close()
        elif self._answer_is_pending():
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(_GRACE_SECONDS, self.shutdown)
        self._draining = True

    @override
    def on_message_begin(self) -> None:
        self._receiving = True
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        self._receiving = False
        super().on_headers_complete()
        if self._draining:
            self.cycle.keep_alive = False

    @override
    def send_400_response(self, msg: str) -> None:
        """Answers bytes that are not HTTP with a problem, the form of every other refusal."""
        length = len(_BAD_REQUEST_BODY)
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {length}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + _BAD_REQUEST_BODY)
        self.transport.close()

    def _is_idle(self) -> bool:
        return not self._receiving and (self.cycle is None or self.cycle.response_complete)

    def _answer_is_pending(self) -> bool:
        return self.cycle is not None and not self.cycle.response_started
