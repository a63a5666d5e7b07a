"""Events reach their receivers: at least once, under one id, signed; and who fails is left alone."""

import contextlib
import random
import secrets
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from sqlalchemy import Connection, Engine, delete

from features.value_types import DAY, SECOND
from serving.store import outbox
from serving.store.database import reading
from serving.store.store import Store
from serving.store.tables import outbox as outbox_table
from serving.webhooks import deliveries, retries
from serving.webhooks import receivers as webhooks
from serving.webhooks.connections import PublicOnly, pool, resolve
from serving.webhooks.deliveries import DELIVERED, FAILED, WAITING, ClaimedDelivery, DeliveryAttempt, LoggedDelivery
from serving.webhooks.delivery import CLAIM, GIVE_UP, Delivery
from serving.webhooks.sending import Result, Sender
from serving.webhooks.signing import headers, new_secret
from tests.serving.receiver import HOST, Received, Receiver, Reply, receiving

NOW = 1_800_000_000 * SECOND
HOUR = 3600 * SECOND
PATIENCE = [0, 5, 300, 1800, 7200, 18000, *(11 * [36000])]
"""The retries that were promised, seconds."""


@dataclass
class Clock:
    now: int = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class Post:
    """A sender that answers what it is told to, and keeps what it was to send."""

    reply: Callable[[ClaimedDelivery], Result]
    sent: list[ClaimedDelivery] = field(default_factory=list)

    async def send(self, due: ClaimedDelivery) -> Result:
        self.sent.append(due)
        return self.reply(due)


def events(connection: Connection, count: int, kind: outbox.EventKind = "lead.scored") -> list[str]:
    made = [outbox.event(kind, f"L-{n}", {"n": n}, at=NOW, tokens=secrets.token_bytes) for n in range(count)]
    outbox.add(connection, made)
    return [event.event_id for event in made]


def register(connection: Connection, url: str = "https://crm.example/", kinds: list[str] | None = None) -> int:
    return webhooks.create(connection, url, kinds, None, new_secret(secrets.token_bytes), NOW).id


def fan_out(store: Engine) -> None:
    with store.begin() as connection:
        while deliveries.fan_out(connection, 100):
            pass


def deliver(store: Engine, sender: object, clock: Clock) -> None:
    anyio.run(Delivery(Store(store, clock, secrets.token_bytes), sender).run)  # type: ignore[arg-type]


def logged(store: Engine, webhook_id: int) -> list[LoggedDelivery]:
    with reading(store) as connection:
        return deliveries.log(connection, webhook_id, None, 1000)


def states(store: Engine, webhook_id: int) -> Counter[str]:
    return Counter(each.state for each in logged(store, webhook_id))


def send_for_real(store: Engine, clock: Clock) -> None:
    async def run() -> None:
        async with pool(PublicOnly(resolve, {HOST})) as connections:
            sender = Sender(connections, clock, {HOST})
            await Delivery(Store(store, clock, secrets.token_bytes), sender).run()

    anyio.run(run)


def test_each_webhook_gets_the_kinds_it_asked_for(store: Engine) -> None:
    with store.begin() as connection:
        every, some, none = register(connection), register(connection, kinds=["lead.scored"]), register(connection)
        webhooks.change(connection, none, {"enabled": False})
        scored, created = events(connection, 1), events(connection, 1, "lead.created")
    fan_out(store)
    fan_out(store)
    assert {each.event_id for each in logged(store, every)} == {*scored, *created}
    assert [each.event_id for each in logged(store, some)] == scored
    assert logged(store, none) == []


@pytest.mark.both_databases
def test_workers_side_by_side_fan_out_and_claim_everything_once(store: Engine) -> None:
    with store.begin() as connection:
        webhook = register(connection)
        ids = events(connection, 200)

    def work(number: int) -> list[str]:
        found: list[str] = []
        while True:
            with store.begin() as connection:
                made = deliveries.fan_out(connection, 9)
            with store.begin() as connection:
                claimed = deliveries.claim(connection, webhook, 7, now=NOW, until=NOW + CLAIM + number)
            found += [due.event_id for due in claimed]
            if not made and not claimed:
                return found

    with ThreadPoolExecutor(4) as threads:
        claimed = [event for found in threads.map(work, range(4)) for event in found]
    with store.begin() as connection:
        claimed += [due.event_id for due in deliveries.claim(connection, webhook, 200, now=NOW, until=NOW + 1)]
    assert sorted(claimed) == sorted(ids)


