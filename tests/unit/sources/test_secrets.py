"""No message of a failing read, and no log line, holds a password, key or token."""

import json
import logging
import ssl
from collections.abc import Callable
from io import BytesIO
from typing import Any

import httpx
import pika
import pytest
import requests
from pika.exceptions import (
    AMQPConnectionError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)
from urllib3 import HTTPResponse

from scanpool.models.limit_names import limit_names
from scanpool.models.llm import Prometheus, Provider
from scanpool.models.reading import Available, Unavailable
from scanpool.sources.amqp import read_ready
from scanpool.sources.broker_access import Access
from scanpool.sources.broker_state import read_broker
from scanpool.sources.failures import SourceError
from scanpool.sources.http import HttpClients
from scanpool.sources.identity import Identity
from scanpool.sources.management import read_queue, read_queues, read_rates
from scanpool.sources.openai_admin import read_limits
from scanpool.sources.probe import probe
from scanpool.sources.prometheus import read_usage
from scanpool.sources.prometheus_session import Credentials

SECRET = "s3cr3t-hunter2"
LIMIT = limit_names("openai", "m")


def clock() -> float:
    return 0.0


def echo(status: int) -> httpx.Response:
    """Answer as a careless server does: with everything that it was sent."""
    error = {"message": f"no {SECRET}", "code": f"code-{SECRET}", "type": "", "reason": SECRET}
    return httpx.Response(status, text=json.dumps({"error": error, "reason": f"bad {SECRET}"}))


def refused_tls() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, SECRET)
    error.verify_message = "expired"
    return error


def raising(error: Exception) -> Callable[..., Any]:
    def handler(*_: object, **__: object) -> Any:
        raise error

    return handler


URL_WITH_SECRET = f"http://user:{SECRET}@host/path?x={SECRET}"
HTTP_HANDLERS = {
    **{
        f"HTTP {status}": lambda _, status=status: echo(status)
        for status in (200, 301, 400, 401, 402, 403, 404, 406, 429, 500, 503, 529)
    },
    **{
        type(error).__name__: raising(error)
        for error in (
            httpx.ConnectError(URL_WITH_SECRET),
            httpx.ConnectTimeout(URL_WITH_SECRET),
            httpx.ProxyError(URL_WITH_SECRET),
            httpx.PoolTimeout(URL_WITH_SECRET),
            httpx.LocalProtocolError(f"Illegal header value b'Bearer {SECRET}'"),
            httpx.InvalidURL(URL_WITH_SECRET),
            UnicodeError(URL_WITH_SECRET),
            refused_tls(),
        )
    },
}
BROKEN_URLS = [
    f"{{scheme}}://user:{SECRET}#@host",
    f"{{scheme}}://user:{SECRET}/@host",
    f"{{scheme}}://user:1?{SECRET}@host",
    f"{{scheme}}://user:{SECRET}@[host",
    f"{{scheme}}://user:{SECRET}@host:port",
    f"{{scheme}}://user:{SECRET}@host\n",
    f"{{scheme}}://user:{SECRET}@ho st",
    f"other://user:{SECRET}@host",
    SECRET,
]


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    yield
    assert caplog.get_records("call") == []


def check(reading: object) -> None:
    if isinstance(reading, Available):
        assert SECRET not in repr(reading)
        return
    assert isinstance(reading, Unavailable)
    assert SECRET not in reading.message
    assert "?x" not in reading.message
    assert reading.message.isprintable()


@pytest.mark.parametrize("handler", HTTP_HANDLERS.values(), ids=HTTP_HANDLERS)
async def test_over_http(handler: Callable[[httpx.Request], httpx.Response]) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
        url = f"http://user:{SECRET}@host/"
        for access in (Access(url), Access("http://host", token=SECRET)):
            check(await read_queues(http, access, clock=clock))
            check(await read_queue(http, access, "q", clock=clock))
            check(await read_rates(http, access, 60, clock=clock))
            check(await read_broker(http, access, clock=clock))
        base = "http://host/v1"
        for provider in Provider:
            check(await probe(http, provider, base, None, SECRET, "m", clock=clock))
        check(await read_limits(http, base, SECRET, "proj_1", "m", clock=clock))


