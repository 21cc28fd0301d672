"""The scan worker and its users, against a real RabbitMQ and the sandbox's provider."""

import asyncio
import json
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pika
import pytest

from celery_worker import StartWorker
from scanpool_sandbox.openai_provider import Latency, OpenAISettings
from scanpool_sandbox.pipeline import (
    DEAD_LETTER_QUEUE,
    RESULTS_QUEUE,
    STEPS,
    TOKENS_PER_SCAN,
    Result,
)
from scanpool_sandbox.rabbitmq_server import RabbitMQServer
from scanpool_sandbox.users import LoadProfile, Users
from scanpool_sandbox.workers.scan_app import new_scan_app

DONE_SECONDS = 60
POLL_SECONDS = 0.02


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DONE_SECONDS):
        while not condition():
            await asyncio.sleep(POLL_SECONDS)


def depths(amqp_url: str) -> dict[str, int]:
    """Ready messages of every queue of the pipeline, dead letters and results included."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    channel = connection.channel()
    queues = [*(step.queue for step in STEPS), RESULTS_QUEUE, DEAD_LETTER_QUEUE]
    counts = {
        queue: channel.queue_declare(queue, passive=True).method.message_count for queue in queues
    }
    connection.close()
    return counts


def publish(amqp_url: str, queue: str, body: bytes) -> None:
    """Put a message into a queue; the broker has it when this returns."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish("", queue, body, pika.BasicProperties(content_type="application/json"))
    connection.close()


async def test_every_scan_goes_through_all_steps_and_costs_what_a_scan_costs(
    vhost, openai_server, start_worker: StartWorker
) -> None:
    server = await openai_server(OpenAISettings())
    async with Users(vhost.amqp_url) as users:
        start_worker(vhost.amqp_url, server)
        await users.submit(20)
        counts = await users.wait_all(DONE_SECONDS)

    assert (counts.submitted, counts.completed, counts.failed) == (20, 20, 0)
    worker = server.provider.state()["consumers"]["scan-worker"]
    assert (worker["calls"], worker["tokens"]) == (40, 20 * TOKENS_PER_SCAN)
    assert set(depths(vhost.amqp_url).values()) == {0}


async def test_only_the_vision_and_the_answer_step_call_an_llm(
    vhost, openai_server, start_worker: StartWorker
) -> None:
    server = await openai_server(OpenAISettings())
    async with Users(vhost.amqp_url) as users:
        start_worker(vhost.amqp_url, server)
        await users.submit(1)
        await users.wait_all(DONE_SECONDS)

    assert [entry.tokens for entry in server.provider.ledger.entries(limit=9)] == [3_000, 1_500]


async def test_it_holds_one_message_per_concurrent_task_of_all_queues_together(
    vhost, openai_server, start_worker: StartWorker
) -> None:
    server = await openai_server(OpenAISettings(latency=Latency(median_seconds=3_600)))
    async with Users(vhost.amqp_url) as users:
        await users.submit(10)
        app = new_scan_app(vhost.amqp_url)
        for _ in range(10):
            app.send_task("scan.answer", ("of nobody",))
        app.close()
        start_worker(vhost.amqp_url, server, concurrency=3)
        await until(lambda: server.provider.state()["accepted"] >= 3)

        assert sum(depths(vhost.amqp_url).values()) == 17


async def test_a_call_is_made_nine_times_before_the_scan_fails_and_is_reported(
    vhost, openai_server, start_worker: StartWorker
) -> None:
    server = await openai_server(OpenAISettings(quota_tokens=0))
    async with Users(vhost.amqp_url) as users:
        start_worker(vhost.amqp_url, server)
        await users.submit(1)
        counts = await users.wait_all(DONE_SECONDS)

    assert (counts.completed, counts.failed) == (0, 1)
    assert counts.reasons == {"scan.vision: insufficient_quota": 1}
    assert server.provider.state()["error_codes"] == {"insufficient_quota": 9}


async def test_a_rate_limited_call_waits_as_told_and_succeeds(
    vhost, openai_server, start_worker: StartWorker
) -> None:
    server = await openai_server(OpenAISettings(tokens_per_minute=120_000))
    async with Users(vhost.amqp_url) as users:
        start_worker(vhost.amqp_url, server, concurrency=1)
        await users.submit(29)
        counts = await users.wait_all(DONE_SECONDS)

    assert (counts.completed, counts.failed) == (29, 0)
    refused = server.provider.state()["rate_limited"]["tokens"]
    assert 0 < refused < 10, "one worker that waits as told is refused once a call at most"


