"""What the requests and answers about webhooks and runs hold."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from features.value_types import Instant, Text, Url
from serving.api.answers import Answer
from serving.store.outbox import KINDS, TEST

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)
_SUBSCRIBABLE = tuple(kind for kind in KINDS if kind != TEST)


def _kind(value: str) -> str:
    if value not in _SUBSCRIBABLE:
        raise ValueError(f"must be one of {', '.join(_SUBSCRIBABLE)}")
    return value


def _some(kinds: tuple[str, ...]) -> tuple[str, ...]:
    if not kinds:
        raise ValueError("must name at least one; leave it out for all")
    return kinds


_Kinds = Annotated[
    tuple[Annotated[str, AfterValidator(_kind), Field(json_schema_extra={"enum": list(_SUBSCRIBABLE)})], ...],
    Field(max_length=len(_SUBSCRIBABLE), strict=False, json_schema_extra={"minItems": 1}),
    AfterValidator(_some),
]


class NewWebhook(BaseModel):
    """A receiver to be; without `events` it gets all kinds, those of later versions too."""

    model_config = _STRICT

    url: Url
    events: _Kinds | None = None
    description: Text | None = None


class WebhookChange(BaseModel):
    """What shall be different; an absent field stays as it is."""

    model_config = _STRICT

    url: Url = ""
    events: _Kinds | None = None
    description: Text | None = None
    enabled: bool = True


class Since(BaseModel):
    """From when on events are sent again."""

    model_config = _STRICT

    since: Instant


BODIES: tuple[type[BaseModel], ...] = (NewWebhook, WebhookChange, Since)


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


class ReplayAnswer(Answer):
    """How many events are on their way again."""

    events: int


class RunAnswer(Answer):
    """A run of scheduled work; without an end it is under way, or its worker died."""

    id: int
    task: str
    started_at: str
    finished_at: str | None
    outcome: str | None
    detail: str | None
