"""Queues by pattern, unacked messages and tasks with a countdown, on a real broker."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import httpx
import pika
import pytest

from builders import BROKER, pool, secret, target
from scanpool.decide.assess.queues import backlog
from scanpool.models.broker import Operation, Pattern
from scanpool.models.conditions import Reason
from scanpool.models.reading import Available, Unavailable
from scanpool.models.spec import Queue, RabbitMQ
from scanpool.observe.brokers import Brokers
from scanpool.observe.observer import Observer
from scanpool.observe.shared_reads import SharedReads
from scanpool.sources import matching
from scanpool.sources.broker_access import Access
from scanpool.sources.http import HttpClients

SEEN_WITHIN_SECONDS = 40
WINDOW = 10


@contextmanager
def channel(amqp_url: str) -> Any:
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    try:
        opened = connection.channel()
        opened.confirm_delivery()
        yield opened
    finally:
        connection.close()


def fill(broker: Any, name: str, count: int, **declared: Any) -> None:
    broker.queue_declare(name, **declared)
    for _ in range(count):
        broker.basic_publish("", name, b"x")


@pytest.fixture
async def clients() -> AsyncIterator[HttpClients]:
    clients = HttpClients()
    yield clients
    await clients.aclose()


@pytest.fixture
def broker(vhost, clients) -> Any:
    brokers = Brokers(clients, SharedReads(time.time), lambda *_: None, time.time)
    return brokers.get(Access(vhost.management_url, vhost.name))


async def until(what: Any) -> Any:
    async with asyncio.timeout(SEEN_WITHIN_SECONDS):
        while (found := await what()) is None:
            await asyncio.sleep(0.1)
    return found


async def depth(broker: Any, expression: str, operation: Operation = Operation.SUM) -> Any:
    """Return the messages that are believed of a pattern; else why they are not."""

    async def known() -> Any:
        reading = await broker.depths((Pattern(expression, operation),), 0.0)
        if isinstance(reading, Unavailable):
            return None if reading.reason is Reason.BROKER_RECOVERING else reading.reason
        (one,) = reading.value.depths
        assert one.name == expression
        gaps = {gap.reason for gap in reading.value.gaps}
        return None if gaps == {Reason.BROKER_RECOVERING} else one.messages

    return await until(known)


async def test_the_broker_matches_and_the_operation_joins(vhost, broker, monkeypatch) -> None:
    monkeypatch.setattr(matching, "PAGE_SIZE", 2)
    with channel(vhost.amqp_url) as work:
        for name, count in (("scan.a", 9), ("SCAN.b", 4), ("scan.c/é", 0), ("chat", 50)):
            fill(work, name, count)
        fill(work, "scan.log", 7, durable=True, arguments={"x-queue-type": "stream"})
        fill(work, "scan.reply", 7, exclusive=True)
        work.basic_get("scan.a")

        assert await depth(broker, r"^scan\..*$") == 13
        assert await depth(broker, r"^scan\..*$", Operation.MAX) == 9
        assert await depth(broker, r"^scan\..*$", Operation.AVG) == 5
        assert await depth(broker, r"N\.a$") == 9
        assert await depth(broker, r"^(scan\.a|chat)$") == 59
        assert await depth(broker, "é$") == 0
        assert await depth(broker, "^nothing") is Reason.QUEUE_NOT_FOUND
        assert await depth(broker, "^scan.log$") is Reason.QUEUE_NOT_FOUND
        assert await depth(broker, "(") is Reason.INVALID_SPEC

        # Later ones count, too, and those that are deleted do not.
        fill(work, "scan.later", 6)
        work.queue_delete("scan.a")
        assert await depth(broker, r"^scan\..*$") == 10

        # Beside one that is named, whose messages then count in either.
        reading = await broker.depths(("chat", Pattern("^c", Operation.SUM)), 0.0)
        assert isinstance(reading, Available)
        assert [(one.name, one.messages) for one in reading.value.depths] == [
            ("chat", 50), ("^c", 50),
        ]  # fmt: skip


@pytest.mark.parametrize("others", [0, 150])
async def test_however_many_queues_there_are_the_broker_is_asked_as_often(
    vhost, broker, clients, monkeypatch, others
) -> None:
    """Beside Celery's reply and pidbox queues a pattern is answered from the statistics."""
    asked: list[str] = []

    async def note(request: httpx.Request) -> None:
        asked.append(str(request.url.params))

    monkeypatch.setitem(clients.get(None).event_hooks, "request", [note])
    both = ("scan.0", Pattern("^scan", Operation.SUM))
    with channel(vhost.amqp_url) as work:
        for index in range(others):
            work.queue_declare(f"celery.reply.{index}", exclusive=True)
        for name in ("scan.0", "scan.1"):
            fill(work, name, 5)

        async def known() -> Any:
            asked.clear()
            reading = await broker.depths(both, 0.0)
            if isinstance(reading, Unavailable) or reading.value.gaps:
                return None
            # How many queues there are shows some seconds later.
            totals = [one for one in asked if "enable_queue_totals" in one and "use_regex" in one]
            is_answered_so = len(totals) == (0 if others else 1)
            counted = [one.messages for one in reading.value.depths]
            return (is_answered_so and counted == [5, 10]) or None

        await until(known)
        # Three of the broker, one of the queue that is named, and one of those that match.
        assert len(asked) == 5


