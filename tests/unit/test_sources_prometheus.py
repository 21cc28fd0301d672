import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from scanpool.models.conditions import Reason
from scanpool.models.observation import KeyUsage, Refusals
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.spec import Prometheus
from scanpool.sources import prometheus_api
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
        assert self.path == "/api/v1/query"
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        query = parse_qs(body)["query"][0]
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


def labeled(label: str, values: Mapping[str, object]) -> str:
    return data([{"metric": {label: name}, "value": [NOW, str(v)]} for name, v in values.items()])


def figures(refused: Mapping[str, object] | None = None, **values: object) -> str:
    """Return the answer to a preset's query; the name "" stands for calls that were answered."""
    result = [{"metric": {"figure": name}, "value": [NOW, str(v)]} for name, v in values.items()]
    for code, value in (refused or {}).items():
        metric = {"figure": "refused"} | ({"error_type": code} if code else {})
        result.append({"metric": metric, "value": [NOW, str(value)]})
    return data(result)


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
    monkeypatch.setattr(prometheus_api, "READING_SECONDS", -1.0)
    reading = reading_of(200, vector("1"))
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.PROMETHEUS_UNREACHABLE
    assert "in time" in reading.message


@pytest.mark.parametrize(
    ("refused", "limited", "by_code"),
    [
        (vector(), 0.0, {}),
        (vector("0"), 0.0, {}),
        (vector("30"), 30.0, {"429": 30.0}),
        (data([NOW, "30"]), 30.0, {"429": 30.0}),
        (labeled("code", {"rate_limit_exceeded": 30}), 30.0, {"rate_limit_exceeded": 30.0}),
        (labeled("model", {"gpt-5.2": 30}), 30.0, {"429": 30.0}),
        (
            labeled("code", {"503": 2, "rate_limit_exceeded": 30, "insufficient_quota": 7}),
            30.0,
            {"503": 2.0, "insufficient_quota": 7.0, "rate_limit_exceeded": 30.0},
        ),
    ],
)
@pytest.mark.parametrize("preset", [False, True])
def test_what_a_users_query_finds_of_refused_calls(
    refused: str, limited: float, by_code: dict[str, float], *, preset: bool
) -> None:
    whole = figures({"": 9, "429": 99}, tokens=5, sampled_at=NOW) if preset else vector("5")
    config = {"preset": "otel-genai"} if preset else {"query": "tokens"}
    with serving(lambda query: (200, refused if query == "refused" else whole)) as server:
        reading = read(server.url, rateLimitedQuery="refused", **config)
        assert len(server.queries) == 2
    expected = tuple(Refusals(code, value) for code, value in by_code.items())
    assert isinstance(reading, Available)
    assert reading.value == KeyUsage(5.0, rate_limited_per_minute=limited, refusals=expected)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((400, ""), Reason.PROMETHEUS_QUERY_FAILED),
        ((200, "<html>"), Reason.PROMETHEUS_QUERY_FAILED),
        ((200, vector("NaN")), Reason.USAGE_IMPLAUSIBLE),
        ((200, labeled("code", {"429": "-1"})), Reason.USAGE_IMPLAUSIBLE),
        ((200, vector("1", at=NOW - 121)), Reason.USAGE_IMPLAUSIBLE),
        ((200, labeled("instance", {"a": 1, "b": 2})), Reason.USAGE_IMPLAUSIBLE),
        ((200, data("429")), Reason.USAGE_IMPLAUSIBLE),
    ],
)
def test_a_query_for_refused_calls_that_fails_is_not_zero(
    answer: tuple[int, str], reason: Reason
) -> None:
    with serving(lambda query: answer if query == "refused" else (200, vector("5"))) as server:
        reading = read(server.url, query="tokens", rateLimitedQuery="refused")
    assert isinstance(reading, Unavailable)
    assert reading.reason is reason


def by_preset(body: str, preset: str = "otel-genai", **config: object) -> Reading[KeyUsage]:
    with serving(lambda _: (200, body)) as server:
        reading = read(server.url, preset=preset, **config)
        assert len(server.queries) == 1
    return reading


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        ({"tokens": 4_500}, KeyUsage(4_500.0)),
        ({"tokens": 4_500, "requests": 3}, KeyUsage(4_500.0, 3.0)),
        (
            {"tokens": 4_500, "requests": 3, "output_tokens": 500},
            KeyUsage(4_500.0, 3.0, output_tokens_per_minute=500.0),
        ),
        # Calls are counted, and none was refused.
        ({"tokens": 1, "refused": {"": 3}}, KeyUsage(1.0, rate_limited_per_minute=0.0)),
        (
            {"tokens": 1, "refused": {"rate_limit_exceeded": 0}},
            KeyUsage(1.0, rate_limited_per_minute=0.0),
        ),
        (
            {
                "tokens": 1,
                "refused": {
                    "": 3,
                    "server_error": 1,
                    "RateLimitError": 2,
                    "rate_limit_exceeded": 4,
                    "insufficient_quota": 8,
                    "slow_down": 16,
                },
            },
            KeyUsage(
                1.0,
                rate_limited_per_minute=6.0,
                refusals=(
                    Refusals("RateLimitError", 2.0),
                    Refusals("insufficient_quota", 8.0),
                    Refusals("rate_limit_exceeded", 4.0),
                    Refusals("server_error", 1.0),
                    Refusals("slow_down", 16.0),
                ),
            ),
        ),
    ],
)
def test_a_preset_reads_all_figures_at_once(answer: dict[str, object], usage: KeyUsage) -> None:
    reading = by_preset(figures(**answer, sampled_at=NOW))
    assert reading == Available(usage, NOW, "prometheus")


