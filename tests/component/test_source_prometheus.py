import asyncio
import time

import httpx
import pytest

from scanpool.models.conditions import Reason
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.spec import Prometheus
from scanpool.sources.prometheus import read_usage
from scanpool.sources.promql import string_literal
from scanpool_sandbox.openai_provider import OpenAISettings
from scanpool_sandbox.prometheus_server import PrometheusServer

MODEL = "gpt-5.2"
WINDOW_SECONDS = 10
SEEN_WITHIN_SECONDS = 40


async def read(server: object, model: str = MODEL, **config: object) -> Reading:
    given = Prometheus.model_validate({"url": server.url, **config})
    return await asyncio.to_thread(read_usage, given, model, WINDOW_SECONDS, None, clock=time.time)


async def call(provider: object, tokens: int) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            f"{provider.base_url}/chat/completions",
            json={"model": MODEL, "messages": [], "max_completion_tokens": tokens},
            headers={"Authorization": "Bearer sk-sandbox"},
        )
    assert answer.is_success


async def test_the_use_of_a_model_as_a_gateway_counts_it(openai_server, prometheus) -> None:
    provider = await openai_server(OpenAISettings())
    server = await asyncio.to_thread(prometheus, {"llm": [provider.address]})

    # No call yet, no series: not known to be zero.
    unknown = await read(server, preset="otel-genai")
    assert isinstance(unknown, Unavailable)
    assert unknown.reason is Reason.USAGE_NOT_FOUND

    async with asyncio.timeout(SEEN_WITHIN_SECONDS):
        while True:
            await call(provider, 1_000)
            reading = await read(server, preset="otel-genai")
            if isinstance(reading, Available) and reading.value.tokens_per_minute > 0:
                break
            await asyncio.sleep(0.2)
    use = reading.value
    # Input and output together make 1,000 tokens a call, whatever the rate was.
    assert use.tokens_per_minute == pytest.approx(1_000 * use.requests_per_minute, rel=0.5)
    other = await read(server, model="gpt-other", preset="otel-genai")
    assert isinstance(other, Unavailable)
    assert other.reason is Reason.USAGE_NOT_FOUND

    # A series that no longer grows is a known zero.
    async with asyncio.timeout(SEEN_WITHIN_SECONDS):
        while True:
            if (await read(server, preset="otel-genai")).value.tokens_per_minute == 0:
                break
            await asyncio.sleep(0.2)


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
    reading = await asyncio.to_thread(
        read_usage, config, MODEL, WINDOW_SECONDS, None, clock=time.time
    )
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.PROMETHEUS_UNREACHABLE
