"""Write requests, sent as a CRM sends them: repeated with the same key until there is a final answer."""

import http.client
import json
import time
from dataclasses import dataclass

from features.value_types import rfc3339

STARTS = 1_700_000_000_000_000
"""The moment of the first request, microseconds; each further request is a microsecond later."""
LINES = 5
"""The number of lines of a bulk request."""
_HEADERS = ("Location", "Content-Type")
_RETRY_STATUSES = (409, 503)
"""409: a request with the same key is being answered. 503: the service is busy or shuts down."""
_PAUSE = 0.01
_TIMEOUT = 30


@dataclass(frozen=True, kw_only=True)
class WriteRequest:
    """A write request.

    Attributes:
        number: its number among all requests.
        method: the HTTP method.
        path: the path.
        body: the body.
        with_key: whether it has an Idempotency-Key.
    """

    number: int
    method: str
    path: str
    body: bytes
    with_key: bool

    @property
    def lead_id(self) -> str | None:
        """The id of the lead that the request creates; None if it creates no lead."""
        return f"L-{self.number}" if self.path == "/v1/leads" else None


@dataclass(frozen=True)
class FinalAnswer:
    """The final answer to a request.

    Attributes:
        status: the HTTP status.
        body: the body.
        headers: the values of `Location` and `Content-Type`.
        sent_again: how often the request was sent again before this answer.
    """

    status: int
    body: bytes
    headers: tuple[str | None, ...]
    sent_again: int


def write_request(number: int) -> WriteRequest:
    """The request with a number: a fact with an id, a fact without, a lead, or several lines; half have a key."""
    when, with_key = rfc3339(STARTS + number), number % 8 < 4

    def build(method: str, path: str, body: str) -> WriteRequest:
        return WriteRequest(number=number, method=method, path=path, body=body.encode(), with_key=with_key)

    touch = {"lead_id": f"L-{number - number % 4 + 2}", "channel": "webinar", "occurred_at": when}
    if number % 4 == 0:
        return build("PUT", f"/v1/touchpoints/T-{number}", json.dumps(touch))
    if number % 4 == 1:
        signal = {"lead_id": f"L-{number + 1}", "kind": "demo_request", "occurred_at": when}
        return build("POST", "/v1/buying_signals", json.dumps(signal))
    if number % 4 == 2:
        lead = {"lead_id": f"L-{number}", "email": f"lead{number}@acme.example", "created_at": when}
        return build("POST", "/v1/leads", json.dumps({"lead": lead}))
    lines = [{"record": "touchpoints", "id": f"B-{number}-{line}", **touch} for line in range(LINES)]
    return build("POST", "/v1/records", "\n".join(map(json.dumps, lines)))


def connect(port: int) -> http.client.HTTPConnection:
    """A keep-alive connection to the service."""
    return http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)


def send_until_answered(connection: http.client.HTTPConnection, key: str, request: WriteRequest) -> FinalAnswer:
    """Sends a request until the service is up and gives a final answer."""
    headers = {"X-Api-Key": key, "Content-Type": "application/json"}
    if request.with_key:
        headers["Idempotency-Key"] = f"k-{request.number}"
    sent_again = 0
    while True:
        try:
            connection.request(request.method, request.path, request.body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status not in _RETRY_STATUSES:
                return FinalAnswer(answer.status, content, tuple(answer.headers[name] for name in _HEADERS), sent_again)
        except (OSError, http.client.HTTPException):
            connection.close()
        sent_again += 1
        time.sleep(_PAUSE)
