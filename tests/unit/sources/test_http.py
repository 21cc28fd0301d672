import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable
from scanpool.sources import http as source
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
