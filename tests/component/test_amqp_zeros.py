"""A zero that AMQP shows of a real broker, and whether it is one."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from builders import BROKER, follow, pool, queue, secret, settled, target, think
from scanpool.models.conditions import Reason
from scanpool.models.observation import QueueDepth
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.spec import Behavior, RabbitMQ, ScalingRules
from scanpool.observe.observer import Observer
from scanpool.sources import amqp_count
from scanpool.sources.amqp import read_ready
from scanpool.sources.broker_access import Access
from scanpool.sources.http import HttpClients
from scanpool_sandbox.rabbitmq_server import VHOST, RabbitMQServer

PATIENCE_SECONDS = 90
KINDS = {"classic": {}, "quorum": {"x-queue-type": "quorum"}}
REPLICAS = 5
SINGLE = {"x-single-active-consumer": True}


def read(url: str, *queues: str) -> Reading:
    return read_ready(Access(url), queues, clock=time.time)


@contextmanager
def channel(amqp_url: str) -> Iterator[BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    try:
        yield connection.channel()
    finally:
        connection.close()


class Cluster:
    """Holds the one Secret, with the broker's URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def read_secret(self, *_: object) -> object:
        return secret({BROKER: self._url}, BROKER.name)


@pytest.mark.long
async def test_a_quorum_queue_without_its_majority_is_not_empty(tmp_path: Path) -> None:
    directories = [tmp_path / name for name in ("first", "second")]
    for directory in directories:
        directory.mkdir()
    with (
        RabbitMQServer(directories[0]) as first,
        RabbitMQServer(directories[1], peer=first) as second,
        ThreadPoolExecutor(1) as executor,
    ):
        url = first.amqp_url()
        with channel(second.amqp_url()) as broker:
            broker.confirm_delivery()
            for name, arguments in KINDS.items():
                broker.queue_declare(name, durable=True, arguments=arguments)
                for _ in range(50):
                    broker.basic_publish("", name, b"x", pika.BasicProperties(delivery_mode=2))
        full = {name: QueueDepth(name, ready=50, unacked=None) for name in KINDS}
        assert read(url, *KINDS) == Available(
            full, at=pytest.approx(time.time(), abs=60), source="amqp"
        )

        clients = HttpClients()
        fake = cast("Any", Cluster(url))
        observer = Observer(fake, fake, clients, executor, lambda *_: None, time.time)
        spec = pool(
            rabbitmq=RabbitMQ(url_secret_ref=BROKER, vhost=VHOST, queues=tuple(map(queue, KINDS))),
            behavior=Behavior(scale_down=ScalingRules(stabilization_window_seconds=0)),
            polling_interval_seconds=1,
        )
        second.kill()
        try:
            reading = read(url, *KINDS, "never")
            assert isinstance(reading, Available)
            assert reading.value.keys() == set(KINDS)
            for name in KINDS:
                told = reading.value[name]
                assert isinstance(told, Unavailable)
                assert told.reason is Reason.QUEUE_DOWN
                assert name in told.message

            observation = await observer.observe("scan", spec, target(REPLICAS), {})
            assert isinstance(observation.queues, Unavailable)
            made = think(spec, follow(observation, REPLICAS), settled(REPLICAS), time.time())
            assert made.decision.desired == REPLICAS
        finally:
            await observer.close()
            await clients.aclose()

        second.start()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (reading := read(url, *KINDS)) and isinstance(reading, Available):
                told = dict(reading.value)
                # Neither is ever taken for an empty one on its way back.
                assert all(isinstance(one, Unavailable) or one.ready == 50 for one in told.values())
                if told == full:
                    break
                await asyncio.sleep(0.1)


def test_an_empty_queue_of_any_kind_that_nobody_consumes_is_empty(vhost) -> None:
    kinds = {**KINDS, "single": SINGLE, "quorum-single": {**SINGLE, **KINDS["quorum"]}}
    with channel(vhost.amqp_url) as broker:
        for name, arguments in kinds.items():
            broker.queue_declare(name, durable=True, arguments=arguments)
        reading = read(vhost.amqp_url, *kinds)
    assert isinstance(reading, Available)
    assert reading.value == {name: QueueDepth(name, ready=0, unacked=None) for name in kinds}


def test_a_stream_is_refused_by_name_and_the_others_are_read(vhost) -> None:
    with channel(vhost.amqp_url) as broker:
        broker.queue_declare("log", durable=True, arguments={"x-queue-type": "stream"})
        broker.queue_declare("q")
        reading = read(vhost.amqp_url, "log", "q")
    assert isinstance(reading, Available)
    assert reading.value["log"].reason is Reason.QUEUE_UNSUITABLE
    assert reading.value["q"] == QueueDepth("q", ready=0, unacked=None)


@pytest.mark.parametrize("name", KINDS)
def test_a_message_that_comes_just_then_is_counted_and_given_back(vhost, monkeypatch, name) -> None:
    with channel(vhost.amqp_url) as broker:
        broker.queue_declare(name, durable=True, arguments=KINDS[name])
        broker.confirm_delivery()
        for _ in range(3):
            broker.basic_publish("", name, b"x")
        declare = BlockingChannel.queue_declare

        def lagging(self: object, *args: object, **kwargs: object) -> object:
            told = declare(self, *args, **kwargs)
            told.method.message_count = 0
            return told

        with monkeypatch.context() as patched:
            patched.setattr(BlockingChannel, "queue_declare", lagging)
            reading = read(vhost.amqp_url, name)
        assert reading.value == {name: QueueDepth(name, ready=3, unacked=None)}
        assert read(vhost.amqp_url, name).value == reading.value


def test_who_may_not_read_a_queue_is_told_why_its_zero_is_unknown(rabbitmq, vhost) -> None:
    rabbitmq.create_user("looks-on", "p")
    rabbitmq.permit("looks-on", vhost.name, read="^busy$")
    url = vhost.amqp_url.replace(f"{rabbitmq.user}:{rabbitmq.password}", "looks-on:p")
    with channel(vhost.amqp_url) as broker:
        for name in ("idle", "busy", "consumed"):
            broker.queue_declare(name)
        broker.basic_consume("consumed", lambda *_: None)
        reading = read(url, "idle", "busy", "consumed")
    assert isinstance(reading, Available)
    assert reading.value["idle"].reason is Reason.BROKER_FORBIDDEN
    assert "permission" in reading.value["idle"].message
    for name in ("busy", "consumed"):
        assert reading.value[name] == QueueDepth(name, ready=0, unacked=None)


def test_queues_that_keep_the_tick_waiting_are_unknown_and_not_asked_any_more(
    vhost, monkeypatch
) -> None:
    monkeypatch.setattr(amqp_count, "CHECKS_SECONDS", 0.0)
    with channel(vhost.amqp_url) as broker:
        broker.queue_declare("q")
        reading = read(vhost.amqp_url, "q")
    assert reading.value["q"].reason is Reason.QUEUE_DOWN
    assert "not asked" in reading.value["q"].message
