"""What consumers of a real broker hold, by tag and address."""

import asyncio
import time
from collections.abc import AsyncIterator

import pika
import pytest

from scanpool.models.conditions import Reason
from scanpool.models.deliveries import Consuming
from scanpool.models.reading import Available, Unavailable
from scanpool.sources.broker_access import Access
from scanpool.sources.deliveries import read_consuming
from scanpool.sources.http import HttpClients

SEEN_WITHIN_SECONDS = 30
"""Statistics are emitted every 5 s and cached; on a busy machine later."""


@pytest.fixture
async def clients() -> AsyncIterator[HttpClients]:
    clients = HttpClients()
    yield clients
    await clients.aclose()


async def test_each_channel_that_consumes_tells_its_tags_its_address_and_what_it_holds(
    vhost, rabbitmq, clients
) -> None:
    access = Access(vhost.management_url, vhost.name)

    async def holds(expected: list[Consuming]) -> None:
        found = None
        async with asyncio.timeout(SEEN_WITHIN_SECONDS):
            while not isinstance(found, Available) or sorted(found.value, key=str) != expected:
                found = await read_consuming(clients.get(None), access, clock=time.time)
                await asyncio.sleep(0.1)

    other = f"{vhost.name}-other"
    rabbitmq.create_vhost(other)
    with (
        pika.BlockingConnection(pika.URLParameters(vhost.amqp_url)) as connection,
        pika.BlockingConnection(pika.URLParameters(rabbitmq.amqp_url(other))) as elsewhere,
    ):
        busy, idle, getting = (connection.channel() for _ in range(3))
        busy.queue_declare("scan")
        for _ in range(5):
            busy.basic_publish("", "scan", b"x")
        busy.basic_qos(prefetch_count=3)
        busy.basic_consume("scan", lambda *_: None, consumer_tag="celery@scan-a")
        busy.basic_consume("scan", lambda *_: None, consumer_tag="also")
        connection.process_data_events(time_limit=1)
        idle.queue_declare("none")
        idle.basic_consume("none", lambda *_: None, consumer_tag="celery@scan-b")
        # One that does not consume, and one of another vhost.
        getting.basic_get("none")
        there = elsewhere.channel()
        there.queue_declare("scan")
        there.basic_consume("scan", lambda *_: None, consumer_tag="celery@scan-c")

        await holds(
            [
                Consuming("127.0.0.1", ("also", "celery@scan-a"), 5),
                Consuming("127.0.0.1", ("celery@scan-b",), 0),
            ]
        )
    rabbitmq.delete_vhost(other)


async def test_a_vhost_that_is_not_there_is_no_idle_one(vhost, clients) -> None:
    found = await read_consuming(
        clients.get(None), Access(vhost.management_url, "no/such"), clock=time.time
    )

    assert isinstance(found, Unavailable)
    assert found.reason is Reason.VHOST_NOT_FOUND
