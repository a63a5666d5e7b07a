"""Load shedding: what is worked on, what waits, what is refused, and what is always answered."""

import asyncio
from dataclasses import dataclass, field

import anyio
import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from serving.http.metrics import Metrics
from serving.http.middleware.body_limit import BodyLimit
from serving.http.middleware.load_shedding import LARGE, PROBES, LoadShedding


@dataclass
class Endpoint:
    """Answers when told to, and knows how many it worked on at once."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    working: int = 0
    most: int = 0
    done: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.working += 1
        self.most = max(self.most, self.working)
        try:
            await self.go.wait()
            self.done += 1
            if "fails" in scope["path"]:
                raise ZeroDivisionError
        finally:
            self.working -= 1
        await PlainTextResponse("done")(scope, receive, send)


def client(app: LoadShedding) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("at_once", "waiting", "sent"), [(1, 0, 3), (2, 3, 9), (4, 8, 12), (4, 8, 13)])
def test_so_many_are_worked_on_so_many_wait_and_the_rest_is_told_at_once(at_once: int, waiting: int, sent: int) -> None:
    async def scenario() -> None:
        endpoint, metrics = Endpoint(), Metrics()
        async with client(LoadShedding(endpoint, metrics, at_once, waiting)) as ask, asyncio.TaskGroup() as group:
            asked = [group.create_task(ask.get("/v1/score")) for _ in range(sent)]
            await settled()
            refused = [task.result() for task in asked if task.done()]
            assert len(refused) == max(0, sent - at_once - waiting)
            assert {answer.status_code for answer in refused} <= {503}
            assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
            assert all(answer.headers["Content-Type"] == "application/problem+json" for answer in refused)
            for path in PROBES:
                group.create_task(ask.get(path))
            await settled()
            assert endpoint.working == at_once + len(PROBES)
            endpoint.go.set()
        assert sum(task.result().status_code == 200 for task in asked) == min(sent, at_once + waiting)
        assert (
            f'eql_requests_shed_total{{reason="full"}} {len(refused):.1f}' in metrics.exposition().decode()
            or not refused
        )

    anyio.run(scenario)


def test_requests_that_wait_on_the_identity_provider_take_no_place_of_others() -> None:
    async def scenario() -> None:
        waiting, endpoint, metrics = Endpoint(), Endpoint(), Metrics()
        endpoint.go.set()
        layer = LoadShedding(endpoint, metrics, 4, 8, apart=LoadShedding(waiting, metrics, 2, 2))
        async with client(layer) as ask, asyncio.TaskGroup() as group:
            signing_in = [group.create_task(ask.get("/sign-in/oidc")) for _ in range(9)]
            await settled()
            refused = [task.result().status_code for task in signing_in if task.done()]
            assert refused == [503] * 5
            assert {(await ask.post("/v1/score")).status_code for _ in range(20)} == {200}
            waiting.go.set()

    anyio.run(scenario)


def test_a_large_request_takes_half_of_the_places_and_is_not_overtaken_for_ever() -> None:
    async def scenario() -> None:
        endpoint = Endpoint()
        async with client(LoadShedding(endpoint, Metrics(), 4, 8)) as ask, asyncio.TaskGroup() as group:
            for content in (b" " * LARGE, b"", b"", b" " * LARGE, b""):
                group.create_task(ask.post("/v1/score", content=content))
                await settled()
            assert (endpoint.working, endpoint.done) == (3, 0)
            endpoint.go.set()
        assert endpoint.done == 5

    anyio.run(scenario)


def test_who_waited_too_long_is_refused_and_nothing_is_done_for_it() -> None:
    async def scenario() -> None:
        endpoint = Endpoint()
        async with client(LoadShedding(endpoint, Metrics(), 1, 1, max_wait=0.01)) as ask, asyncio.TaskGroup() as group:
            first = group.create_task(ask.get("/v1/score"))
            await settled()
            assert (await ask.get("/v1/score")).status_code == 503
            endpoint.go.set()
        assert first.result().status_code == 200
        assert endpoint.done == 1

    anyio.run(scenario)


def test_places_come_back_after_faults_and_clients_that_left() -> None:
    async def scenario() -> None:
        endpoint = Endpoint()
        app = LoadShedding(endpoint, Metrics(), 1, 1)
        async with client(app) as ask:
            left = [asyncio.create_task(ask.get("/v1/score")) for _ in range(2)]
            await settled()
            for task in left:
                task.cancel()
            await asyncio.wait(left)
            endpoint.go.set()
            with pytest.raises(ZeroDivisionError):
                await ask.get("/fails")
            assert (await ask.get("/v1/score")).status_code == 200

    anyio.run(scenario)


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def slow() -> object:
        yield b"{"
        await asyncio.sleep(30)

    async def scenario() -> None:
        endpoint = Endpoint()
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(BodyLimit(endpoint, seconds=0.01)), base_url="http://test"
        ) as ask:
            answer = await ask.post("/v1/score", content=slow())  # type: ignore[arg-type]
        assert answer.status_code == 408
        assert answer.headers["Connection"] == "close"
        assert endpoint.most == 0

    anyio.run(scenario)
