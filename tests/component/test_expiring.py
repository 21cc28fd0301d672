"""Times to live of a real broker, and the warning before it drops what waits for longer."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import quote

import httpx
import pika
import pytest

from builders import BROKER, llm, pool, queue, secret, settled, target, think
from scanpool.models.conditions import ConditionType, Reason
from scanpool.models.llm import Usage
from scanpool.models.spec import RabbitMQ
from scanpool.observe.observer import Observer
from scanpool.report.conditions import ConditionState, of_tick
from scanpool.sources.http import HttpClients

SEEN_WITHIN_SECONDS = 150
QUEUE = "scan.rule"
HOUR = 3_600_000
FIVE_MINUTES = 300_000
WINDOW_SECONDS = 10
LIMITED = {"llm": llm(usage=Usage(window_seconds=WINDOW_SECONDS))}
BY_POLICY = {"policies": FIVE_MINUTES}
BY_BOTH = {"policies": HOUR, "operator-policies": FIVE_MINUTES}


class Cluster:
    """Holds the one Secret, with the broker's URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def read_secret(self, *_: object) -> object:
        return secret({BROKER: self._url}, BROKER.name)


@contextmanager
def filled(amqp_url: str, arguments: Mapping[str, Any], count: int) -> Iterator[Callable[[], None]]:
    """Put messages into the queue, and yield what works one of them off and adds another."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare(QUEUE, arguments=arguments)
    for _ in range(count):
        channel.basic_publish("", QUEUE, b"x")

    def work() -> None:
        method, _, _ = channel.basic_get(QUEUE)
        channel.basic_ack(method.delivery_tag)
        channel.basic_publish("", QUEUE, b"x")

    try:
        yield work
    finally:
        connection.close()


@pytest.fixture
async def clients() -> AsyncIterator[HttpClients]:
    clients = HttpClients()
    yield clients
    await clients.aclose()


@pytest.mark.parametrize(
    ("argument", "policies", "waiting", "limits", "status", "reason", "words"),
    [
        # Some messages a second: an hour is enough for ten of them, five minutes are not for 6,000.
        (HOUR, {}, 10, LIMITED, "False", Reason.MESSAGES_IN_TIME, "after 3,600 s"),
        (HOUR, BY_POLICY, 10, LIMITED, "False", Reason.MESSAGES_IN_TIME, "after 300 s"),
        (HOUR, BY_POLICY, 6_000, LIMITED, "True", Reason.BACKLOG_OUTLASTS_TTL, "the 300 s"),
        (None, {}, 6_000, LIMITED, "False", Reason.MESSAGES_IN_TIME, "no queue lets messages"),
        # Whether the workers call a provider is nothing to the broker.
        (HOUR, BY_BOTH, 6_000, {}, "True", Reason.BACKLOG_OUTLASTS_TTL, "the 300 s"),
    ],
)
async def test_a_backlog_is_told_of_before_the_shortest_time_to_live_takes_it(
    vhost, clients, argument, policies, waiting, limits, status, reason, words
) -> None:
    for kind, milliseconds in policies.items():
        path = f"/api/{kind}/{quote(vhost.name, safe='')}/short"
        definition = {"message-ttl": milliseconds}
        body = {"pattern": "^scan", "definition": definition, "apply-to": "queues"}
        async with httpx.AsyncClient(base_url=vhost.management_url, trust_env=False) as http:
            (await http.put(path, json=body)).raise_for_status()
    spec = pool(
        rabbitmq=RabbitMQ(
            management_url_secret_ref=BROKER, vhost=vhost.name, queues=(queue(QUEUE, tokens=1),)
        ),
        **limits,
        polling_interval_seconds=1,
    )
    arguments = {} if argument is None else {"x-message-ttl": argument}
    with filled(vhost.amqp_url, arguments, waiting) as work, ThreadPoolExecutor(1) as executor:
        cluster = cast("Any", Cluster(vhost.management_url))
        observer = Observer(cluster, cluster, clients, executor, lambda *_: None, time.time)

        async def told() -> ConditionState | None:
            work()
            observation = await observer.observe("scan", spec, target(1), {})
            made = think(spec, observation, settled(1, time.time()), time.time())
            known = made.signals.expiries
            # The policy and the pace show some seconds later.
            ttl = min(policies.values(), default=argument)
            if known is None or (ttl and not any(one.seconds == ttl / 1e3 for one in known)):
                return None
            if waiting > 10 and any(not one.acked_per_second for one in known):
                return None
            found = of_tick(spec, made.signals, made.decision, None)
            return found[ConditionType.MESSAGES_EXPIRING]

        async with asyncio.timeout(SEEN_WITHIN_SECONDS):
            while (state := await told()) is None:
                await asyncio.sleep(0.2)
        await observer.close()
    assert (state.status, state.reason) == (status, reason)
    assert words in state.message
