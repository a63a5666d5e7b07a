"""One attempt to deliver an event: a signed POST and its result."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import anyio
import httpcore

from features.value_types import SECOND, microseconds
from serving.logs import log_error
from serving.webhooks.addresses import ForbiddenAddress, check_url
from serving.webhooks.deliveries import ClaimedDelivery
from serving.webhooks.signing import headers

_LOG = logging.getLogger(__name__)
TIMEOUT = 15.0
"""Seconds that an attempt takes at most."""
MAX_READ = 64 * 1024
"""Bytes of an answer's body that are read and dropped at most; a larger answer closes the connection."""
GONE = 410
_THROTTLED = (429, 502, 503, 504)


@dataclass(frozen=True)
class Result:
    """The result of an attempt.

    Attributes:
        status: the status of the answer; None without an answer.
        error: why the attempt failed, as one of a few fixed texts; None where it succeeded.
        retry_after: microseconds that the receiver demanded until the next attempt; None where it demanded none.
    """

    status: int | None
    error: str | None = None
    retry_after: int | None = None


@dataclass(frozen=True)
class Sender:
    """Sends events.

    Attributes:
        pool: makes the connections; see `serving.webhooks.connections`.
        clock: the current time in microseconds.
        allowed: hosts that may be internal, see `check_url`.
        timeout: seconds that an attempt takes at most.
    """

    pool: httpcore.AsyncConnectionPool
    clock: Callable[[], int]
    allowed: Collection[str] = ()
    timeout: float = TIMEOUT

    async def send(self, delivery: ClaimedDelivery) -> Result:
        """Makes one attempt. Every failure is in the result; none is raised."""
        try:
            check_url(delivery.url, self.allowed)
            with anyio.fail_after(self.timeout):
                return await self._post(delivery)
        except ForbiddenAddress:
            return Result(None, "address not allowed")
        except (TimeoutError, httpcore.TimeoutException):
            return Result(None, "timeout")
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError, UnicodeError):
            return Result(None, "connection failed")
        except Exception as error:  # an event that cannot be sent must not delay the others
            log_error(_LOG, "an event was not sent", error)
            return Result(None, "not sent")

    async def _post(self, delivery: ClaimedDelivery) -> Result:
        now, body = self.clock(), delivery.content.encode()
        sent = {
            "Host": urlsplit(delivery.url).netloc,
            "Content-Type": "application/json",
            "User-Agent": "EQL-Webhooks/1",
            **headers(delivery.secrets, delivery.event_id, now // SECOND, body),
        }
        async with self.pool.stream("POST", delivery.url, headers=list(sent.items()), content=body) as answer:
            size = 0
            async for part in answer.aiter_stream():
                size += len(part)
                if size > MAX_READ:
                    break
            return _result(answer.status, {name.lower(): value for name, value in answer.headers}, now)


def _result(status: int, answered: Mapping[bytes, bytes], now: int) -> Result:
    if 200 <= status < 300:
        return Result(status)
    retry_after = _retry_after(answered.get(b"retry-after", b""), now) if status in _THROTTLED else None
    return Result(status, "redirected" if 300 <= status < 400 else "refused", retry_after)


def _retry_after(value: bytes, now: int) -> int | None:
    """The microseconds of a Retry-After header (RFC 9110, 10.2.3); None where it has neither seconds nor a date."""
    text = value.decode("ascii", "replace").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9]) * SECOND
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return max(0, microseconds(date if date.tzinfo else date.replace(tzinfo=UTC)) - now)