async def test_what_it_cannot_finish_in_the_grace_is_redelivered_and_counted_once(
    vhost, openai_server, start_worker: StartWorker
) -> None:
    server = await openai_server(OpenAISettings(latency=Latency(median_seconds=3_600)))
    other = await openai_server(OpenAISettings())
    async with Users(vhost.amqp_url) as users:
        await users.submit(5)
        stuck = start_worker(vhost.amqp_url, server)
        await until(lambda: server.provider.state()["accepted"] == 4)

        # As the kubelet does: it asks, and kills when the grace is over.
        assert await asyncio.to_thread(partial(stuck.stop, grace_seconds=1.0)) == -signal.SIGKILL
        assert users.counts().in_flight == 5

        start_worker(vhost.amqp_url, other)
        counts = await users.wait_all(DONE_SECONDS)

    assert (counts.completed, counts.failed, counts.duplicates) == (5, 0, 0)


async def test_tasks_in_hand_are_finished_in_the_grace_and_one_more_is_begun_at_most(
    vhost, openai_server, start_worker: StartWorker
) -> None:
    server = await openai_server(OpenAISettings(latency=Latency(median_seconds=2)))
    async with Users(vhost.amqp_url) as users:
        await users.submit(5)
        worker = start_worker(
            vhost.amqp_url,
            server,
            concurrency=1,
        )
        await until(lambda: server.provider.state()["accepted"] == 1)
        # Before that it would leave at once, and its task to others.
        await until(lambda: b"ready." in worker.log_path.read_bytes())

        worker.terminate()
        assert await asyncio.to_thread(worker.wait, DONE_SECONDS) == 0

    # Celery looks up once more after the message that it waits for.
    left, done = depths(vhost.amqp_url), server.provider.state()["calls"]
    assert done in (1, 2)
    assert (left["scan.vision"], left["scan.rule"]) == (5 - done, done)


async def test_a_failure_while_stopping_is_left_to_the_next_worker(
    vhost, openai_server, start_worker: StartWorker
) -> None:
    server = await openai_server(OpenAISettings(quota_tokens=0))
    async with Users(vhost.amqp_url) as users:
        worker = start_worker(vhost.amqp_url, server)
        await users.submit(2)
        await until(lambda: server.provider.state()["calls"] >= 2)

        worker.terminate()
        assert await asyncio.to_thread(worker.wait, DONE_SECONDS) == 0

        assert users.counts().failed == 0
        assert depths(vhost.amqp_url)["scan.vision"] == 2


async def test_a_worker_that_is_killed_among_forty_scans_loses_none(
    vhost, openai_server, start_worker: StartWorker
) -> None:
    server = await openai_server(OpenAISettings(latency=Latency(median_seconds=0.2)))
    async with Users(vhost.amqp_url) as users:
        victim = start_worker(vhost.amqp_url, server)
        await users.submit(40)
        await until(lambda: server.provider.state()["accepted"] >= 20)
        assert victim.kill() == -signal.SIGKILL

        start_worker(vhost.amqp_url, server)
        counts = await users.wait_all(DONE_SECONDS)

    assert (counts.completed, counts.failed) == (40, 0)
    assert set(depths(vhost.amqp_url).values()) == {0}


async def test_a_worker_that_stops_among_forty_scans_loses_none_and_does_none_twice(
    vhost, openai_server, start_worker: StartWorker
) -> None:
    server = await openai_server(OpenAISettings(latency=Latency(median_seconds=0.2)))
    async with Users(vhost.amqp_url) as users:
        first = start_worker(vhost.amqp_url, server)
        await users.submit(40)
        await until(lambda: users.counts().completed >= 5)
        first.terminate()
        start_worker(vhost.amqp_url, server)
        assert await asyncio.to_thread(first.wait, DONE_SECONDS) == 0
        counts = await users.wait_all(DONE_SECONDS)

    assert (counts.completed, counts.failed, counts.duplicates) == (40, 0, 0)
    calls = server.provider.state()["consumers"]["scan-worker"]
    assert (calls["calls"], calls["tokens"]) == (80, 40 * TOKENS_PER_SCAN)
    assert set(depths(vhost.amqp_url).values()) == {0}


