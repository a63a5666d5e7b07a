"""The answers about webhooks and their deliveries."""

from serving.http.responses import Answer, Time


class WebhookAnswer(Answer):
    """A receiver of events. Only the answers of its creation and of a rotation have its secret."""

    id: int
    """The id."""
    url: str
    """The address of the receiver."""
    events: list[str] | None
    """The kinds of events; all kinds where it is empty."""
    description: str | None
    """What the receiver is, in your words."""
    enabled: bool
    """Whether events are sent."""
    disabled_because: str | None
    """Why events are no longer sent."""
    failing_since: Time | None
    """Since when no delivery succeeded."""
    created_at: Time
    """When the receiver was registered."""
    former_secret_until: Time | None
    """Until when the former secret signs too."""


class NewWebhookAnswer(WebhookAnswer):
    """A receiver with its new secret."""

    secret: str
    """The secret that signs events; it is shown once."""


class AttemptAnswer(Answer):
    """An attempt: the status of the receiver's answer, and the error. Each is null where there is none."""

    at: Time
    """The moment."""
    status: int | None
    """The HTTP status that the receiver answered; null without an answer."""
    fault: str | None
    """What went wrong."""


class DeliveryAnswer(Answer):
    """The delivery of an event; `next_attempt` is set while the delivery waits."""

    event_id: str
    """The id of the event."""
    kind: str
    """The kind of event."""
    at: Time
    """The moment."""
    state: str
    """The state of the delivery."""
    attempts: list[AttemptAnswer]
    """The attempts so far."""
    next_attempt: Time | None
    """When the next attempt is due."""


class EventAnswer(Answer):
    """The event that will be sent."""

    event_id: str
    """The id of the event."""


class RedeliveryAnswer(Answer):
    """The number of events that will be sent again."""

    events: int
    """The kinds of events; all kinds where it is empty."""
