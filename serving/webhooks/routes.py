"""The routes of webhooks: receivers, their secrets, and the log of their deliveries."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import JSONResponse, Response
from sqlalchemy import Connection

from features.value_types import MAX_INTEGER, rfc3339
from serving.http.authentication import Permitted
from serving.http.bodies import Body, json_body, read
from serving.http.dependencies import StoreDependency, provided
from serving.http.openapi import RequestBody
from serving.http.paging import Paging, page_answer
from serving.http.problems import from_status
from serving.http.responses import REFUSALS, refusals
from serving.store import outbox
from serving.store.database import reading
from serving.store.outbox import TEST
from serving.validation import FieldError, InvalidFields
from serving.webhooks import deliveries
from serving.webhooks import receivers as webhooks
from serving.webhooks.addresses import AllowedHosts, ForbiddenAddress, check_url
from serving.webhooks.deliveries import LoggedDelivery
from serving.webhooks.receivers import Webhook
from serving.webhooks.requests import NewWebhook, Since, WebhookChange
from serving.webhooks.responses import DeliveryAnswer, EventAnswer, NewWebhookAnswer, RedeliveryAnswer, WebhookAnswer
from serving.webhooks.signing import new_secret

_REFUSALS = {**REFUSALS, **refusals(404)}
router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


Id = Annotated[int, Path(description="The id of the receiver.", ge=1, le=MAX_INTEGER)]
EventId = Annotated[str, Path(description="The id of the event.", pattern="^evt_[0-9a-f]{32}$")]
Page = Annotated[Paging, Query()]
HostsDependency = Annotated[AllowedHosts, Depends(provided(AllowedHosts))]


BODIES = (
    RequestBody(
        NewWebhook, {"url": "https://crm.example/hooks/eql", "events": ["lead.scored"], "description": "The CRM"}
    ),
    RequestBody(WebhookChange, {"enabled": False}),
    RequestBody(Since, {"since": "2026-11-01T00:00:00Z"}),
)


@router.post(
    "",
    status_code=201,
    operation_id="createWebhook",
    summary="Register a receiver of events; only this answer has its secret",
    responses={201: {"model": NewWebhookAnswer}, **_REFUSALS},
    openapi_extra=json_body(NewWebhook),
)
def create(store: StoreDependency, hosts: HostsDependency, _: Permitted, body: Body) -> JSONResponse:
    """The receiver, enabled, and its secret."""
    new, _sent = read(NewWebhook, body)
    _check_url(hosts, new.url)
    secret = new_secret(store.tokens)
    with store.engine.begin() as connection:
        created = webhooks.create(connection, new.url, _kinds(new.events), new.description, secret, store.clock())
    content = _to_dict(created, store.clock()) | {"secret": secret}
    return JSONResponse(content, 201, {"Location": f"/v1/webhooks/{created.id}"})


@router.get(
    "",
    operation_id="listWebhooks",
    summary="The receivers of events",
    responses={200: {"model": page_answer(WebhookAnswer)}, **_REFUSALS},
)
def listed(store: StoreDependency, _: Permitted, page: Page) -> JSONResponse:
    """A page of receivers."""
    now = store.clock()
    with reading(store.engine) as connection:
        rows = webhooks.listed(connection, _cursor_id(page) or 0, page.limit + 1)
    return JSONResponse(page.answer("/v1/webhooks", rows, lambda row: (row.id,), lambda row: _to_dict(row, now)))


@router.get(
    "/{webhook_id}",
    operation_id="getWebhook",
    summary="A receiver of events",
    responses={200: {"model": WebhookAnswer}, **_REFUSALS},
)
def get(store: StoreDependency, _: Permitted, webhook_id: Id) -> JSONResponse:
    """The receiver without its secret."""
    with reading(store.engine) as connection:
        return JSONResponse(_to_dict(_get(connection, webhook_id), store.clock()))


@router.patch(
    "/{webhook_id}",
    operation_id="changeWebhook",
    summary="Change, enable or disable a receiver",
    responses={200: {"model": WebhookAnswer}, **_REFUSALS},
    openapi_extra=json_body(WebhookChange),
)
def change(store: StoreDependency, hosts: HostsDependency, _: Permitted, webhook_id: Id, body: Body) -> JSONResponse:
    """The changed receiver."""
    wanted, _sent = read(WebhookChange, body)
    values: dict[str, Any] = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    if "url" in values:
        _check_url(hosts, values["url"])
    if "events" in values:
        values["events"] = _kinds(values["events"])
    with store.engine.begin() as connection:
        changed = webhooks.change(connection, webhook_id, values)
    if changed is None:
        raise from_status(404)
    return JSONResponse(_to_dict(changed, store.clock()))


@router.delete(
    "/{webhook_id}",
    status_code=204,
    operation_id="deleteWebhook",
    summary="Remove a receiver and the log of its deliveries",
    responses=_REFUSALS,
)
def remove(store: StoreDependency, _: Permitted, webhook_id: Id) -> Response:
    """No content."""
    with store.engine.begin() as connection:
        removed = webhooks.remove(connection, webhook_id)
    if not removed:
        raise from_status(404)
    return Response(status_code=204)


@router.post(
    "/{webhook_id}/rotate",
    operation_id="rotateWebhookSecret",
    summary="Replace the secret; for 24 hours the former secret signs too",
    responses={200: {"model": NewWebhookAnswer}, **_REFUSALS},
)
def rotate(store: StoreDependency, _: Permitted, webhook_id: Id) -> JSONResponse:
    """The receiver and its new secret."""
    now, secret = store.clock(), new_secret(store.tokens)
    with store.engine.begin() as connection:
        rotated = webhooks.rotate(connection, webhook_id, secret, now)
    if rotated is None:
        raise from_status(404)
    return JSONResponse(_to_dict(rotated, now) | {"secret": secret})


@router.post(
    "/{webhook_id}/test",
    status_code=202,
    operation_id="testWebhook",
    summary="Send an event of the kind webhook.test to this receiver",
    responses={202: {"model": EventAnswer}, **_REFUSALS},
)
def test(store: StoreDependency, _: Permitted, webhook_id: Id) -> JSONResponse:
    """The event's id; the log of deliveries has its attempts."""
    now = store.clock()
    sent = outbox.event(TEST, None, {"webhook_id": webhook_id}, at=now, tokens=store.tokens)
    with store.engine.begin() as connection:
        _get(connection, webhook_id)
        outbox.add(connection, [sent])
        deliveries.add(connection, sent.event_id, webhook_id, now)
    return JSONResponse({"event_id": sent.event_id}, 202)


