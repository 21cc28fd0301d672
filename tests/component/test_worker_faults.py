"""Workers that are killed or stopped in the middle of their work, and brokers that go away.

Where two workers share the work, each has a provider of its own, which tells what it did.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from celery_worker import (
    CONCURRENCY,
    DONE_SECONDS,
    READY,
    AtWork,
    StartWorker,
    depths,
    said,
    until,
)
from scanpool_sandbox.openai_provider import Latency, OpenAISettings
from scanpool_sandbox.openai_server import OpenAIServer
from scanpool_sandbox.pipeline import CONSUMER, SCANS, TOKENS_PER_SCAN
from scanpool_sandbox.rabbitmq_server import RabbitMQServer
from scanpool_sandbox.users import Users
from scanpool_sandbox.workers.app import new_pipeline_app

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORTY = 40
QUICK = OpenAISettings(latency=Latency(median_seconds=0.2))
ENDLESS = OpenAISettings(latency=Latency(median_seconds=3_600))


@pytest_asyncio.fixture(loop_scope="module")
async def new_server() -> AsyncIterator[Callable[[OpenAISettings], Awaitable[OpenAIServer]]]:
    """As `openai_server`, in the loop of the module."""
    async with AsyncExitStack() as stack:

        async def start(settings: OpenAISettings) -> OpenAIServer:
            return await stack.enter_async_context(OpenAIServer(settings))

        yield start


async def test_a_worker_that_is_killed_among_forty_scans_loses_none(
    at_work: AtWork, new_server, start_worker: StartWorker
) -> None:
    at_work.grant(QUICK)
    server = await new_server(QUICK)
    victim = start_worker(at_work.amqp_url, server)
    async with Users(at_work.amqp_url) as users:
        await said(victim, READY)
        await users.submit(FORTY)
        await until(lambda: server.provider.state()["accepted"] > 2 * CONCURRENCY)
        assert victim.kill() == -signal.SIGKILL
        counts = await users.wait_all(DONE_SECONDS)

    assert (counts.completed, counts.failed) == (FORTY, 0)
    assert set(depths(at_work.amqp_url).values()) == {0}


async def test_a_worker_that_stops_among_forty_scans_loses_none_and_does_none_twice(
    at_work: AtWork, new_server, start_worker: StartWorker
) -> None:
    stays = at_work.grant(QUICK)
    server = await new_server(QUICK)
    leaves = start_worker(at_work.amqp_url, server)
    async with Users(at_work.amqp_url) as users:
        await said(leaves, READY)
        await users.submit(FORTY)
        await until(lambda: server.provider.state()["accepted"] > 2 * CONCURRENCY)
        leaves.terminate()
        assert await asyncio.to_thread(leaves.wait, DONE_SECONDS) == 0
        counts = await users.wait_all(DONE_SECONDS)

    assert (counts.completed, counts.failed, counts.duplicates) == (FORTY, 0, 0)
    done = [provider.state()["consumers"][CONSUMER] for provider in (stays, server.provider)]
    assert sum(each["calls"] for each in done) == 2 * FORTY
    assert sum(each["tokens"] for each in done) == FORTY * TOKENS_PER_SCAN
    assert set(depths(at_work.amqp_url).values()) == {0}


async def test_what_it_cannot_finish_in_the_grace_goes_back_to_its_queue(
    new_server, start_worker: StartWorker, vhost
) -> None:
    server = await new_server(ENDLESS)
    stuck = start_worker(vhost.amqp_url, server)
    async with Users(vhost.amqp_url) as users:
        await users.submit(10)
        app = new_pipeline_app(SCANS, vhost.amqp_url)
        for _ in range(10):
            app.send_task("scan.answer", ("of nobody",))
        app.close()
        await until(lambda: server.provider.state()["accepted"] == CONCURRENCY)
        # One message per concurrent task, of all queues together.
        assert sum(depths(vhost.amqp_url).values()) == 20 - CONCURRENCY

        # As the kubelet does: it asks, and kills when the grace is over.
        assert await asyncio.to_thread(partial(stuck.stop, grace_seconds=1.0)) == -signal.SIGKILL
        await until(lambda: sum(depths(vhost.amqp_url).values()) == 20)
        assert users.counts().in_flight == 10


async def test_a_failure_while_stopping_is_left_to_the_next_worker(
    new_server, start_worker: StartWorker, vhost
) -> None:
    server = await new_server(OpenAISettings(quota_tokens=0))
    worker = start_worker(vhost.amqp_url, server)
    async with Users(vhost.amqp_url) as users:
        await users.submit(2)
        await until(lambda: server.provider.state()["calls"] >= 2)

        worker.terminate()
        assert await asyncio.to_thread(worker.wait, DONE_SECONDS) == 0

        assert users.counts().failed == 0
        assert depths(vhost.amqp_url)["scan.vision"] == 2


async def test_worker_and_users_outlive_a_restart_of_the_broker(
    tmp_path: Path, new_server, start_worker: StartWorker
) -> None:
    server = await new_server(QUICK)
    broker = RabbitMQServer(tmp_path)
    await asyncio.to_thread(broker.start)
    try:
        worker = start_worker(broker.amqp_url(), server)
        async with Users(broker.amqp_url()) as users:
            await users.submit(FORTY)
            await until(lambda: users.counts().completed >= 5)

            await asyncio.to_thread(broker.restart)
            await users.submit(1)
            counts = await users.wait_all(DONE_SECONDS)

        assert (counts.completed, counts.reasons) == (FORTY + 1, {})
        assert worker.exit_code is None
    finally:
        broker.kill()


async def test_it_waits_for_a_broker_that_is_not_there_and_still_stops(
    new_server, start_worker: StartWorker
) -> None:
    server = await new_server(QUICK)
    worker = start_worker("amqp://nobody:secret@127.0.0.1:1/none", server)
    await said(worker, b"Trying again")

    worker.terminate()

    assert await asyncio.to_thread(worker.wait, DONE_SECONDS) == 0
    assert b"secret" not in worker.log_path.read_bytes()
