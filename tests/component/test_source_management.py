import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import pika
import pytest

from scanpool.models.conditions import Reason
from scanpool.models.reading import Available, Unavailable
from scanpool.sources.broker_access import Access
from scanpool.sources.http import HttpClients
from scanpool.sources.management import read_queues, read_rates

OTHER_NAME = "127.1"
"""Leads to 127.0.0.1, and stands in no certificate."""
SEEN_WITHIN_SECONDS = 30
"""Statistics are emitted every 5 s and cached; on a busy machine later."""


@pytest.fixture
async def clients() -> AsyncIterator[HttpClients]:
    clients = HttpClients()
    yield clients
    await clients.aclose()


@contextmanager
def channel(amqp_url: str) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    try:
        yield connection.channel()
    finally:
        connection.close()


def publish(channel: object, queue: str, count: int) -> None:
    channel.queue_declare(queue)
    channel.confirm_delivery()
    for _ in range(count):
        channel.basic_publish("", queue, b"x")


async def test_ready_and_unacked_of_all_queues_in_one_call(vhost, clients) -> None:
    before = time.time()
    with channel(vhost.amqp_url) as broker:
        publish(broker, "scan.vision", 5)
        publish(broker, "스캔/é ?#", 1)
        broker.queue_declare("empty")
        for _ in range(3):
            broker.basic_get("scan.vision")  # held, not acknowledged

        # Counted by the queues themselves, yet a get without an answer may still be on its way.
        async with asyncio.timeout(SEEN_WITHIN_SECONDS):
            while True:
                access = Access(vhost.management_url, vhost.name)
                reading = await read_queues(clients.get(None), access, clock=time.time)
                assert isinstance(reading, Available)
                if reading.value["scan.vision"].unacked == 3:
                    break

    counts = {name: (one.ready, one.unacked) for name, one in reading.value.items()}
    assert counts == {"scan.vision": (2, 3), "스캔/é ?#": (1, 0), "empty": (0, 0)}
    assert {one.state for one in reading.value.values()} == {"running"}
    assert {one.kind for one in reading.value.values()} == {"classic"}
    assert reading.source == "management"
    assert before <= reading.at <= time.time()


@pytest.mark.parametrize("name", ["a/b", "스캔 é", "%2F", "a?b#c", "api"])
async def test_a_vhost_of_any_name_is_found_by_field_and_by_path(rabbitmq, clients, name) -> None:
    rabbitmq.create_vhost(name)
    try:
        with channel(rabbitmq.amqp_url(name)) as broker:
            publish(broker, "q", 1)
            path = rabbitmq.amqp_url(name).rpartition("/")[2]
            found = [
                await read_queues(clients.get(None), Access(url, field), clock=time.time)
                for url, field in (
                    (rabbitmq.management_url, name),
                    (f"{rabbitmq.management_url}/api", name),
                    (f"{rabbitmq.management_url}/{path}", None if name != "api" else name),
                )
            ]
    finally:
        rabbitmq.delete_vhost(name)
    for reading in found:
        assert isinstance(reading, Available)
        assert set(reading.value) == {"q"}


async def test_without_a_vhost_it_is_the_default_one(rabbitmq, clients) -> None:
    with channel(rabbitmq.amqp_url("/")) as broker:
        broker.queue_declare("in-the-default-vhost", exclusive=True)
        access = Access(rabbitmq.management_url)
        reading = await read_queues(clients.get(None), access, clock=time.time)
    assert isinstance(reading, Available)
    assert "in-the-default-vhost" in reading.value


