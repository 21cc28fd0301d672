import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from scanpool.models.conditions import Reason
from scanpool.models.observation import KeyUsage
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.spec import Prometheus
from scanpool.sources import prometheus as source
from scanpool.sources.prometheus import read_usage

NOW = 1_000.0
WINDOW_SECONDS = 60


class Server(ThreadingHTTPServer):
    """Answers every query as told, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self, answer: Callable[[str], tuple[int, str]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.queries: list[str] = []
        self.authorizations: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        query = parse_qs(urlsplit(self.path).query)["query"][0]
        self.server.queries.append(query)
        self.server.authorizations.append(self.headers["Authorization"])
        status, body = self.server.answer(query)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(answer: Callable[[str], tuple[int, str]]) -> Iterator[Server]:
    with Server(answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def vector(*values: object, at: float = NOW) -> str:
    return data([{"metric": {"i": str(i)}, "value": [at, v]} for i, v in enumerate(values)])


def data(result: object) -> str:
    return json.dumps({"status": "success", "data": {"resultType": "any", "result": result}})


def read(url: str, token: str | None = None, **config: object) -> Reading[KeyUsage]:
    given = config or {"query": "tokens"}
    return read_usage(
        Prometheus.model_validate({"url": url, **given}),
        "gpt-5.2",
        WINDOW_SECONDS,
        token,
        clock=lambda: NOW,
    )


def reading_of(status: int, body: str) -> Reading[KeyUsage]:
    with serving(lambda _: (status, body)) as server:
        return read(server.url)


@pytest.mark.parametrize(
    ("body", "tokens", "at"),
    [
        (vector("1500.5"), 1_500.5, NOW),
        (vector("0"), 0.0, NOW),
        (vector("7", at=NOW - 100), 7.0, NOW - 100),
        (vector("7", at=NOW + 5), 7.0, NOW),
        (data([NOW, "42"]), 42.0, NOW),
    ],
)
def test_one_number_is_the_use_per_minute(body: str, tokens: float, at: float) -> None:
    assert reading_of(200, body) == Available(KeyUsage(tokens), at, "prometheus")


@pytest.mark.parametrize(
    "body",
    [
        vector("NaN"),
        vector("+Inf"),
        vector("-1"),
        vector("1e13"),
        vector("1", "2"),
        vector("1", at=NOW - 121),
        vector("1", at=float("nan")),
        data([{"metric": {}, "values": [[NOW, "1"]]}]),
        data([{"metric": {}, "value": [NOW, "one"]}]),
        data([NOW, "one"]),
        data("1"),
        data({}),
        data(None),
    ],
)
def test_what_cannot_be_a_rate_is_implausible(body: str) -> None:
    reading = reading_of(200, body)
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.USAGE_IMPLAUSIBLE


@pytest.mark.parametrize(
    ("status", "body", "reason", "words"),
    [
        (200, vector(), Reason.USAGE_NOT_FOUND, "`tokens`"),
        (400, '{"status":"error","error":"parse error: x"}', Reason.PROMETHEUS_QUERY_FAILED,
         "parse error: x"),
        (401, "", Reason.PROMETHEUS_QUERY_FAILED, "HTTP 401"),
        (503, "<html>", Reason.PROMETHEUS_QUERY_FAILED, "HTTP 503"),
        (302, "", Reason.PROMETHEUS_QUERY_FAILED, "HTTP 302"),
        (200, "<html>", Reason.PROMETHEUS_QUERY_FAILED, "not Prometheus"),
        (200, "[]", Reason.PROMETHEUS_QUERY_FAILED, "not Prometheus"),
        (200, "{}", Reason.PROMETHEUS_QUERY_FAILED, "not Prometheus"),
        (200, " " * 2**21, Reason.PROMETHEUS_QUERY_FAILED, "too large"),
    ],
)  # fmt: skip
def test_every_failure_is_told_apart(status: int, body: str, reason: Reason, words: str) -> None:
    reading = reading_of(status, body)
    assert isinstance(reading, Unavailable)
    assert reading.reason is reason
    assert words in reading.message


def test_a_failed_query_is_asked_once() -> None:
    with serving(lambda _: (503, "")) as server:
        read(server.url)
        assert server.queries == ["tokens"]


def test_an_answer_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "ANSWER_SECONDS", -1.0)
    reading = reading_of(200, vector("1"))
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.PROMETHEUS_UNREACHABLE
    assert "in time" in reading.message


@pytest.mark.parametrize(("refused", "expected"), [(vector("30"), 30.0), (vector(), 0.0)])
def test_no_series_of_refused_calls_means_none_were_refused(refused: str, expected: float) -> None:
    with serving(lambda query: (200, refused if query == "refused" else vector("5"))) as server:
        reading = read(server.url, query="tokens", rateLimitedQuery="refused")
    assert reading == Available(KeyUsage(5.0, None, expected), NOW, "prometheus")


def test_a_query_for_refused_calls_that_fails_is_not_zero() -> None:
    with serving(lambda query: (400, "") if query == "refused" else (200, vector("5"))) as server:
        reading = read(server.url, query="tokens", rateLimitedQuery="refused")
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.PROMETHEUS_QUERY_FAILED


def test_a_preset_reads_tokens_and_requests() -> None:
    with serving(lambda query: (200, vector("3" if "_count" in query else "4500"))) as server:
        reading = read(server.url, preset="otel-genai")
    assert reading == Available(KeyUsage(4_500.0, 3.0), NOW, "prometheus")


def test_a_preset_without_a_request_series_reads_tokens_alone() -> None:
    with serving(lambda q: (200, vector() if "_count" in q else vector("4500"))) as server:
        reading = read(server.url, preset="otel-genai")
    assert reading == Available(KeyUsage(4_500.0, None), NOW, "prometheus")


@pytest.mark.parametrize(("token", "sent"), [(None, None), ("abc\n", "Bearer abc")])
def test_only_a_given_token_is_sent(
    token: str | None, sent: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    # requests would take a user and password from here.
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(lambda _: (200, vector("1"))) as server:
        assert isinstance(read(server.url, token), Available)
        assert server.authorizations == [sent]
