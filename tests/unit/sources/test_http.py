import asyncio
import gc
import gzip
import socket
import ssl
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable
from scanpool.sources import http as source
from scanpool.sources.allowed_hosts import AllowedHosts
from scanpool.sources.failures import SourceError
from scanpool.sources.http import (
    Answer,
    HttpClients,
    Request,
    exchange,
)

ORIGIN = "http://server:80"


async def get(client: httpx.AsyncClient, url: str = ORIGIN) -> Answer:
    return await exchange(client, Request(url, ORIGIN, Reason.BROKER_UNREACHABLE))


async def failing(error: Exception) -> Unavailable:
    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
        with pytest.raises(SourceError) as raised:
            await get(client)
    return raised.value.gap


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "certificate has expired"
    return error


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (
            caused(httpx.ConnectError("x"), ConnectionRefusedError()),
            Reason.BROKER_UNREACHABLE,
            "refuses connections",
        ),
        (
            caused(
                httpx.ConnectError("x"),
                caused(OSError(), ExceptionGroup("all", [OSError(), ConnectionRefusedError()])),
            ),
            Reason.BROKER_UNREACHABLE,
            "refuses connections",
        ),
        (
            caused(httpx.ConnectError("x"), socket.gaierror(-2, "x")),
            Reason.BROKER_UNREACHABLE,
            "not known to DNS",
        ),
        (UnicodeError("label too long"), Reason.BROKER_UNREACHABLE, "not known to DNS"),
        (
            caused(httpx.ConnectError("x"), untrusted()),
            Reason.TLS_FAILED,
            "certificate has expired",
        ),
        (caused(httpx.ConnectError("x"), ssl.SSLError(1, "x")), Reason.TLS_FAILED, "speaks TLS"),
        (httpx.ConnectTimeout("x"), Reason.BROKER_UNREACHABLE, "in time"),
        (httpx.ReadTimeout("x"), Reason.BROKER_UNREACHABLE, "in time"),
        (httpx.PoolTimeout("x"), Reason.BROKER_UNREACHABLE, "too many"),
        (httpx.ProxyError("x"), Reason.BROKER_UNREACHABLE, "NO_PROXY"),
        (httpx.RemoteProtocolError("x"), Reason.BROKER_UNREACHABLE, "RemoteProtocolError"),
        (httpx.DecodingError("x"), Reason.BROKER_UNREACHABLE, "DecodingError"),
        (httpx.InvalidURL("x"), Reason.BROKER_UNREACHABLE, "InvalidURL"),
    ],
)
async def test_every_failure_is_told_apart(error: Exception, reason: Reason, words: str) -> None:
    failure = await failing(error)
    assert failure.reason is reason
    assert words in failure.message
    assert ORIGIN in failure.message


async def test_a_chain_of_errors_that_bites_its_tail_ends() -> None:
    first, second = httpx.ConnectError("x"), OSError()
    first.__cause__, second.__cause__ = second, first
    assert (await failing(first)).reason is Reason.BROKER_UNREACHABLE


async def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_BODY_BYTES", 2**16)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 2**10

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=endless()))
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(SourceError, match="MiB"):
            await get(client)
    assert sent == 65


async def sent(body: bytes, encoding: str) -> Answer:
    headers = {"Content-Encoding": encoding}
    # A stream, which the transport does not unpack by itself.
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, headers=headers, stream=httpx.ByteStream(body))
    )
    async with httpx.AsyncClient(transport=transport) as client:
        return await get(client)


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", " GZIP "])
async def test_a_packed_answer_is_unpacked(encoding: str) -> None:
    assert (await sent(gzip.compress(b"totals"), encoding)).body == b"totals"
    assert (await sent(b"totals", "identity")).body == b"totals"


async def test_a_small_answer_that_unpacks_to_a_large_one_costs_no_memory() -> None:
    bomb = gzip.compress(bytes(8 * source.MAX_BODY_BYTES))
    tracemalloc.start()
    try:
        with pytest.raises(SourceError, match="MiB"):
            await sent(bomb, "gzip")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * source.MAX_BODY_BYTES


async def test_many_endless_answers_at_once_cost_no_more_memory_than_a_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most, servers = 8 * source.LARGE_BODY_BYTES, 12
    monkeypatch.setattr(source, "MAX_BODY_BYTES", most)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(2**18)
            await asyncio.sleep(0)

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=endless()))
    async with httpx.AsyncClient(transport=transport) as client:
        tracemalloc.start()
        try:
            asked = [get(client) for _ in range(servers)]
            failures = await asyncio.gather(*asked, return_exceptions=True)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert all(isinstance(failure, SourceError) for failure in failures)
    # Each large one is copied once, at its end.
    large = source.MOST_LARGE_BODIES * 3 * most
    assert peak < large + servers * 2 * source.LARGE_BODY_BYTES < servers * most


