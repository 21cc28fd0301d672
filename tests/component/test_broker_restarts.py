"""A pool beside a broker that restarts again and again: the replicas stay as the queues ask.

The worker is real as far as the broker sees it: it publishes and acknowledges at a steady pace, and
connects again after each restart.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pika
import pytest

from builders import BROKER, follow, llm, memory, pool, queue, secret, seen, target, think
from scanpool.models.llm import Usage
from scanpool.models.observation import KeyUsage
from scanpool.models.spec import Behavior, RabbitMQ, ScalingRules
from scanpool.observe.observer import Observer
from scanpool.sources.http import HttpClients
from scanpool_sandbox.rabbitmq_server import VHOST, RabbitMQServer
from steady_worker import ACKS_PER_SECOND, SteadyWorker

RESTARTS = 3
WAITING = 45
REPLICAS = 5
"""What so many messages ask for, at ten a replica."""
WINDOW_SECONDS = 10
TOKENS_PER_MESSAGE = 1_000
OWN_TOKENS = ACKS_PER_SECOND * 60 * TOKENS_PER_MESSAGE
OTHERS_TOKENS = 100_000
PATIENCE_SECONDS = 90


class Cluster:
    """Holds the one Secret, with the broker's URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def read_secret(self, *_: object) -> object:
        return secret({BROKER: self._url}, BROKER.name)


@pytest.mark.long
async def test_no_change_of_replicas_that_the_queues_do_not_ask_for(tmp_path: Path) -> None:
    names = ("classic", "quorum", "work")
    with RabbitMQServer(tmp_path) as server, ThreadPoolExecutor(1) as executor:
        connection = pika.BlockingConnection(pika.URLParameters(server.amqp_url()))
        channel = connection.channel()
        channel.confirm_delivery()
        for name in ("classic", "quorum"):
            channel.queue_declare(name, durable=True, arguments={"x-queue-type": name})
            for _ in range(WAITING):
                channel.basic_publish("", name, b"x", pika.BasicProperties(delivery_mode=2))
        connection.close()
        rabbitmq = RabbitMQ(
            management_url_secret_ref=BROKER,
            vhost=VHOST,
            queues=tuple(queue(name, tokens=TOKENS_PER_MESSAGE) for name in names),
        )
        spec = pool(
            rabbitmq=rabbitmq,
            max_replicas=20,
            behavior=Behavior(scale_down=ScalingRules(stabilization_window_seconds=0)),
            llm=llm(
                tokens_per_minute=1_200_000,
                tokens_per_replica_minute=OWN_TOKENS // REPLICAS,
                usage=Usage(window_seconds=WINDOW_SECONDS),
            ),
        )
        cluster, clients = Cluster(server.management_url), HttpClients()
        fake = cast("Any", cluster)
        observer = Observer(fake, fake, clients, executor, lambda *_: None, time.time)
        worker = SteadyWorker(server.amqp_url())
        worker.start()
        remembered, unheld = memory(), 0
        replicas: list[int] = []

        async def tick() -> bool:
            """Decide as an operator does that polls twice a second; tell whether it was free to."""
            nonlocal remembered
            current = replicas[-1] if replicas else REPLICAS
            observation = await observer.observe("scan", spec, target(current), 60.0)
            usage = KeyUsage(OWN_TOKENS + OTHERS_TOKENS)
            made = think(
                spec,
                replace(follow(observation, current), usage=seen(usage, time.time())),
                remembered,
                time.time(),
            )
            remembered = made.memory
            replicas.append(made.decision.desired)
            assert made.decision.desired == REPLICAS, (
                made.decision.steps, observation.queues, observation.rates, observation.queue_gaps,
            )  # fmt: skip
            return not made.signals.holds and not made.signals.unseen

        async def until_free() -> None:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await tick():
                    await asyncio.sleep(0.5)

        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                # What is measured of the key holds what it uses already.
                while not await asyncio.to_thread(worker.is_counted, server.management_url):
                    await asyncio.sleep(0.5)
            await until_free()
            for _ in range(RESTARTS):
                restarted = asyncio.create_task(asyncio.to_thread(server.restart))
                while not restarted.done():
                    await tick()
                    await asyncio.sleep(0.5)
                await restarted
                await until_free()
                unheld += 1
        finally:
            worker.end()
            await observer.close()
            await clients.aclose()
    assert unheld == RESTARTS