@pytest.mark.both_databases
def test_what_fails_at_random_arrives_in_the_end_as_it_was_sent_first(store: Engine) -> None:
    chance, clock = random.Random(7), Clock()
    with receiving(lambda _: Reply(500 if chance.random() < 0.3 else 204)) as receiver:
        with store.begin() as connection:
            webhook = register(connection, receiver.url)
            ids = events(connection, 120)
        with store.connect() as connection:
            rolled_back = events(connection, 20)
            connection.rollback()
        fan_out(store)
        while states(store, webhook)[WAITING]:
            send_for_real(store, clock)
            clock.now += 11 * HOUR
    assert {got.event_id for got in receiver.received} == {*ids}
    assert not {*rolled_back} & {got.event_id for got in receiver.received}
    bodies = {(got.event_id, got.body) for got in receiver.received}
    assert len(bodies) == len(ids)
    assert states(store, webhook) == {DELIVERED: 120}
    assert len(receiver.received) > 140


class SenderDied(Exception):
    """Stands for a worker that ends between sending and noting."""


@pytest.mark.both_databases
def test_a_sender_that_dies_before_noting_sends_again_under_the_same_id(store: Engine) -> None:
    clock = Clock()
    with store.begin() as connection:
        webhook = register(connection)
        [event] = events(connection, 1)
    fan_out(store)

    def die(due: ClaimedDelivery) -> Result:
        raise SenderDied

    died, post = Post(die), Post(lambda _: Result(204))
    with pytest.raises(ExceptionGroup):
        deliver(store, died, clock)
    deliver(store, post, clock)
    assert [due.event_id for due in died.sent] == [event]
    assert post.sent == []
    clock.now += CLAIM
    deliver(store, post, clock)
    deliver(store, post, clock)
    assert [(due.event_id, due.content) for due in post.sent] == [(due.event_id, due.content) for due in died.sent]
    assert states(store, webhook) == {DELIVERED: 1}


@pytest.mark.both_databases
def test_a_worker_whose_claim_was_taken_over_changes_nothing(store: Engine) -> None:
    with store.begin() as connection:
        webhook = register(connection)
        events(connection, 1)
    fan_out(store)
    with store.begin() as connection:
        [slow] = deliveries.claim(connection, webhook, 1, now=NOW, until=NOW + CLAIM)
        assert deliveries.claim(connection, webhook, 1, now=NOW + CLAIM - 1, until=NOW + 2 * CLAIM) == []
        [quick] = deliveries.claim(connection, webhook, 1, now=NOW + CLAIM, until=NOW + 2 * CLAIM)
        deliveries.note(
            connection, [DeliveryAttempt(delivery=quick, at=NOW, status=204, error=None, next_at=None)], NOW + 2 * CLAIM
        )
        failed = DeliveryAttempt(delivery=slow, at=NOW, status=500, error="refused", next_at=NOW + 1)
        deliveries.note(connection, [failed], NOW + CLAIM)
    [delivery] = logged(store, webhook)
    assert delivery.state == DELIVERED
    assert [status for _, status, _ in delivery.attempts] == [204, 500]


def test_retries_follow_the_schedule_and_end(store: Engine) -> None:
    clock, post = Clock(), Post(lambda _: Result(500, "refused"))
    with store.begin() as connection:
        webhook = register(connection)
        events(connection, 1)
    fan_out(store)
    for number, delay in enumerate(PATIENCE):
        with store.begin() as connection:
            webhooks.change(connection, webhook, {"enabled": True})
        clock.now += round(delay * SECOND) - 1
        deliver(store, post, clock)
        assert len(post.sent) == number
        clock.now += 1 + delay * SECOND // 5
        deliver(store, post, clock)
        assert len(post.sent) == number + 1
    assert states(store, webhook) == {FAILED: 1}
    clock.now += 30 * DAY
    deliver(store, post, clock)
    assert len(post.sent) == len(PATIENCE)