@router.get(
    "/{webhook_id}/deliveries",
    operation_id="listDeliveries",
    summary="The deliveries to a receiver with their attempts, newest first",
    responses={200: {"model": page_answer(DeliveryAnswer)}, **_REFUSALS},
)
def log(store: StoreDependency, _: Permitted, webhook_id: Id, page: Page) -> JSONResponse:
    """A page of deliveries, without their bodies."""
    with reading(store.engine) as connection:
        _get(connection, webhook_id)
        rows = deliveries.log(connection, webhook_id, _cursor_id(page), page.limit + 1)
    address = f"/v1/webhooks/{webhook_id}/deliveries"
    return JSONResponse(page.answer(address, rows, lambda delivery: (delivery.id,), _delivery_to_dict))


@router.post(
    "/{webhook_id}/deliveries/{event_id}/replay",
    status_code=202,
    operation_id="replayDelivery",
    summary="Send an event again, whether it was delivered or not",
    responses={202: {"model": EventAnswer}, **_REFUSALS},
)
def replay(store: StoreDependency, _: Permitted, webhook_id: Id, event_id: EventId) -> JSONResponse:
    """The event's id, which stays the same."""
    with store.engine.begin() as connection:
        if not deliveries.replay(connection, _get(connection, webhook_id), event_id, store.clock()):
            raise from_status(404)
    return JSONResponse({"event_id": event_id}, 202)


@router.post(
    "/{webhook_id}/replay",
    status_code=202,
    operation_id="replayDeliveries",
    summary="Send the receiver's events since a moment again",
    responses={202: {"model": RedeliveryAnswer}, **_REFUSALS},
    openapi_extra=json_body(Since),
)
def replay_since(store: StoreDependency, _: Permitted, webhook_id: Id, body: Body) -> JSONResponse:
    """The number of events."""
    wanted, _sent = read(Since, body)
    with store.engine.begin() as connection:
        webhook = _get(connection, webhook_id)
        count = deliveries.replay_since(connection, webhook, wanted.since, store.clock())
    return JSONResponse({"events": count}, 202)


def _cursor_id(page: Paging) -> int | None:
    key = page.after(int)
    return None if key is None else int(key[0])


def _get(connection: Connection, webhook_id: int) -> Webhook:
    webhook = webhooks.get(connection, webhook_id)
    if webhook is None:
        raise from_status(404)
    return webhook


def _check_url(hosts: AllowedHosts, url: str) -> None:
    try:
        check_url(url, hosts.names)
    except ForbiddenAddress as error:
        raise InvalidFields([FieldError("url", str(error))]) from None


def _kinds(events: Sequence[str] | None) -> list[str] | None:
    return None if events is None else sorted({*events})


def _to_dict(webhook: Webhook, now: int) -> dict[str, Any]:
    former = webhook.former_until
    return {
        "id": webhook.id,
        "url": webhook.url,
        "events": None if webhook.events is None else list(webhook.events),
        "description": webhook.description,
        "enabled": webhook.enabled,
        "disabled_because": webhook.disabled_because,
        "failing_since": webhook.failing_since and rfc3339(webhook.failing_since),
        "created_at": rfc3339(webhook.created_at),
        "former_secret_until": rfc3339(former) if former is not None and former > now else None,
    }


def _delivery_to_dict(delivery: LoggedDelivery) -> dict[str, Any]:
    return {
        "event_id": delivery.event_id,
        "kind": delivery.kind,
        "at": rfc3339(delivery.at),
        "state": delivery.state,
        "attempts": [{"at": rfc3339(a.at), "status": a.status, "fault": a.error} for a in delivery.attempts],
        "next_attempt": delivery.due_at and rfc3339(delivery.due_at),
    }