@pytest.mark.parametrize("encoding", ["gzip, gzip", "deflate", "br", "zstd"])
async def test_a_packing_that_was_not_asked_for_is_refused(encoding: str) -> None:
    with pytest.raises(SourceError, match="not asked for"):
        await sent(gzip.compress(gzip.compress(b"totals")), encoding)


async def test_an_answer_that_is_packed_wrongly_is_a_failure() -> None:
    with pytest.raises(SourceError, match="failed"):
        await sent(b"totals", "gzip")


async def test_an_answer_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "EXCHANGE_SECONDS", 0.2)

    async def trickling() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=trickling()))
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(SourceError, match="did not answer in time"):
            await get(client)


@asynccontextmanager
async def answering(*lines: str) -> AsyncIterator[tuple[str, list[str]]]:
    """Serve the same head to every request; yield the URL and the requests' heads."""
    heads: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(
            "\r\n".join([*lines, "Content-Length: 0", "Connection: close", "", ""]).encode()
        )
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1")
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads


async def test_a_redirect_is_not_followed_and_a_cookie_not_kept() -> None:
    clients = HttpClients()
    async with answering("HTTP/1.1 302 Found", "Location: /", "Set-Cookie: a=b") as (url, heads):
        for _ in range(2):
            answer = await get(clients.get(None), url)
            assert answer.status == 302
    await clients.aclose()
    assert len(heads) == 2
    assert not any("cookie" in head.lower() for head in heads)


class Idle:
    """Serves one request a connection, and closes it as the next one arrives on it."""

    def __init__(self) -> None:
        self.answered = 0
        self.closed: list[str] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.answered += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        with suppress(asyncio.IncompleteReadError):
            again = await reader.readuntil(b"\r\n\r\n")
            self.closed.append(again.split(b" ")[0].decode())
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def closing_idle_connections() -> AsyncIterator[tuple[str, Idle]]:
    idle = Idle()
    server = await asyncio.start_server(idle.handle, "127.0.0.1")
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", idle


async def test_an_answer_that_is_done_with_waits_for_no_collection_of_garbage() -> None:
    """The client's answer and its stream name each other, and there is one in minutes only."""

    def answers() -> int:
        return sum(isinstance(one, httpx.Response) for one in gc.get_objects())

    def hello(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"hello")

    async with httpx.AsyncClient(transport=httpx.MockTransport(hello)) as client:
        gc.collect()
        gc.disable()
        try:
            before = answers()
            assert (await get(client)).body == b"hello"
            assert answers() == before
        finally:
            gc.enable()


async def test_what_an_idle_connection_loses_is_read_again_on_a_new_one() -> None:
    clients = HttpClients()
    async with closing_idle_connections() as (url, idle):
        # As many connections as a reading makes requests at once, all idle and all stale.
        await asyncio.gather(*(get(clients.get(None), url) for _ in range(3)))
        for _ in range(3):
            assert (await get(clients.get(None), url)).status == 200
        await clients.aclose()
    assert idle.closed
    assert set(idle.closed) == {"GET"}
    assert idle.answered == 6


async def test_what_is_no_reading_is_never_sent_twice() -> None:
    clients = HttpClients()
    async with closing_idle_connections() as (url, idle):
        post = Request(url, ORIGIN, Reason.PROVIDER_UNREACHABLE, method="POST")
        await exchange(clients.get(None), post)
        with pytest.raises(SourceError):
            await exchange(clients.get(None), post)
        await clients.aclose()
    assert (idle.answered, idle.closed) == (1, ["POST"])


async def test_a_new_connection_that_breaks_is_not_tried_for_ever() -> None:
    asked = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    clients = HttpClients()
    async with await asyncio.start_server(hang_up, "127.0.0.1") as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(SourceError):
            await get(clients.get(None), url)
        await clients.aclose()
    assert asked == 1


async def test_a_host_that_is_not_allowed_gets_no_request() -> None:
    clients = HttpClients(AllowedHosts(("api.openai.com",)))
    async with answering("HTTP/1.1 200 OK") as (url, heads):
        with pytest.raises(SourceError) as raised:
            await get(clients.get(None), url)
        await clients.aclose()
    assert raised.value.gap.reason is Reason.HOST_NOT_ALLOWED
    assert heads == []


async def test_a_host_that_is_allowed_gets_one() -> None:
    async with answering("HTTP/1.1 200 OK") as (url, heads):
        clients = HttpClients(AllowedHosts((url.removeprefix("http://"),)))
        await get(clients.get(None), url)
        await clients.aclose()
    assert len(heads) == 1


async def test_a_client_is_shared_by_all_who_trust_the_same() -> None:
    clients = HttpClients()
    assert clients.get(None) is clients.get(None)
    await clients.aclose()


@pytest.mark.parametrize(
    "pem", ["", " \n", "hunter2", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "é"]
)
async def test_what_is_no_certificate_is_refused(pem: str) -> None:
    with pytest.raises(SourceError) as raised:
        HttpClients().get(pem)
    assert "hunter2" not in str(raised.value)