@given(st.integers(1, len(PATIENCE)), st.none() | st.integers(0, 10**18), st.binary(min_size=4, max_size=4))
def test_no_retry_is_early_and_none_is_put_off_without_end(attempts: int, asked: int | None, chance: bytes) -> None:
    due = retries.next_due(attempts, NOW, asked, lambda _: chance)
    if attempts == len(PATIENCE):
        assert due is None
        return
    assert due is not None
    delay = PATIENCE[attempts] * SECOND
    assert due >= NOW + max(delay, min(asked or 0, DAY))
    assert due <= NOW + max(1.2 * delay, min(asked or 0, DAY))


def test_a_webhook_that_fails_for_days_is_disabled_and_says_so(store: Engine) -> None:
    clock, post = Clock(), Post(lambda _: Result(None, "timeout"))
    with store.begin() as connection:
        webhook = register(connection)
    found = None
    while clock.now < NOW + GIVE_UP + DAY:
        with store.begin() as connection:
            events(connection, 1)
        fan_out(store)
        deliver(store, post, clock)
        with reading(store) as connection:
            found = webhooks.get(connection, webhook)
        assert found is not None
        assert found.enabled == (clock.now < NOW + GIVE_UP)
        clock.now += 12 * HOUR
    assert found is not None
    assert (found.disabled_because, found.failing_since) == ("every attempt failed for 5 days", NOW)
    with store.begin() as connection:
        enabled = webhooks.change(connection, webhook, {"enabled": True})
    assert enabled is not None
    assert (enabled.enabled, enabled.disabled_because, enabled.failing_since) == (True, None, None)


def test_one_success_forgets_the_failures_before_it(store: Engine) -> None:
    clock, post = Clock(), Post(lambda _: Result(None, "timeout"))
    with store.begin() as connection:
        webhook = register(connection)
    for day in range(10):
        post.reply = (lambda _: Result(204)) if day == 4 else (lambda _: Result(500, "refused"))
        with store.begin() as connection:
            events(connection, 1)
        fan_out(store)
        clock.now = NOW + day * DAY
        deliver(store, post, clock)
        with reading(store) as connection:
            found = webhooks.get(connection, webhook)
        assert found is not None
        assert found.enabled == (day < 4 + 1 + GIVE_UP // DAY)


@pytest.mark.both_databases
def test_gone_disables_at_once_and_what_waits_goes_out_when_enabled(store: Engine) -> None:
    clock, status = Clock(), [410]
    with receiving(lambda _: Reply(status[0])) as receiver:
        with store.begin() as connection:
            webhook = register(connection, receiver.url)
            ids = events(connection, 3)
        fan_out(store)
        send_for_real(store, clock)
        with store.begin() as connection:
            found = webhooks.get(connection, webhook)
        clock.now += DAY
        send_for_real(store, clock)
        assert len(receiver.received) == 3
        status[0] = 204
        with store.begin() as connection:
            webhooks.change(connection, webhook, {"enabled": True})
        send_for_real(store, clock)
    assert found is not None
    assert (found.enabled, found.disabled_because) == (False, "it answered 410 Gone")
    assert sorted(got.event_id for got in receiver.received) == sorted(2 * ids)


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "3600", 3600),
        (502, "3600", 3600),
        (503, "Fri, 15 Jan 2027 09:00:00 GMT", 3600),
        (504, "3600", 3600),
        (503, "99999999999999999999", 24 * 3600),
        (503, "soon", 5),
        (503, "Fri, 15 Jan 1027 09:00:00 GMT", 5),
        (500, "3600", 5),
    ],
)
def test_a_receiver_may_ask_to_be_left_alone(store: Engine, status: int, header: str, seconds: int) -> None:
    clock = Clock()
    with receiving(lambda _: Reply(status, {"Retry-After": header})) as receiver:
        with store.begin() as connection:
            webhook = register(connection, receiver.url)
            events(connection, 1)
        fan_out(store)
        send_for_real(store, clock)
    [delivery] = logged(store, webhook)
    assert delivery.due_at is not None
    assert seconds * SECOND <= delivery.due_at - NOW <= 1.2 * seconds * SECOND


def receiver_code() -> dict[str, Any]:
    """What the documentation tells receivers to run."""
    text = Path("docs/webhooks.md").read_text("utf-8")
    [block] = [t.content for t in MarkdownIt().parse(text) if t.type == "fence" and t.info == "python"]
    names: dict[str, Any] = {}
    exec(block, names)
    return names


def verified(got: Received, secret: str, now: int = NOW) -> bool:
    try:
        receiver_code()["verify"](secret, got.headers, got.body, now / SECOND)
    except ValueError:
        return False
    return True


