"""Rate limits: what a caller always gets, what it never gets, and what it is told."""

import secrets

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from features.value_types import SECOND, parse_instant
from serving.access import keys
from serving.app import create_app
from serving.http.token_bucket import RateLimit
from serving.identity import new_key
from serving.service import Service
from tests.serving.conftest import service_on

NOW = parse_instant("2026-11-20T00:00:00Z")


@given(st.integers(1, 50), st.lists(st.integers(0, SECOND), min_size=1, max_size=300))
def test_no_more_than_twice_the_rate_within_a_second_and_the_rate_on_the_whole(rate: int, gaps: list[int]) -> None:
    limit, now = RateLimit(rate), NOW
    granted: list[int] = []
    for gap in gaps:
        now += gap
        if limit.take("caller", now).granted:
            granted.append(now)
    for first, last in zip(granted, granted[2 * rate :], strict=False):
        assert last - first >= SECOND
    assert len(granted) <= rate + rate * sum(gaps) / SECOND + 1


@given(st.integers(1, 200), st.integers(1, 5))
def test_so_many_a_second_are_always_granted_evenly_or_all_at_once(rate: int, seconds: int) -> None:
    limit = RateLimit(rate)
    evenly = [NOW + number * SECOND // rate for number in range(rate * seconds)]
    assert all(limit.take("even", at).granted for at in evenly)
    at_once = [NOW + second * SECOND for second in range(seconds) for _ in range(rate)]
    assert all(limit.take("sudden", at).granted for at in at_once)


@given(st.integers(1, 20))
def test_who_waits_as_told_gets_in(rate: int) -> None:
    limit = RateLimit(rate)
    while (allowance := limit.take("caller", NOW)).granted:
        pass
    assert limit.take("caller", NOW + round(allowance.wait * SECOND) + 1).granted


def test_callers_do_not_pay_for_one_another_nor_for_a_clock_set_back() -> None:
    limit = RateLimit(2)
    assert [limit.take("one", NOW).granted for _ in range(3)] == [True, True, False]
    assert limit.take("other", NOW).granted
    assert limit.take("other", NOW - SECOND).granted


def test_only_so_many_callers_are_remembered_the_latest_ones() -> None:
    limit = RateLimit(1, callers=2)
    for caller in ("a", "b", "c"):
        limit.take(caller, NOW)
    assert not limit.take("c", NOW).granted
    assert limit.take("a", NOW).granted


@pytest.mark.parametrize("wrong", [{"a_second": 0}, {"a_second": 1, "callers": 0}])
def test_a_limit_lets_somebody_do_something(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        RateLimit(**wrong)


@pytest.fixture
def service(store: Engine) -> Service:
    return service_on(store, lambda: NOW, RateLimit(3))


def ask(service: Service, path: str, headers: dict[str, str], times: int) -> list[httpx.Response]:
    async def asking() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [await client.get(path, headers=headers) for _ in range(times)]

    return anyio.run(asking)


def test_a_key_over_its_limit_is_told_when_to_come_again(service: Service) -> None:
    with service.engine.begin() as connection:
        first, second = (keys.create(connection, "crm", None, at=NOW, tokens=secrets.token_bytes) for _ in "12")
    answers = ask(service, "/v1/decisions/none", {"X-Api-Key": first}, 4)
    assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
    assert [answer.headers["RateLimit"] for answer in answers] == [f'"key";r={left};t=1' for left in (2, 1, 0, 0)]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"key";q=3;w=1'}
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert answers[-1].json()["status"] == 429
    assert ask(service, "/v1/decisions/none", {"Authorization": f"Bearer {second}"}, 1)[0].status_code == 404


def test_what_is_no_key_counts_by_address_however_often_it_changes(service: Service) -> None:
    answers = [ask(service, "/v1/decisions/none", {"X-Api-Key": f"guess {n}"}, 1)[0] for n in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert answers[-1].headers["RateLimit-Policy"] == '"address";q=3;w=1'


@pytest.mark.parametrize("path", ["/sign-in", "/sign-in/oidc", "/sign-in/oidc/callback"])
def test_signing_in_counts_by_address_whatever_the_key(service: Service, path: str) -> None:
    own = [new_key(secrets.token_bytes) for _ in range(4)]
    answers = [ask(service, path, {"X-Api-Key": key}, 1)[0] for key in own]
    assert [answer.status_code == 429 for answer in answers] == [False, False, False, True]
    assert answers[-1].headers["RateLimit-Policy"] == '"address";q=3;w=1'


def test_pages_and_health_have_no_limit(service: Service) -> None:
    for path, status in (("/healthz", 200), ("/", 401)):
        assert {answer.status_code for answer in ask(service, path, {}, 5)} == {status}
