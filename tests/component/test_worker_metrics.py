"""What OpenTelemetry's instrumentation tells of a real worker, read through a real Prometheus."""

import asyncio
import time

import pytest

from celery_worker import DONE_SECONDS, POLL_SECONDS, StartWorker
from scanpool.models.error_codes import is_rate_limit
from scanpool.models.limit_names import limit_names
from scanpool.models.llm import Prometheus
from scanpool.models.observation import KeyUsage
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources.prometheus import read_usage
from scanpool.sources.prometheus_session import Credentials
from scanpool_sandbox.openai_provider import OpenAISettings
from scanpool_sandbox.pipeline import TOKENS_PER_SCAN
from scanpool_sandbox.processes import free_port
from scanpool_sandbox.users import Users

MODEL = "gpt-5.2"
WINDOW_SECONDS = 10
JOB = "scan-worker"


async def read(url: str) -> Reading:
    own = {"name": "job", "value": JOB}
    given = Prometheus.model_validate({"url": url, "preset": "otel-genai", "ownLabels": [own]})
    names = limit_names("openai", MODEL)
    return await asyncio.to_thread(
        read_usage, given, names, WINDOW_SECONDS, Credentials(), clock=time.time
    )


def sees_both_calls(use: KeyUsage) -> bool:
    """Half of a scan's calls see, half answer: whether a window has as many of both."""
    tokens, requests = use.tokens_per_minute, use.requests_per_minute
    return bool(requests) and tokens / requests == pytest.approx(TOKENS_PER_SCAN / 2, rel=0.1)


async def test_the_use_of_a_worker_is_what_the_provider_charges(
    vhost, openai_server, prometheus, start_worker: StartWorker
) -> None:
    provider = await openai_server(OpenAISettings())
    port = str(free_port())
    targets = {JOB: [f"127.0.0.1:{port}"]}
    server = await asyncio.to_thread(prometheus, targets)
    async with Users(vhost.amqp_url) as users:
        start_worker(vhost.amqp_url, provider, OTEL_EXPORTER_PROMETHEUS_PORT=port)
        # A worker that has called nobody has no series: unknown, and not zero.
        assert isinstance(await read(server.url), Unavailable)

        async with asyncio.timeout(DONE_SECONDS):
            while True:
                await users.submit(1)
                await users.wait_all(DONE_SECONDS)
                reading = await read(server.url)
                if isinstance(reading, Available) and sees_both_calls(reading.value):
                    break
        use = reading.value
        # All that is measured is the pool's own; a scrape may come between the two queries.
        assert use.own_tokens_per_minute == pytest.approx(use.tokens_per_minute, rel=0.2)
        assert use.own_requests_per_minute == pytest.approx(use.requests_per_minute, rel=0.2)

        # It counts what the SDK gave up, with the name of its error: what a retry mended, and how
        # often it tried, only the provider knows. The name does not tell a bill from a limit.
        provider.provider.quota.set_remaining(0)
        await users.submit(1)
        async with asyncio.timeout(DONE_SECONDS):
            # The tries of one scan lie seconds apart, and a rate needs two of them.
            while not (
                isinstance(reading := await read(server.url), Available) and reading.value.refusals
            ):
                await asyncio.sleep(POLL_SECONDS)
    (refused,) = reading.value.refusals
    assert refused.code == "openai.RateLimitError"
    assert is_rate_limit(refused.code)
