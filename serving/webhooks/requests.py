"""The requests about webhooks."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from features.value_types import Instant, Text, Url
from serving.store.outbox import KINDS, TEST

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)
_SUBSCRIBABLE = tuple(kind for kind in KINDS if kind != TEST)


def _kind(value: str) -> str:
    if value not in _SUBSCRIBABLE:
        raise ValueError(f"must be one of {', '.join(_SUBSCRIBABLE)}")
    return value


def _some(kinds: tuple[str, ...]) -> tuple[str, ...]:
    if not kinds:
        raise ValueError("must name at least one kind; leave the field out for all kinds")
    return kinds


_Kinds = Annotated[
    tuple[Annotated[str, AfterValidator(_kind), Field(json_schema_extra={"enum": list(_SUBSCRIBABLE)})], ...],
    Field(max_length=len(_SUBSCRIBABLE), strict=False, json_schema_extra={"minItems": 1}),
    AfterValidator(_some),
]


class NewWebhook(BaseModel):
    """A new receiver. Without `events` it gets events of all kinds, including kinds of later versions."""

    model_config = _STRICT

    url: Url
    """The address of the receiver, https."""
    events: _Kinds | None = None
    """The kinds of events; all kinds where it is empty."""
    description: Text | None = None
    """What the receiver is, in your words."""


class WebhookChange(BaseModel):
    """The changes of a receiver. An absent field stays as it is."""

    model_config = _STRICT

    url: Url = ""
    """The new address of the receiver, https."""
    events: _Kinds | None = None
    """The kinds of events; all kinds where it is empty."""
    description: Text | None = None
    """What the receiver is, in your words."""
    enabled: bool = True
    """Whether events are sent."""


class Since(BaseModel):
    """The moment since which events are sent again."""

    model_config = _STRICT

    since: Instant
    """The day or moment from which on it holds."""
