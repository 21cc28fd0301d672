"""Pools beside a broker that is restarted again and again, as it is for an upgrade of its nodes.

Every two minutes for ten, made shorter: it goes down as soon as all pools are free to decide again.
"""

import secrets
from collections.abc import Iterator
from typing import Any, cast

import pika
import pytest

from sandbox.patience import until
from sandbox.scene import (
    AMQP_URL,
    API_KEY,
    KEY,
    MANAGEMENT_URL,
    PER_REPLICA,
    SECRET,
    Scene,
    llm,
)
from scanpool_sandbox.rabbitmq_server import VHOST, RabbitMQServer
from steady_worker import ACKS_PER_SECOND, QUEUE, SteadyWorker

RESTARTS = 3
WAITING = 45
REPLICAS = 5
"""What so many messages ask for, at ten a replica."""
TOKENS_PER_MESSAGE = 1_000
OWN_TOKENS = ACKS_PER_SECOND * 60 * TOKENS_PER_MESSAGE
OTHERS_TOKENS = 100_000
LIMIT = 1_300_000
"""Feeds eight replicas; only three, if all of the key's use passed for that of others. A worker at
a sixth of its pace, on a busy machine, still leaves room for five."""
WINDOW_SECONDS = 20
"""Samples of a broker on a busy machine are late by more than half of the shortest window."""
KINDS = ("classic", "quorum")
BY_API, BY_AMQP = "by-api", "by-amqp"
PATIENCE_SECONDS = 180.0
"""A restart takes a quarter of a minute, and a broker is believed after half a minute more."""


@pytest.fixture
def broker(tmp_path) -> Iterator[RabbitMQServer]:
    with RabbitMQServer(tmp_path) as server:
        connection = pika.BlockingConnection(pika.URLParameters(server.amqp_url()))
        channel = connection.channel()
        channel.confirm_delivery()
        for kind in KINDS:
            channel.queue_declare(kind, durable=True, arguments={"x-queue-type": kind})
            for _ in range(WAITING):
                channel.basic_publish("", kind, b"x", pika.BasicProperties(delivery_mode=2))
        connection.close()
        yield server


@pytest.fixture
def restarted(stage, broker) -> Iterator[Scene]:
    """A namespace whose Secret leads to that broker; no connection of the test's stays open."""
    scene = Scene(stage, f"scene-{secrets.token_hex(4)}", cast("Any", None))
    urls = {MANAGEMENT_URL: f"{broker.management_url}/{VHOST}", AMQP_URL: broker.amqp_url()}
    scene.create_secret(**urls, **{API_KEY: KEY})
    yield scene
    scene.close()


@pytest.mark.long
def test_no_change_of_replicas_that_the_queues_do_not_ask_for(
    restarted, broker, provider, prometheus_url
) -> None:
    scene = restarted
    queues = [
        {"name": name, "messagesPerReplica": PER_REPLICA, "tokensPerMessage": TOKENS_PER_MESSAGE}
        for name in (*KINDS, QUEUE)
    ]
    worker = SteadyWorker(broker.amqp_url())
    worker.start()
    try:
        # What is measured of the key holds what it uses already.
        until("it is counted", lambda: worker.is_counted(broker.management_url))
        for name in (BY_API, BY_AMQP):
            scene.create_deployment(name, REPLICAS)
        # Nor do few of the replicas pass for those that use all of it.
        for name in (BY_API, BY_AMQP):
            scene.wait_ready(name)
        # A number that never moves would be taken for a gauge that nobody updates.
        query = f"vector({OWN_TOKENS + OTHERS_TOKENS}) + 100 * sin(vector(time()))"
        scene.create_pool(
            BY_API,
            "",
            rabbitmq={
                "managementUrlSecretRef": {"name": SECRET, "key": MANAGEMENT_URL},
                "queues": queues,
            },
            llm=llm(
                provider.base_url,
                tokensPerMinute=LIMIT,
                tokensPerReplicaMinute=OWN_TOKENS // REPLICAS,
                usage={
                    "windowSeconds": WINDOW_SECONDS,
                    "prometheus": {"url": prometheus_url, "query": query},
                },
            ),
        )
        scene.create_pool(
            BY_AMQP,
            "",
            rabbitmq={
                "urlSecretRef": {"name": SECRET, "key": AMQP_URL},
                "queues": [{"name": kind, "messagesPerReplica": PER_REPLICA} for kind in KINDS],
            },
        )
        wait_free(scene)
        assert_unchanged(scene)
        for _ in range(RESTARTS):
            broker.restart()
            wait_free(scene)
            assert_unchanged(scene)
    finally:
        worker.end()
    # They were free to: what the queues ask for still counts at once.
    connection = pika.BlockingConnection(pika.URLParameters(broker.amqp_url()))
    for kind in KINDS:
        connection.channel().queue_purge(kind)
    connection.close()
    for name in (BY_API, BY_AMQP):
        until(
            f"{name} is down at one replica",
            lambda name=name: scene.replicas(name) == 1,
            lambda name=name: scene.status(name),
            PATIENCE_SECONDS,
        )


def assert_unchanged(scene: Scene) -> None:
    for name in (BY_API, BY_AMQP):
        scales = scene.stage.scales(scene.namespace, name)
        assert scales == [REPLICAS], str(scene.status(name)["scalings"])


def wait_free(scene: Scene) -> None:
    """Wait until every pool has made all of its readings, and holds nothing any more."""
    for name in (BY_API, BY_AMQP):
        until(
            f"{name} is ready",
            lambda name=name: (
                scene.condition(name, "Ready").get("status") == "True"
                and scene.status(name).get("limitedBy") != "Hold"
            ),
            lambda name=name: scene.status(name).get("conditions"),
            PATIENCE_SECONDS,
        )