@pytest.mark.parametrize("url", BROKEN_URLS)
async def test_in_a_broken_url(url: str) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(raising(OSError()))) as http:
        check(await read_queues(http, Access(url.format(scheme="http")), clock=clock))
        base = url.format(scheme="http")
        for provider in Provider:
            check(await probe(http, provider, base, None, "k", "m", clock=clock))
        check(await read_limits(http, base, "k", "proj_1", "m", clock=clock))
    check(read_ready(Access(url.format(scheme="amqp")), ["q"], clock=clock))


async def test_in_what_should_be_certificates() -> None:
    amqps = f"amqps://u:{SECRET}@127.0.0.1:1"
    shown = Identity(SECRET, SECRET, SECRET)
    for access in (Access(amqps, ca_pem=SECRET), Access(amqps, identity=shown)):
        check(read_ready(access, ["q"], clock=clock))
    with pytest.raises(SourceError, match="clientCertificate") as refused:
        HttpClients().get(None, shown)
    assert SECRET not in str(refused.value)
    with pytest.raises(SourceError, match="PEM") as raised:
        HttpClients().get(SECRET)
    assert SECRET not in str(raised.value)


AMQP_ERRORS = [
    AMQPConnectionError(SECRET),
    ProbableAuthenticationError(f"ConnectionClosedByBroker: (403) 'ACCESS_REFUSED {SECRET}'"),
    ProbableAccessDeniedError(f"ConnectionClosedByBroker: (530) 'NOT_ALLOWED {SECRET}'"),
    ProbableAccessDeniedError(f"StreamLostError: {SECRET}"),
    ConnectionClosedByBroker(320, f"CONNECTION_FORCED {SECRET}"),
    ChannelClosedByBroker(403, f"ACCESS_REFUSED {SECRET}"),
    OSError(SECRET),
    ValueError(SECRET),
    refused_tls(),
]


@pytest.mark.parametrize("error", AMQP_ERRORS, ids=lambda error: type(error).__name__)
def test_over_amqp(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pika, "BlockingConnection", raising(error))
    check(read_ready(Access(f"amqp://user:{SECRET}@host"), ["q"], clock=clock))


PROMETHEUS_ERRORS = [
    requests.ConnectionError(URL_WITH_SECRET),
    requests.Timeout(URL_WITH_SECRET),
    requests.exceptions.SSLError(URL_WITH_SECRET),
    requests.exceptions.InvalidHeader(f"Bearer {SECRET}"),
    requests.exceptions.InvalidURL(URL_WITH_SECRET),
    UnicodeEncodeError("latin-1", SECRET, 0, 1, SECRET),
    OSError(SECRET),
]


@pytest.mark.parametrize("error", PROMETHEUS_ERRORS, ids=lambda error: type(error).__name__)
def test_over_prometheus(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests.Session, "send", raising(error))
    config = Prometheus.model_validate({"url": "http://host", "query": "q"})
    check(read_usage(config, LIMIT, 60, Credentials(bearer_token=SECRET), clock=clock))


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 503])
def test_in_what_prometheus_says(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def get(_: requests.Session, request: requests.PreparedRequest, **__: object) -> object:
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        response = requests.Response()
        response.status_code = status
        body = BytesIO(json.dumps({"error": f"bad {SECRET}"}).encode())
        response.raw = HTTPResponse(body, status=status, preload_content=False)
        return requests.hooks.dispatch_hook("response", request.hooks, response)

    monkeypatch.setattr(requests.Session, "send", get)
    config = Prometheus.model_validate({"url": "http://host", "query": "q"})
    check(read_usage(config, LIMIT, 60, Credentials(bearer_token=SECRET), clock=clock))


@pytest.mark.parametrize("token", [f"{SECRET}\nX: y", f"{SECRET}\u20ac", f"a {SECRET}", ""])
def test_a_token_that_fits_no_header(token: str) -> None:
    config = Prometheus.model_validate({"url": "http://127.0.0.1:1", "query": "q"})
    reading = read_usage(config, LIMIT, 60, Credentials(bearer_token=token), clock=clock)
    check(reading)
    assert "bearerTokenSecretRef" in reading.message
