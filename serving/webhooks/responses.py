"""The answers about webhooks and their deliveries."""

from serving.http.responses import Answer


class WebhookAnswer(Answer):
    """A receiver of events. Only the answers of its creation and of a rotation have its secret."""

    id: int
    url: str
    events: list[str] | None
    description: str | None
    enabled: bool
    disabled_because: str | None
    failing_since: str | None
    created_at: str
    former_secret_until: str | None


class NewWebhookAnswer(WebhookAnswer):
    """A receiver with its new secret."""

    secret: str


class AttemptAnswer(Answer):
    """An attempt: the status of the receiver's answer, and the error. Each is null where there is none."""

    at: str
    status: int | None
    fault: str | None


class DeliveryAnswer(Answer):
    """The delivery of an event; `next_attempt` is set while the delivery waits."""

    event_id: str
    kind: str
    at: str
    state: str
    attempts: list[AttemptAnswer]
    next_attempt: str | None


class EventAnswer(Answer):
    """The event that will be sent."""

    event_id: str


class RedeliveryAnswer(Answer):
    """The number of events that will be sent again."""

    events: int
