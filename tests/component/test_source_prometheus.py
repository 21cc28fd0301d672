import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from scanpool.models.conditions import Reason
from scanpool.models.limit_names import limit_names
from scanpool.models.llm import Prometheus
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources.prometheus import read_usage
from scanpool.sources.prometheus_session import Credentials
from scanpool.sources.promql import string_literal
from scanpool_sandbox.openai_provider import OpenAISettings
from scanpool_sandbox.openai_server import OpenAIServer
from scanpool_sandbox.prometheus_server import PrometheusServer

MODEL = "gpt-5.2"
WINDOW_SECONDS = 10
SEEN_WITHIN_SECONDS = 40


async def read(
    server: object, model: str = MODEL, window_seconds: int = WINDOW_SECONDS, **config: object
) -> Reading:
    given = Prometheus.model_validate({"url": server.url, **config})
    limit = limit_names("openai", model)
    return await asyncio.to_thread(
        read_usage, given, limit, window_seconds, Credentials(), clock=time.time
    )


async def call(provider: object, tokens: int, consumer: str = "scan-worker") -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            f"{provider.base_url}/chat/completions",
            json={"model": MODEL, "messages": [], "max_completion_tokens": tokens},
            headers={"Authorization": "Bearer sk-sandbox", "User-Agent": consumer},
        )
    return answer.status_code


async def read_until(
    holds: Callable[[Reading], bool],
    server: object,
    *calls: Callable[[], Awaitable[int]],
    **config: object,
) -> Reading:
    """Make the calls again and again until a reading is as it should be."""
    async with asyncio.timeout(SEEN_WITHIN_SECONDS):
        while True:
            for one in calls:
                await one()
            reading = await read(server, **config)
            if isinstance(reading, Available) and holds(reading.value):
                return reading
            await asyncio.sleep(0.2)


async def test_the_use_of_a_model_as_a_gateway_counts_it(openai_server, prometheus) -> None:
    provider = await openai_server(OpenAISettings())
    server = await asyncio.to_thread(prometheus, {"llm": [provider.address]})

    # No call yet, no series: not known to be zero.
    unknown = await read(server, preset="otel-genai")
    assert isinstance(unknown, Unavailable)
    assert unknown.reason is Reason.USAGE_NOT_FOUND

    reading = await read_until(
        lambda use: use.tokens_per_minute > 0,
        server,
        partial(call, provider, 1_000),
        preset="otel-genai",
    )
    use = reading.value
    # Input and output together make 1,000 tokens a call, whatever the rate was.
    assert use.tokens_per_minute == pytest.approx(1_000 * use.requests_per_minute, rel=0.5)
    # All but one of them are output: the message is empty.
    assert use.output_tokens_per_minute == pytest.approx(0.999 * use.tokens_per_minute)
    assert use.rate_limited_per_minute == 0
    assert use.own_refused_per_minute is None
    # Scraped every second: the reading is that old, not of the moment of the query.
    assert 0 <= time.time() - reading.at < WINDOW_SECONDS
    other = await read(server, model="gpt-other", preset="otel-genai")
    assert isinstance(other, Unavailable)
    assert other.reason is Reason.USAGE_NOT_FOUND

    # A series that no longer grows is a known zero.
    await read_until(lambda use: use.tokens_per_minute == 0, server, preset="otel-genai")


async def test_refused_calls_by_code(openai_server, prometheus) -> None:
    provider = await openai_server(OpenAISettings(tokens_per_minute=100_000, quota_tokens=150_000))
    server = await asyncio.to_thread(prometheus, {"llm": [provider.address]})
    preset = {
        "preset": "otel-genai",
        "ownLabels": [{"name": "consumer", "value": "scan-worker"}],
    }

    limited = await read_until(
        # The other consumer's refusals are counted, and not the pool's.
        lambda use: 0 < use.own_refused_per_minute < use.rate_limited_per_minute,
        server,
        partial(call, provider, 1),
        partial(call, provider, 99_000, "other"),
        partial(call, provider, 99_000),
        **preset,
    )
    use = limited.value
    assert [one.code for one in use.refusals] == ["rate_limit_exceeded"]
    assert use.rate_limited_per_minute == use.refusals[0].per_minute

    provider.provider.set_limits(tokens_per_minute=100_000_000)
    unpaid = await read_until(
        lambda use: [one.code for one in use.refusals] == ["insufficient_quota"],
        server,
        partial(call, provider, 99_000),
        **preset,
    )
    # No rate limit refuses them, and still they were refused.
    assert unpaid.value.rate_limited_per_minute == 0
    assert unpaid.value.own_refused_per_minute > 0


