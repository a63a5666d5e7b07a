"""Signatures by Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 over id, timestamp and body."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from serving.identity import TokenSource

PREFIX = "whsec_"
_SECRET_BYTES = 32


def new_secret(tokens: TokenSource) -> str:
    """A new secret: `whsec_` and 32 bytes in base 64."""
    return PREFIX + base64.b64encode(tokens(_SECRET_BYTES)).decode("ascii")


def headers(secrets: Sequence[str], event_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """The headers that name, date and sign an event.

    Args:
        secrets: the secrets, each of which signs; there are two while one replaces the other.
        event_id: the event's id, the same at every attempt; receivers recognise repetitions by it.
        timestamp: the time of this attempt, seconds since the epoch.
        body: the bytes to send.
    """
    signed = b".".join([event_id.encode(), str(timestamp).encode(), body])
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode('ascii')}"
