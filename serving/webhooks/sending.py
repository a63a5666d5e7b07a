"""One attempt to deliver an event: a signed POST, and what came of it."""

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
from serving.webhooks.deliveries import Due
from serving.webhooks.signing import headers

_LOG = logging.getLogger(__name__)
TIMEOUT = 15.0
"""Seconds that an attempt may take altogether."""
MOST_READ = 64 * 1024
"""Bytes of an answer's body that are read, and dropped; with more the connection is closed."""
GONE = 410
_THROTTLED = (429, 502, 503, 504)


@dataclass(frozen=True)
class Result:
    """What came of an attempt.

    Attributes:
        status: of the answer; None where there was none.
        fault: why it failed, None where it did not; of a fixed set, nothing of the receiver's.
        asked: microseconds for which the receiver asked to be left alone.
    """

    status: int | None
    fault: str | None = None
    asked: int | None = None


@dataclass(frozen=True)
class Sender:
    """Sends events.

    Attributes:
        pool: makes the connections; see `serving.webhooks.connections`.
        clock: microseconds now.
        allowed: hosts of one's own, see `check_url`.
        timeout: seconds that an attempt may take altogether.
    """

    pool: httpcore.AsyncConnectionPool
    clock: Callable[[], int]
    allowed: Collection[str] = ()
    timeout: float = TIMEOUT

    async def send(self, due: Due) -> Result:
        """One attempt; whatever goes wrong is in the result."""
        try:
            check_url(due.url, self.allowed)
            with anyio.fail_after(self.timeout):
                return await self._post(due)
        except ForbiddenAddress:
            return Result(None, "address not allowed")
        except (TimeoutError, httpcore.TimeoutException):
            return Result(None, "timeout")
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError, UnicodeError):
            return Result(None, "connection failed")
        except Exception as error:  # one event that cannot be sent must not keep the others waiting
            log_error(_LOG, "not sent", error)
            return Result(None, "not sent")

    async def _post(self, due: Due) -> Result:
        now, body = self.clock(), due.content.encode()
        sent = {
            "Host": urlsplit(due.url).netloc,
            "Content-Type": "application/json",
            "User-Agent": "EQL-Webhooks/1",
            **headers(due.secrets, due.event_id, now // SECOND, body),
        }
        async with self.pool.stream("POST", due.url, headers=list(sent.items()), content=body) as answer:
            size = 0
            async for part in answer.aiter_stream():
                size += len(part)
                if size > MOST_READ:
                    break
            return _result(answer.status, {name.lower(): value for name, value in answer.headers}, now)


def _result(status: int, answered: Mapping[bytes, bytes], now: int) -> Result:
    if 200 <= status < 300:
        return Result(status)
    asked = _asked(answered.get(b"retry-after", b""), now) if status in _THROTTLED else None
    return Result(status, "redirected" if 300 <= status < 400 else "refused", asked)


def _asked(value: bytes, now: int) -> int | None:
    """Retry-After (RFC 9110, section 10.2.3): seconds, or a date; None where it is neither."""
    text = value.decode("ascii", "replace").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9]) * SECOND
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return max(0, microseconds(date if date.tzinfo else date.replace(tzinfo=UTC)) - now)
