"""How connections end when the service does: no new ones, and the kept ones with an answer that says so.

And what is no HTTP is refused as everything else is, with a problem.
"""

import json
from typing import Any

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

from serving.api.problems import MEDIA_TYPE, Problem

_REFUSAL = json.dumps(Problem(400, "The request is not HTTP/1.1 as this service reads it.").content).encode()
_SECONDS = 1.0


class Draining(HttpToolsProtocol):
    """A connection that is closed after its next answer, or when none was asked for within a second.

    uvicorn closes idle connections at once, and a request that is on its way then gets no answer.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._draining = False

    @override
    def shutdown(self) -> None:
        if self._draining or not self._idle():
            super().shutdown()
        else:
            self.loop.call_later(_SECONDS, self.shutdown)
        self._draining = True

    @override
    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self._draining:
            self.cycle.keep_alive = False

    @override
    def send_400_response(self, msg: str) -> None:
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(_REFUSAL)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + _REFUSAL)
        self.transport.close()

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete


class Workers(Multiprocess):
    """Worker processes that share a socket; when they are to end nobody listens on it any more.

    uvicorn's first process keeps it open until the last worker has ended, and whoever connects meanwhile waits in vain.
    """

    @override
    def terminate_all(self) -> None:
        for shared in self.sockets:
            shared.close()
        super().terminate_all()
