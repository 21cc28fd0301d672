import pytest

from prometheus_stub import NOW, data, serving, vector
from scanpool.models.conditions import Reason
from scanpool.models.limit_names import limit_names
from scanpool.models.llm import Prometheus
from scanpool.models.observation import KeyUsage
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources import prometheus_session
from scanpool.sources.prometheus import read_usage
from scanpool.sources.prometheus_session import Credentials

LIMIT = limit_names("openai", "gpt-5.2")


def read(url: str, token: str | None = None, query: str = "tokens") -> Reading[KeyUsage]:
    config = Prometheus.model_validate({"url": url, "query": query})
    credentials = Credentials(bearer_token=token)
    return read_usage(config, LIMIT, 60, credentials, clock=lambda: NOW)


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
        data([{"metric": {}, "value": "1"}]),
        data([{"metric": {}, "histogram": [NOW, {"count": "1"}]}]),
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
    monkeypatch.setattr(prometheus_session, "READING_SECONDS", -1.0)
    reading = reading_of(200, vector("1"))
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.PROMETHEUS_UNREACHABLE
    assert "in time" in reading.message


def test_a_query_of_any_length_and_text_arrives_as_it_is() -> None:
    query = 'sum(rate(x{a="é&=+%20\\n?#"}[1m]))' * 99
    with serving(lambda _: (200, vector("1"))) as server:
        assert isinstance(read(server.url, query=query), Available)
        assert server.queries == [query]


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
