"""No webhook reaches the inside: not by any way to write an address, by no name, no second look and no redirect."""

import ipaddress
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.webhooks.addresses import ForbiddenAddress, check_url, is_public
from serving.webhooks.connections import PublicOnly, Resolve, pool
from serving.webhooks.deliveries import ClaimedDelivery
from serving.webhooks.sending import Result, Sender
from tests.serving.receiver import HOST, Received, Reply, receiving

PUBLIC = "93.184.215.14"
INTERNAL = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.1.2.3",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:93.184.215.14",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", INTERNAL)
def test_internal_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"])
def test_public_addresses_are(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses())
def test_nothing_is_public_that_python_knows_as_special(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if is_public(str(address)):
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_is_reached_through_ipv6(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    embedded = [number, 0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80]
    assert not any(is_public(str(ipaddress.IPv6Address(each))) for each in embedded)


@pytest.mark.parametrize(
    "url",
    [
        *(f"https://[{address}]/" if ":" in address else f"https://{address}/" for address in INTERNAL),
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://017700000001/",
        "https://127.1/",
        "https://127.0.1/",
        "https://127.0.0.1./",
        "https://127.0.0.01/",
        "https://1.1.1.1./",
        "https://1.1.1.256/",
        "https://host.0x/",
        "https://host.1/",
        "https://１２７.0.0.1/",
        "https://①②⑦.⓪.⓪.①/",
        "https://127。0。0。1/",
        "https://user@crm.example/",
        "https://user:secret@crm.example/",
        "https://crm.example@127.0.0.1/",
        "https://crm.example\\@127.0.0.1/",
        "https://crm.example#@127.0.0.1/",
        "https://crm.example/#fragment",
        "https://crm.example:0/",
        "https://crm.example:65536/",
        "https://crm.example:port/",
        "https://[crm.example]/",
        "https://[::1/",
        "https://-crm.example/",
        "https://crm..example/",
        "https://%31%32%37.0.0.1/",
        "https:///path",
        "https:crm.example",
        "http://crm.example/",
        "ftp://crm.example/",
        "file:///etc/passwd",
        "gopher://crm.example/",
        "//crm.example/",
        "crm.test",
        "https://crm.example/ path",
        "https://crm.example/\r\nX-Injected: 1",
        "https://crm\t.example/",
    ],
)
def test_urls_of_other_forms_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(ForbiddenAddress) as refused:
        check_url(url)
    assert url not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.example/hooks?tenant=1",
        "https://CRM.example:8443/",
        "https://xn--bcher-kva.example/",
        "https://hooks_2.crm.example./",
        f"https://{PUBLIC}/",
        "https://[2606:4700::1111]:443/",
    ],
)
def test_urls_of_the_right_form_pass(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost", "nas.local", "crm.internal", "x.home.arpa"])
def test_a_name_of_one_machine_or_one_network_is_refused(host: str) -> None:
    with pytest.raises(ForbiddenAddress, match="must not be an internal address"):
        check_url(f"https://{host}/")
    check_url(f"https://{host}/", allowed={host.lower()})


def test_what_the_operator_allows_may_be_inside_and_plain() -> None:
    check_url("http://127.0.0.1:8080/", allowed={"127.0.0.1"})
    check_url("http://crm.internal/", allowed={"crm.internal"})
    with pytest.raises(ForbiddenAddress):
        check_url("http://other.internal/", allowed={"crm.internal"})


def send(url: str, resolving: Resolve, allowed: frozenset[str] = frozenset()) -> Result:
    async def run() -> Result:
        async with pool(PublicOnly(resolving, allowed)) as connections:
            sender = Sender(connections, lambda: 0, allowed, timeout=5)
            delivery = ClaimedDelivery(
                id=1, event_id="evt_1", content="{}", url=url, secrets=("whsec_AAAA",), attempts=0
            )
            return await sender.send(delivery)

    return anyio.run(run)


def answering(*answers: Sequence[str]) -> Resolve:
    """A resolver that gives one answer after the other, and the last one on and on."""
    remaining = list(answers)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    return resolve


@pytest.mark.parametrize("answer", [[HOST], ["::1"], [PUBLIC, HOST], [HOST, PUBLIC], ["::ffff:127.0.0.1"]])
def test_a_name_with_an_internal_address_is_not_connected_to(answer: list[str]) -> None:
    with receiving() as inside:
        found = send(f"https://crm.example:{inside.port}/", answering(answer))
    assert found == Result(None, "address not allowed")
    assert inside.connections == 0


class Opened(httpcore.AsyncNetworkBackend):
    """Connects nowhere, and tells where it was asked to."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: object = None,
    ) -> httpcore.AsyncNetworkStream:
        self.asked.append(host)
        raise httpcore.ConnectError


def test_the_very_address_that_was_checked_is_connected_to() -> None:
    opened = Opened()
    rebinding = PublicOnly(answering([PUBLIC], [HOST]), (), opened)

    async def connect() -> None:
        await rebinding.connect_tcp("crm.example", 443)

    with pytest.raises(httpcore.ConnectError):
        anyio.run(connect)
    with pytest.raises(ForbiddenAddress):
        anyio.run(connect)
    assert opened.asked == [PUBLIC]


def test_the_request_keeps_the_name() -> None:
    with receiving() as receiver:
        send(f"http://crm.example:{receiver.port}/hook?tenant=1", answering([HOST]), frozenset({"crm.example"}))
    [got] = receiver.received
    assert (got.headers["host"], got.path) == (f"crm.example:{receiver.port}", "/hook?tenant=1")


def test_the_certificate_is_asked_for_by_name() -> None:
    with socket.create_server((HOST, 0)) as server, ThreadPoolExecutor(1) as threads:

        def greeted() -> bytes:
            connection, _ = server.accept()
            with connection:
                return connection.recv(10_000)

        greeting = threads.submit(greeted)
        port = server.getsockname()[1]
        found = send(f"https://crm.example:{port}/", answering([HOST]), frozenset({"crm.example"}))
    assert found == Result(None, "connection failed")
    assert b"crm.example" in greeting.result()


def test_redirects_are_failures_and_are_not_followed() -> None:
    with receiving() as inside:

        def redirect(_: Received) -> Reply:
            return Reply(307, {"Location": inside.url})

        with receiving(redirect) as outside:
            url = f"http://crm.example:{outside.port}/"
            assert send(url, answering([HOST]), frozenset({"crm.example"})) == Result(307, "redirected")
    assert (outside.connections, inside.connections) == (1, 0)


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as inside, receiving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://{HOST}:{proxy.port}")
        assert send(inside.url, answering([HOST]), frozenset({HOST})) == Result(204)
    assert (inside.connections, proxy.connections) == (1, 0)


@pytest.mark.parametrize("length", [0, 64 * 1024, 64 * 1024 + 1, 10_000_000])
def test_of_an_answer_nothing_is_kept_and_little_is_read(length: int) -> None:
    with receiving(lambda _: Reply(200, body=bytes(length))) as receiver:
        assert send(receiver.url, answering([HOST]), frozenset({HOST})) == Result(200)