@pytest.mark.parametrize(
    ("sampled_at", "at"),
    [
        (NOW - 15, NOW - 15),
        (NOW - 120, NOW - 120),
        (NOW + 5, NOW),
        # Somewhere within the window, or there would be no rate.
        (None, NOW - 60),
    ],
)
def test_a_preset_is_as_old_as_its_newest_sample(sampled_at: float | None, at: float) -> None:
    given = {} if sampled_at is None else {"sampled_at": sampled_at}
    assert by_preset(figures(tokens=1, **given)) == Available(KeyUsage(1.0), at, "prometheus")


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        ({}, Reason.USAGE_NOT_FOUND, "there are no series"),
        ({"refused": {"429": 1}}, Reason.USAGE_NOT_FOUND, "there are no series"),
        ({"sampled_at": NOW - 7}, Reason.USAGE_NOT_FOUND, "the newest is 7 s old"),
        ({"sampled_at": NOW - 121}, Reason.USAGE_IMPLAUSIBLE, "stale: their newest sample is 121"),
        ({"tokens": 1, "sampled_at": NOW - 121}, Reason.USAGE_IMPLAUSIBLE, "stale"),
        *(
            ({"tokens": 1, "sampled_at": NOW} | broken, Reason.USAGE_IMPLAUSIBLE, words)
            for broken, words in (
                ({"tokens": "NaN"}, "nan (figure=tokens)"),
                ({"requests": "-1"}, "-1 (figure=requests)"),
                ({"output_tokens": "+Inf"}, "inf (figure=output_tokens)"),
                ({"sampled_at": "NaN"}, "nan"),
                ({"refused": {"a": "NaN"}}, "nan"),
                ({"refused": {"": "NaN"}}, "nan"),
            )
        ),
    ],
)
def test_a_preset_without_fresh_use_is_unavailable(
    answer: dict[str, object], reason: Reason, words: str
) -> None:
    reading = by_preset(figures(**answer))
    assert isinstance(reading, Unavailable)
    assert reading.reason is reason
    assert words in reading.message
    assert len(reading.message) < 600


@pytest.mark.parametrize(
    "result",
    [
        [{"metric": {"figure": "tokens"}, "value": [NOW, "1"]}] * 2,
        [{"metric": {}, "value": [NOW, "1"]}],
        [NOW, "1"],
    ],
)
def test_an_answer_to_another_question_is_implausible(result: object) -> None:
    reading = by_preset(data(result))
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.USAGE_IMPLAUSIBLE


OWN = {"preset": "otel-genai", "ownLabels": [{"name": "job", "value": "scan"}]}
WHOLE = figures({"": 1, "429": 3}, tokens=9, requests=5, output_tokens=4, sampled_at=NOW - 1)


@pytest.mark.parametrize(
    ("whole", "own", "expected"),
    [
        (WHOLE, figures({"": 1, "429": 2, "insufficient_quota": 1, "500": 9},
                        tokens=6, requests=3, output_tokens=2, sampled_at=NOW - 30),
         (6.0, 3.0, 2.0, 3.0)),
        # It has made no call yet.
        (WHOLE, vector(), (0.0, 0.0, 0.0, 0.0)),
        # What is not counted for all is not known for it.
        (figures(tokens=9, sampled_at=NOW - 1), figures(tokens=6), (6.0, None, None, None)),
    ],
)  # fmt: skip
def test_the_pools_part_is_what_has_its_labels(
    whole: str, own: str, expected: tuple[float | None, ...]
) -> None:
    with serving(lambda q: (200, own if 'job="scan"' in q else whole)) as server:
        reading = read(server.url, **OWN)
        assert len(server.queries) == 2
    assert isinstance(reading, Available)
    use = reading.value
    assert reading.at == NOW - 1
    assert use.tokens_per_minute == 9.0
    assert expected == (
        use.own_tokens_per_minute,
        use.own_requests_per_minute,
        use.own_output_tokens_per_minute,
        use.own_refused_per_minute,
    )


@pytest.mark.parametrize("answer", [(503, ""), (200, figures(tokens="NaN"))])
def test_a_part_that_cannot_be_read_is_not_zero(answer: tuple[int, str]) -> None:
    with serving(lambda q: answer if 'job="scan"' in q else (200, WHOLE)) as server:
        assert isinstance(read(server.url, **OWN), Unavailable)


def test_without_own_labels_the_pools_part_is_unknown() -> None:
    reading = by_preset(WHOLE)
    assert isinstance(reading, Available)
    assert reading.value.own_tokens_per_minute is None
    assert reading.value.own_refused_per_minute is None


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