async def test_rates_are_averages_over_exactly_the_window(vhost, clients) -> None:
    with channel(vhost.amqp_url) as broker:
        broker.queue_declare("scan.rule", arguments={"x-message-ttl": 300_000})
        broker.queue_declare("idle")
        broker.confirm_delivery()
        for _ in range(60):
            broker.basic_publish("", "scan.rule", b"x")
        for _ in range(25):
            method, _, _ = broker.basic_get("scan.rule")
            broker.basic_ack(method.delivery_tag)
        broker.basic_qos(prefetch_count=1)
        for taken, (method, _, _) in enumerate(broker.consume("scan.rule"), start=1):
            broker.basic_ack(method.delivery_tag)
            if taken == 5:
                break
        broker.cancel()

        async def rates(window_seconds: int) -> object:
            access = Access(vhost.management_url, vhost.name)
            reading = await read_rates(clients.get(None), access, window_seconds, clock=time.time)
            assert isinstance(reading, Available)
            return {name: one for name, one in reading.value.items() if one.has_statistics}

        # Before its statistics arrive a queue is not known to be idle.
        assert (await rates(60)).keys() <= {"scan.rule", "idle"}
        async with asyncio.timeout(SEEN_WITHIN_SECONDS):
            while True:
                seen = await rates(60)
                # A sample may fall between two messages, and each queue has its own: the next ones
                # have all of it.
                is_known = seen.keys() == {"scan.rule", "idle"}
                if is_known and seen["scan.rule"].acked_per_second == pytest.approx(30 / 60):
                    break
                await asyncio.sleep(0.2)
        assert seen["scan.rule"].message_ttl_seconds == 300.0
        # One more may have been on its way as the consumer went.
        assert seen["scan.rule"].delivered in (30, 31)
        assert (seen["idle"].acked, seen["idle"].acked_per_second) == (None, None)
        assert seen["idle"].delivered is None
        assert (await rates(600))["scan.rule"].acked_per_second == pytest.approx(30 / 600)

        # After activity stops, it leaves the window and the rate is zero again.
        async with asyncio.timeout(SEEN_WITHIN_SECONDS):
            while True:
                if (await rates(10))["scan.rule"].acked_per_second == 0:
                    break
                await asyncio.sleep(0.2)


async def test_every_refusal_is_told_apart(rabbitmq, vhost, clients) -> None:
    rabbitmq.create_user("no-tag", "p")
    rabbitmq.create_user("no-permission", "p", tags="monitoring")
    url = vhost.management_url
    host = url.rpartition("@")[2]
    amqp_host = vhost.amqp_url.rpartition("@")[2].partition("/")[0]
    cases = [
        (url, "missing", Reason.VHOST_NOT_FOUND),
        (f"http://{rabbitmq.user}:wrong@{host}", vhost.name, Reason.BROKER_AUTHENTICATION_FAILED),
        (f"http://{host}", vhost.name, Reason.BROKER_AUTHENTICATION_FAILED),
        (f"http://no-tag:p@{host}", vhost.name, Reason.BROKER_FORBIDDEN),
        (f"http://no-permission:p@{host}", vhost.name, Reason.BROKER_FORBIDDEN),
        (f"{url}/rabbit", vhost.name, Reason.BROKER_ERROR),
        (f"https://{rabbitmq.user}:x@{host}", vhost.name, Reason.TLS_FAILED),
        (f"http://{rabbitmq.user}:x@{amqp_host}", vhost.name, Reason.BROKER_UNREACHABLE),
    ]
    for given, name, reason in cases:
        reading = await read_queues(clients.get(None), Access(given, name), clock=time.time)
        assert isinstance(reading, Unavailable), given
        assert reading.reason is reason, reading
        assert rabbitmq.password not in reading.message


async def test_a_broker_that_is_down_is_unreachable(unused_tcp_port, clients) -> None:
    url = f"http://u:p@127.0.0.1:{unused_tcp_port}"
    reading = await read_queues(clients.get(None), Access(url), clock=time.time)
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.BROKER_UNREACHABLE
    assert "refuses connections" in reading.message


async def test_tls_needs_the_authority_and_the_name_of_the_certificate(
    tls_rabbitmq, clients
) -> None:
    ca = tls_rabbitmq.ca_path.read_text()
    url, vhost = tls_rabbitmq.management_tls_url, "eco2"

    async def read(client: httpx.AsyncClient, url: str) -> object:
        return await read_queues(client, Access(url, vhost), clock=time.time)

    assert isinstance(await read(clients.get(ca), url), Available)
    assert isinstance(await read(clients.get(f"# Főtanúsítvány\n{ca}"), url), Available)

    untrusted = await read(clients.get(None), url)
    assert isinstance(untrusted, Unavailable)
    assert untrusted.reason is Reason.TLS_FAILED
    assert "caSecretRef" in untrusted.message

    misnamed = await read(clients.get(ca), url.replace("127.0.0.1", OTHER_NAME))
    assert isinstance(misnamed, Unavailable)
    assert misnamed.reason is Reason.TLS_FAILED
    assert "not valid for" in misnamed.message
