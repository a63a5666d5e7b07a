"""Requests that write, sent as a CRM does: again, with the same key, until they are answered for good."""

import http.client
import json
import time
from dataclasses import dataclass

from features.value_types import rfc3339

STARTS = 1_700_000_000_000_000
"""The instant of the first request; each later one is a microsecond later."""
LINES = 5
"""Of one bulk request."""
_HEADERS = ("Location", "Content-Type")
_NOT_YET = (409, 503)
"""Statuses that ask to come again: a request with the same key is being answered; the service is busy or ends."""
_PAUSE = 0.01
_TIMEOUT = 30


@dataclass(frozen=True)
class WriteRequest:
    """A request that writes: number `number` of all, and what it says; `named` by an Idempotency-Key or not."""

    number: int
    method: str
    path: str
    body: bytes
    named: bool

    @property
    def lead_id(self) -> str | None:
        """The lead that it makes."""
        return f"L-{self.number}" if self.path == "/v1/leads" else None


@dataclass(frozen=True)
class FinalAnswer:
    """What a client keeps of an answer.

    Attributes:
        status: its code.
        body: its bytes.
        headers: `Location` and `Content-Type`.
        sent_again: how often the request had to be sent again before it was answered for good.
    """

    status: int
    body: bytes
    headers: tuple[str | None, ...]
    sent_again: int


def write_request(number: int) -> WriteRequest:
    """The request of a number: a fact with an id, one without, a lead, or several lines, every other with a key."""
    when, named = rfc3339(STARTS + number), number % 8 < 4
    touch = {"lead_id": f"L-{number - number % 4 + 2}", "channel": "webinar", "occurred_at": when}
    if number % 4 == 0:
        return WriteRequest(number, "PUT", f"/v1/touchpoints/T-{number}", json.dumps(touch).encode(), named)
    if number % 4 == 1:
        signal = {"lead_id": f"L-{number + 1}", "kind": "demo_request", "occurred_at": when}
        return WriteRequest(number, "POST", "/v1/buying_signals", json.dumps(signal).encode(), named)
    if number % 4 == 2:
        lead = {"lead_id": f"L-{number}", "email": f"lead{number}@acme.example", "created_at": when}
        return WriteRequest(number, "POST", "/v1/leads", json.dumps({"lead": lead}).encode(), named)
    lines = [{"record": "touchpoints", "id": f"B-{number}-{line}", **touch} for line in range(LINES)]
    return WriteRequest(number, "POST", "/v1/records", "\n".join(map(json.dumps, lines)).encode(), named)


def connect(port: int) -> http.client.HTTPConnection:
    """A connection to the service, to be kept."""
    return http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)


def send_until_answered(connection: http.client.HTTPConnection, key: str, wanted: WriteRequest) -> FinalAnswer:
    """The answer to a request, sent until the service is up and neither busy nor still answering the same."""
    headers = {"X-Api-Key": key, "Content-Type": "application/json"}
    if wanted.named:
        headers["Idempotency-Key"] = f"k-{wanted.number}"
    again = 0
    while True:
        try:
            connection.request(wanted.method, wanted.path, wanted.body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status not in _NOT_YET:
                return FinalAnswer(answer.status, content, tuple(answer.headers[name] for name in _HEADERS), again)
        except (OSError, http.client.HTTPException):
            connection.close()
        again += 1
        time.sleep(_PAUSE)
