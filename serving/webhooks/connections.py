"""Connections for webhooks: a host name is resolved, its addresses are checked, and a checked address is used.

A check at registration is not enough, because a name may resolve to another address later (DNS rebinding). TLS and the
Host header use the name, so the certificate is checked against it.
"""

import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import cache
from typing import TypeAlias

import anyio
import httpcore

from serving.webhooks.addresses import ForbiddenAddress, is_public

_MAX_CONNECTIONS = 100

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the IP addresses of a host and port, in the order to try them."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """The IP addresses of a host by the system's resolver.

    Raises:
        OSError: the host has no address.
    """
    resolved = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(address[0] for *_, address in resolved))


class PublicOnly(httpcore.AsyncNetworkBackend):
    """Opens connections to public addresses and to allowed hosts; refuses all others.

    A name with any internal address is refused, because an honest public name has none.
    """

    def __init__(
        self, resolving: Resolve, allowed: Collection[str] = (), opening: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        self._resolve = resolving
        self._allowed = allowed
        self._open = opening or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first address of `host` that answers.

        Raises:
            ForbiddenAddress: an address of the host is internal.
            httpcore.ConnectError: the host has no address, or no address answers.
            httpcore.ConnectTimeout: the last address took too long.
        """
        try:
            addresses = await self._resolve(host, port)
        except OSError:
            raise httpcore.ConnectError("the host has no address") from None
        if host not in self._allowed and not all(map(is_public, addresses)):
            raise ForbiddenAddress("the host has an internal address")
        failure: Exception = httpcore.ConnectError("the host has no address")
        for address in addresses:
            try:
                return await self._open.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await self._open.sleep(seconds)


def pool(backend: httpcore.AsyncNetworkBackend) -> httpcore.AsyncConnectionPool:
    """HTTP/1.1 over `backend`, without proxies. Certificates are checked by the system's and the common authorities."""
    return httpcore.AsyncConnectionPool(
        _authorities(), max_connections=_MAX_CONNECTIONS, keepalive_expiry=30, network_backend=backend
    )


@cache
def _authorities() -> ssl.SSLContext:
    context = httpcore.default_ssl_context()
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context
