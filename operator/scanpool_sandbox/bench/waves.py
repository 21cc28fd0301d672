"""Waves of load: messages for some of the pools, and how long it takes until replicas follow."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pika

from scanpool_sandbox.bench.cluster import Bystander
from scanpool_sandbox.bench.objects import PER_REPLICA, Name

SHARE = 10
"""One pool in so many is hit by a wave."""
SECONDS = 60.0
"""A wave that has not arrived by then has not arrived at all."""
RESTING = 1
BUSY = 2
"""Replicas."""


@dataclass
class Delays:
    """Seconds from a change of a queue to the write of replicas, and changes without one."""

    seconds: list[float] = field(default_factory=list)
    missed: int = 0


def declare(amqp_url: str, names: Sequence[Name]) -> None:
    """Declare the queue of each pool; blocks."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        for name in names:
            channel.queue_declare(name.queue)


async def wave(amqp_url: str, bystander: Bystander, names: Sequence[Name], delays: Delays) -> None:
    """Fill the queues of some pools, wait until they grow, empty them, and wait until they shrink.

    Each change of a queue comes at a moment of its own within a polling interval.
    """
    hit = random.sample(list(names), max(len(names) // SHARE, 1))
    for replicas in (BUSY, RESTING):
        changed = await asyncio.to_thread(_change, amqp_url, hit, fill=replicas == BUSY)

        def arrived(replicas: int = replicas) -> bool:
            return all(bystander.replicas.get(name) == replicas for name in hit)

        await bystander.until(arrived, SECONDS)
        for name in hit:
            if bystander.replicas.get(name) == replicas:
                delays.seconds.append(max(bystander.scaled_at[name] - changed[name], 0.0))
            else:
                delays.missed += 1


def _change(amqp_url: str, names: Sequence[Name], *, fill: bool) -> dict[Name, float]:
    """Fill queues, or empty them, over some seconds; tell when each was done."""
    done = {}
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for name in names:
            if fill:
                for _ in range((BUSY - 1) * PER_REPLICA + PER_REPLICA // 2):
                    channel.basic_publish("", name.queue, b"scan")
            else:
                channel.queue_purge(name.queue)
            done[name] = time.monotonic()
            connection.sleep(SPREAD_SECONDS / len(names))
    return done


SPREAD_SECONDS = 10.0
"""A polling interval."""