async def test_an_exporter_that_is_gone_shows_its_age_then_nothing(
    prometheus,
) -> None:
    async with OpenAIServer() as provider:
        server = await asyncio.to_thread(prometheus, {"llm": [provider.address]})
        await read_until(
            lambda use: use.tokens_per_minute > 0,
            server,
            partial(call, provider, 1_000),
            preset="otel-genai",
        )
    gone_at = time.time()

    ages, sampled_at = [], []
    async with asyncio.timeout(SEEN_WITHIN_SECONDS):
        while isinstance(reading := await read(server, preset="otel-genai"), Available):
            ages.append(time.time() - reading.at)
            sampled_at.append(reading.at)
            await asyncio.sleep(0.2)
    # It stays of the time of the last scrapes while time goes on.
    assert max(sampled_at) < gone_at + 2
    assert max(ages) > 2
    assert reading.reason is Reason.USAGE_NOT_FOUND


@pytest.mark.parametrize(
    ("age_seconds", "window_seconds", "reason", "words"),
    [
        (5, 60, Reason.USAGE_NOT_FOUND, "no two samples within 60 s"),
        (40, 10, Reason.USAGE_IMPLAUSIBLE, "stale"),
    ],
)
async def test_samples_that_come_no_more(
    prometheus, age_seconds, window_seconds, reason, words
) -> None:
    # As from a gateway that others push to: the sample has its own time, and no end.
    labels = f'gen_ai_token_type="input",gen_ai_request_model="{MODEL}"'
    at = int((time.time() - age_seconds) * 1000)
    text = f"gen_ai_client_token_usage_sum{{{labels}}} 5 {at}\n"

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=text)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    async with TestServer(app) as exporter:
        address = f"127.0.0.1:{exporter.port}"
        server = await asyncio.to_thread(prometheus, {"pushed": [address]})
        async with asyncio.timeout(SEEN_WITHIN_SECONDS):
            while True:
                reading = await read(server, window_seconds=window_seconds, preset="otel-genai")
                assert isinstance(reading, Unavailable)
                if "there are no series" not in reading.message:
                    break
                await asyncio.sleep(0.2)
    assert reading.reason is reason
    assert words in reading.message


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    with PrometheusServer(tmp_path_factory.mktemp("prometheus"), {}) as server:
        yield server


@pytest.mark.parametrize("preset", ["otel-genai", "litellm", "kong"])
@pytest.mark.parametrize("model", [MODEL, '"}) or vector(1) #', "a\\b\n\0é"])
async def test_every_preset_is_valid_for_every_model(empty, preset, model) -> None:
    reading = await read(empty, model=model, preset=preset)
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.USAGE_NOT_FOUND


@pytest.mark.parametrize("text", ["plain", 'a"b\\c\n\t\0', "모델 \U0001f600 \x7f\u2028"])
async def test_prometheus_reads_a_literal_as_it_was_meant(empty, text) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(
            f"{empty.url}/api/v1/query", params={"query": string_literal(text)}
        )
    assert answer.json()["data"]["result"][1] == text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("vector(42)", 42.0),
        ("scalar(vector(42))", 42.0),
        ("vector(0) / 0", Reason.USAGE_IMPLAUSIBLE),
        ("-vector(1)", Reason.USAGE_IMPLAUSIBLE),
        ("label_replace(vector(1), 'a', 'b', '', '') or vector(2)", Reason.USAGE_IMPLAUSIBLE),
        ("'a string'", Reason.USAGE_IMPLAUSIBLE),
        ("nothing", Reason.USAGE_NOT_FOUND),
        ("sum(rate(", Reason.PROMETHEUS_QUERY_FAILED),
        ("x" * 4096, Reason.USAGE_NOT_FOUND),
    ],
)
async def test_a_users_query(empty, query, expected) -> None:
    reading = await read(empty, query=query)
    if isinstance(reading, Available):
        assert reading.value.tokens_per_minute == expected
    else:
        assert reading.reason is expected
        assert len(reading.message) < 600


async def test_prometheus_own_words_explain_a_query_that_fails(empty) -> None:
    reading = await read(empty, query="sum(rate(")
    assert "parse error" in reading.message


async def test_a_prometheus_that_is_down_is_unreachable(unused_tcp_port) -> None:
    config = Prometheus.model_validate(
        {"url": f"http://127.0.0.1:{unused_tcp_port}", "query": "vector(1)"}
    )
    limit = limit_names("openai", MODEL)
    reading = await asyncio.to_thread(
        read_usage, config, limit, WINDOW_SECONDS, Credentials(), clock=time.time
    )
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.PROMETHEUS_UNREACHABLE


async def test_a_prometheus_whose_remote_store_is_away_gives_no_reading(
    tmp_path, unused_tcp_port
) -> None:
    store = f"http://127.0.0.1:{unused_tcp_port}/read"
    server = PrometheusServer(tmp_path, {}, remote_read=[store])
    await asyncio.to_thread(server.start)
    try:
        whole = await read(server, query="vector(1)")
        partial = await read(server, query="vector(1)", rateLimitedQuery="sum(rate(refused[1m]))")
    finally:
        await asyncio.to_thread(server.stop)

    # No store is asked for it.
    assert isinstance(whole, Available)
    # It finds nothing, which is no known zero of refused calls.
    assert isinstance(partial, Unavailable)
    assert partial.reason is Reason.USAGE_PARTIAL
    assert "remote_read" in partial.message
