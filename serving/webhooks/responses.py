"""The answers about webhooks and their deliveries."""

from serving.http.responses import Answer


class WebhookAnswer(Answer):
    """A receiver of events. Its secret is told once, when it is made."""

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
    """An attempt: the status of its answer, if there was one, and why it failed, if it did."""

    at: str
    status: int | None
    fault: str | None


class DeliveryAnswer(Answer):
    """An event and what became of it; `next_attempt` while it waits."""

    event_id: str
    kind: str
    at: str
    state: str
    attempts: list[AttemptAnswer]
    next_attempt: str | None


class EventAnswer(Answer):
    """The event that is on its way."""

    event_id: str


class RedeliveryAnswer(Answer):
    """How many events are on their way again."""

    events: int
