"""The allowed addresses of webhooks: unambiguous URLs, and IP addresses of the public internet only.

The caller that registers a webhook chooses the address that this service connects to. So the service's own network and
the metadata of its cloud must be out of reach (OWASP, Server-Side Request Forgery Prevention). Hosts that the operator
allows are exempt.
"""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

_MAX_PORT = 65_535
_IPv4 = ipaddress.IPv4Network
_IPv6 = ipaddress.IPv6Network
# IANA's special-purpose registry, multicast and reserved networks; and Azure's WireServer, which only looks public.
_CLOSED_IPV4 = tuple(
    _IPv4(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_UNICAST = _IPv6("2000::/3")
# Special networks within global unicast: Teredo, ORCHID, documentation, 6to4, AS112. Other addresses that embed IPv4
# addresses (mapped, compatible, NAT64) lie outside of global unicast.
_CLOSED_IPV6 = tuple(
    _IPv6(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)
_DOTTED = re.compile(r"(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}", re.ASCII)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_LOCAL = ("localhost", "local", "internal", "home.arpa")
"""The domains of one machine or one network: RFC 6761, RFC 6762, RFC 8375, and ICANN's reservation of `internal`."""
# A host with such a last label is an IP address by the URL standard (https://url.spec.whatwg.org, "ends in a number").
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)


@dataclass(frozen=True)
class AllowedHosts:
    """Hosts of the operator's own network that webhooks may go to; others must be on the public internet."""

    names: frozenset[str] = frozenset()


class ForbiddenAddress(ValueError):
    """Webhooks may not be sent to an address. The message names the constraint and repeats no part of the address."""


def is_public(address: str) -> bool:
    """Whether an IP address, as a resolver writes it, belongs to the public internet."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return not any(parsed in network for network in _CLOSED_IPV4)
    # An address with a zone ("%eth0") belongs to a link of this machine.
    return parsed.scope_id is None and parsed in _UNICAST and not any(parsed in network for network in _CLOSED_IPV6)


def check_url(url: str, allowed: Collection[str] = ()) -> None:
    """Checks that webhooks may be sent to `url`, without resolving its host name.

    Args:
        url: https, with a host name in ASCII or an IP address, any port, no user, no fragment.
        allowed: hosts that may be internal and may use plain http.

    Raises:
        ForbiddenAddress: the URL breaks a constraint, or its IP address is not public.
    """
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ForbiddenAddress("must be a URL in printable ASCII; write other characters as %XX, and hosts as xn--")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ForbiddenAddress("must be a URL such as https://crm.example/hooks/eql") from None
    if "@" in parts.netloc or "#" in url:
        raise ForbiddenAddress("must have neither user, nor password, nor fragment")
    if port is not None and not 0 < port <= _MAX_PORT:
        raise ForbiddenAddress("must have a port between 1 and 65535")
    _check_host(host, bracketed=parts.netloc.startswith("["))
    if parts.scheme == "http" and host not in allowed:
        raise ForbiddenAddress("must be https; plain http is for hosts that EQL_WEBHOOK_ALLOWED_HOSTS names")
    if parts.scheme not in ("http", "https"):
        raise ForbiddenAddress("must be https")
    if host not in allowed and (_is_local(host) or (_is_address(host) and not is_public(host))):
        raise ForbiddenAddress("must not be an internal address, unless EQL_WEBHOOK_ALLOWED_HOSTS names it")


def _check_host(host: str, *, bracketed: bool) -> None:
    labels = host.removesuffix(".").split(".")
    if bracketed or _DOTTED.fullmatch(host):
        if not _is_address(host):
            raise ForbiddenAddress("must have a valid IP address as its host")
    elif _NUMBER.fullmatch(labels[-1]):
        raise ForbiddenAddress("must have its IP address in four decimal numbers without leading zeros")
    elif not all(map(_LABEL.fullmatch, labels)):
        raise ForbiddenAddress("must have a host name such as crm.example")


def _is_local(host: str) -> bool:
    """Whether a name lies in one of the domains of one machine or one network."""
    name = host.removesuffix(".")
    return name in _LOCAL or name.endswith(tuple(f".{domain}" for domain in _LOCAL))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
