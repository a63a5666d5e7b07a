"""How connections end when the service does: no new ones, and the kept ones with an answer that says so."""

from typing import Any

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

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