async def test_worker_and_users_outlive_a_restart_of_the_broker(
    tmp_path: Path, openai_server, start_worker: StartWorker
) -> None:
    server = await openai_server(OpenAISettings(latency=Latency(median_seconds=0.2)))
    broker = RabbitMQServer(tmp_path)
    await asyncio.to_thread(broker.start)
    try:
        async with Users(broker.amqp_url()) as users:
            worker = start_worker(broker.amqp_url(), server)
            await users.submit(40)
            await until(lambda: users.counts().completed >= 5)

            await asyncio.to_thread(broker.restart)
            await users.submit(1)
            counts = await users.wait_all(DONE_SECONDS)

        assert (counts.completed, counts.failed) == (41, 0)
        assert worker.exit_code is None
    finally:
        broker.kill()


async def test_it_waits_for_a_broker_that_is_not_there_and_still_stops(
    openai_server, start_worker: StartWorker
) -> None:
    server = await openai_server(OpenAISettings())
    worker = start_worker("amqp://nobody:secret@127.0.0.1:1/none", server)
    await until(lambda: b"Trying again" in worker.log_path.read_bytes())

    worker.terminate()

    assert await asyncio.to_thread(worker.wait, DONE_SECONDS) == 0
    assert b"secret" not in worker.log_path.read_bytes()


async def test_a_message_that_is_no_task_is_dead_lettered(
    vhost, openai_server, start_worker: StartWorker
) -> None:
    server = await openai_server(OpenAISettings())
    async with Users(vhost.amqp_url) as users:
        publish(vhost.amqp_url, "scan.vision", b'{"scan_id": "not a task"}')
        start_worker(vhost.amqp_url, server, concurrency=1)
        await users.submit(1)
        await users.wait_all(DONE_SECONDS)

    await until(lambda: depths(vhost.amqp_url)[DEAD_LETTER_QUEUE] == 1)


async def test_a_queue_that_is_deleted_is_declared_again(
    vhost, openai_server, start_worker: StartWorker
) -> None:
    server = await openai_server(OpenAISettings())
    async with Users(vhost.amqp_url) as users:
        start_worker(vhost.amqp_url, server)
        await users.submit(1)
        await users.wait_all(DONE_SECONDS)
        connection = pika.BlockingConnection(pika.URLParameters(vhost.amqp_url))
        connection.channel().queue_delete("scan.rule")
        connection.close()

        await users.submit(1)
        counts = await users.wait_all(DONE_SECONDS)

    assert (counts.completed, counts.failed) == (2, 0)


async def test_a_wait_for_a_broker_that_is_not_there_can_be_given_up() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), Users("amqp://nobody:secret@127.0.0.1:1/none"):
            pass


async def test_a_result_that_comes_twice_counts_once(vhost) -> None:
    async with Users(vhost.amqp_url) as users:
        await users.submit(1)
        connection = pika.BlockingConnection(pika.URLParameters(vhost.amqp_url))
        _, _, task = connection.channel().basic_get("scan.vision", auto_ack=True)
        connection.close()
        (scan_id,), *_ = json.loads(task)
        for _ in range(2):
            publish(vhost.amqp_url, RESULTS_QUEUE, Result(scan_id, "completed").encode())
        await until(lambda: users.counts().duplicates == 1)

        counts = users.counts()
    assert (counts.submitted, counts.completed, counts.in_flight) == (1, 1, 0)


async def test_a_scan_nobody_works_on_stays_in_flight(vhost) -> None:
    async with Users(vhost.amqp_url) as users:
        await users.submit(2)

        with pytest.raises(TimeoutError):
            await users.wait_all(0.1)

        assert users.counts().in_flight == 2


async def test_virtual_users_submit_again_when_a_scan_ends_and_give_up_on_a_slow_one(
    vhost, openai_server, start_worker: StartWorker
) -> None:
    server = await openai_server(OpenAISettings(latency=Latency(median_seconds=0.05)))
    profile = LoadProfile(
        users=3,
        ramp_up_seconds=0.2,
        hold_seconds=2.0,
        ramp_down_seconds=0.2,
        poll_seconds=0.1,
    )
    start_worker(vhost.amqp_url, server)
    async with Users(vhost.amqp_url) as users:
        await users.submit(1)
        await users.wait_all(DONE_SECONDS)  # the worker is up
        await users.run(profile)
        counts = await users.wait_all(DONE_SECONDS)
        assert counts.submitted > 1 + profile.users
        assert (counts.completed, counts.timed_out) == (counts.submitted, 0)
        assert 0 < users.e2e_seconds(50) <= users.e2e_seconds(95)

        server.provider.faults.outage = True
        counts = await users.run(
            LoadProfile(
                users=1,
                ramp_up_seconds=0,
                hold_seconds=1.0,
                ramp_down_seconds=0,
                poll_seconds=0.1,
                timeout_seconds=0.2,
            )
        )
        assert counts.timed_out > 0