def test_the_documented_receiver_takes_the_example_of_the_specification_and_nothing_like_it() -> None:
    # https://github.com/standard-webhooks/standard-webhooks, the libraries' tests.
    secret, now = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1614265330 * SECOND
    sent = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    got = Received("/", sent, b'{"test": 2432232314}')
    assert verified(got, secret, now)
    assert headers([secret], sent["webhook-id"], 1614265330, got.body) == sent
    assert not verified(replace(got, body=got.body + b" "), secret, now)
    assert not verified(replace(got, headers=sent | {"webhook-id": "msg_other"}), secret, now)
    assert not verified(got, new_secret(secrets.token_bytes), now)
    assert not verified(got, secret, now + 301 * SECOND)


def rotated(store: Engine, receiver: Receiver, after: int) -> tuple[Received, str, str]:
    """What is received so long after the secret was replaced, and both secrets."""
    old, new = new_secret(secrets.token_bytes), new_secret(secrets.token_bytes)
    with store.begin() as connection:
        webhook = webhooks.create(connection, receiver.url, None, None, old, NOW).id
        webhooks.rotate(connection, webhook, new, NOW)
        events(connection, 1)
    fan_out(store)
    send_for_real(store, Clock(NOW + after))
    [got] = receiver.received
    return got, old, new


@pytest.mark.both_databases
def test_a_secret_that_was_replaced_signs_for_a_day(store: Engine) -> None:
    with receiving() as receiver:
        got, old, new = rotated(store, receiver, DAY - 1)
    assert verified(got, old, NOW + DAY)
    assert verified(got, new, NOW + DAY)
    assert got.headers["webhook-timestamp"] == str((NOW + DAY - 1) // SECOND)


def test_and_no_longer(store: Engine) -> None:
    with receiving() as receiver:
        got, old, new = rotated(store, receiver, DAY)
    assert not verified(got, old, NOW + DAY)
    assert verified(got, new, NOW + DAY)


def test_a_slow_receiver_delays_nobody_else(store: Engine) -> None:
    clock = Clock()
    with store.begin() as connection:
        slow, quick = register(connection, "https://slow.example/"), register(connection)
        events(connection, 30)
    fan_out(store)

    class Mixed:
        async def send(self, due: ClaimedDelivery) -> Result:
            if "slow" in due.url:
                with anyio.fail_after(10):
                    while states(store, quick)[DELIVERED] < 30:
                        await anyio.sleep(0.05)
            return Result(204)

    deliver(store, Mixed(), clock)
    assert states(store, slow) == {DELIVERED: 30}


def test_a_receiver_that_never_ends_its_answer_is_given_up(store: Engine) -> None:
    async def run() -> Result:
        async def drip(stream: anyio.abc.SocketStream) -> None:
            async with stream:
                await stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                with anyio.CancelScope(), contextlib.suppress(anyio.BrokenResourceError):
                    while True:
                        await stream.send(b"1\r\nx\r\n")
                        await anyio.sleep(0.02)

        async with (
            await anyio.create_tcp_listener(local_host=HOST) as listener,
            pool(PublicOnly(resolve, {HOST})) as connections,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(listener.serve, drip)
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            due = ClaimedDelivery(
                id=1,
                event_id="evt_1",
                content="{}",
                url=f"http://{HOST}:{port}/",
                secrets=("whsec_AAAA",),
                attempts=0,
            )
            result = await Sender(connections, lambda: NOW, {HOST}, timeout=0.3).send(due)
            tasks.cancel_scope.cancel()
            return result

    assert anyio.run(run) == Result(None, "timeout")


@pytest.mark.both_databases
def test_an_event_that_is_erased_is_sent_no_more(store: Engine) -> None:
    with store.begin() as connection:
        webhook = register(connection)
        events(connection, 2)
    fan_out(store)
    with store.begin() as connection:
        connection.execute(delete(outbox_table).where(outbox_table.c.lead_id == "L-0"))
        [due] = deliveries.claim(connection, webhook, 9, now=NOW, until=NOW + CLAIM)
        webhooks.remove(connection, webhook)
        deliveries.note(
            connection, [DeliveryAttempt(delivery=due, at=NOW, status=204, error=None, next_at=None)], NOW + CLAIM
        )
    assert logged(store, webhook) == []