async def test_what_is_worked_off_of_all_of_them_is_summed(vhost, broker) -> None:
    with channel(vhost.amqp_url) as work:
        for name in ("scan.a", "scan.b"):
            fill(work, name, 20, arguments={"x-message-ttl": 300_000})
        fill(work, "chat", 20)

        async def summed() -> Any:
            # Acknowledged at every look, so that the window never is without any.
            for name in ("scan.a", "scan.b", "chat"):
                method, _, _ = work.basic_get(name)
                if method is not None:
                    work.basic_ack(method.delivery_tag)
                work.basic_publish("", name, b"x")
            found = await broker.rates(
                ("scan.a", "scan.b", Pattern("^scan", Operation.MAX)), WINDOW
            )
            if isinstance(found, Unavailable):
                return None
            one, other, both = found.value.values()
            unknown = any(isinstance(each, Unavailable) for each in (one, other, both))
            return None if unknown or not one.acked_per_second else (one, other, both)

        one, other, both = await until(summed)
    assert both.name == "^scan"
    # Asked for one after the other, while samples go on coming.
    assert both.acked_per_second == pytest.approx(
        one.acked_per_second + other.acked_per_second, rel=0.5
    )
    assert both.acked_per_second > max(one.acked_per_second, other.acked_per_second)


class Cluster:
    """Holds the one Secret, with the broker's URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def read_secret(self, *_: object) -> object:
        return secret({BROKER: self._url}, BROKER.name)


@pytest.mark.parametrize(("is_left_out", "expected"), [(False, (40, 4)), (True, (0, 0))])
async def test_tasks_that_wait_unacked_in_a_worker_count_once_or_not_at_all(
    vhost, clients, is_left_out, expected
) -> None:
    """As Celery's with a countdown: a worker takes all of them, whatever its prefetch."""
    name = "scan.later"
    spec = pool(
        rabbitmq=RabbitMQ(
            management_url_secret_ref=BROKER,
            vhost=vhost.name,
            queues=(Queue(name=name, exclude_unacknowledged=is_left_out),),
        ),
        polling_interval_seconds=1,
    )
    with channel(vhost.amqp_url) as work, ThreadPoolExecutor(1) as executor:
        work.queue_declare(name)
        work.basic_consume(name, lambda *_: None)
        for _ in range(40):
            work.basic_publish("", name, b"in an hour")
        work.connection.process_data_events()
        cluster = cast("Any", Cluster(vhost.management_url))
        observer = Observer(cluster, cluster, clients, executor, lambda *_: None, time.time)

        async def held() -> Any:
            observation = await observer.observe("scan", spec, target(1), {})
            found = backlog(spec, observation, 1)
            if found is None or observation.queue_gaps or found.queues[0].unacked != 40:
                return None
            return found

        found = await until(held)
        await observer.close()
    assert (found.messages, found.demand.replicas) == expected
    assert found.ready == 0
