"""Those who submit scans, and what they count, against a real RabbitMQ without a worker."""

import asyncio
import json

import pika
import pytest

from celery_worker import publish, until
from scanpool_sandbox.pipeline import RESULTS_QUEUE, Result
from scanpool_sandbox.users import Users


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
