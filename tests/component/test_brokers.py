"""What pools are told of a real broker that restarts, loses a node, or counts nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pika
import pytest

from scanpool.models.conditions import Reason
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.observe.brokers import Brokers, SeenQueues
from scanpool.observe.queue_belief import SETTLE_SECONDS
from scanpool.observe.shared_reads import SharedReads
from scanpool.sources.broker_access import Access
from scanpool.sources.http import HttpClients
from scanpool_sandbox.rabbitmq_files import Extras
from scanpool_sandbox.rabbitmq_server import VHOST, RabbitMQServer

WINDOW = 10
PATIENCE_SECONDS = 90
KINDS = {"classic": {}, "quorum": {"x-queue-type": "quorum"}}


class Watch:
    """Reads a broker anew each time, as an operator does that polls it."""

    def __init__(self, url: str) -> None:
        self._clients = HttpClients()
        self._brokers = Brokers(self._clients, SharedReads(time.time), lambda *_: None, time.time)
        self.access = Access(url, VHOST)

    async def depths(self, *names: str) -> Reading[SeenQueues]:
        return await self._brokers.get(self.access).depths(names, 0.0)

    async def rates(self, *names: str) -> object:
        return await self._brokers.get(self.access).rates(names, WINDOW)

    def on_request(self, hook: Callable[[httpx.Request], Awaitable[None]]) -> None:
        self._clients.get(None).event_hooks["request"].append(hook)

    async def close(self) -> None:
        await self._clients.aclose()


@contextmanager
def channel(url: str) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        yield connection.channel()
    finally:
        connection.close()


def fill(broker: object, queue: str, arguments: dict[str, str], count: int = 50) -> None:
    broker.queue_declare(queue, durable=True, arguments=arguments)
    broker.confirm_delivery()
    for _ in range(count):
        broker.basic_publish("", queue, b"x", pika.BasicProperties(delivery_mode=2))


async def until(what: Callable[[], object]) -> object:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := await what()):
            await asyncio.sleep(0.1)
    return found


def believed(reading: Reading[SeenQueues]) -> dict[str, int]:
    """Return the messages of the queues that are believed; a doubt is no belief."""
    if isinstance(reading, Unavailable) or reading.value.gaps:
        return {}
    return {one.name: one.messages for one in reading.value.depths}


@pytest.fixture
async def watching() -> AsyncIterator[Callable[[str], Watch]]:
    made: list[Watch] = []

    def start(url: str) -> Watch:
        made.append(Watch(url))
        return made[-1]

    yield start
    for one in made:
        await one.close()


@pytest.mark.long
async def test_a_restart_makes_no_queue_empty_and_no_rate_zero(
    tmp_path: Path, watching: Callable[[str], Watch]
) -> None:
    with RabbitMQServer(tmp_path) as server:
        with channel(server.amqp_url()) as broker:
            for name, arguments in KINDS.items():
                fill(broker, name, arguments)
                for _ in range(5):
                    method, _, _ = broker.basic_get(name)
                    broker.basic_ack(method.delivery_tag)
        watch, full = watching(server.management_url), dict.fromkeys(KINDS, 45)

        async def is_full() -> bool:
            return believed(await watch.depths(*KINDS)) == full

        await until(is_full)
        restarted = asyncio.create_task(asyncio.to_thread(server.restart))
        came_back = 0.0
        seen_unsettled = False

        async def has_settled() -> bool:
            nonlocal came_back, seen_unsettled
            reading = await watch.depths(*KINDS)
            rates = await watch.rates(*KINDS)
            if isinstance(reading, Available):
                came_back = came_back or (time.monotonic() if restarted.done() else 0.0)
                seen_unsettled |= any(one.messages == 0 for one in reading.value.depths)
            depths = believed(reading)
            assert depths in ({}, full)
            if isinstance(rates, Available):
                assert all(
                    isinstance(one, Unavailable) or one.acked_per_second == 0.0
                    for one in rates.value.values()
                )
            return restarted.done() and depths == full and came_back > 0

        await until(has_settled)
        await restarted
        # The quorum queue did show an empty one meanwhile, which nobody believed.
        assert seen_unsettled
        assert time.monotonic() - came_back >= SETTLE_SECONDS - 5


@pytest.mark.long
async def test_of_two_nodes_one_is_killed(tmp_path: Path, watching: Callable[[str], Watch]) -> None:
    directories = [tmp_path / name for name in ("first", "second")]
    for directory in directories:
        directory.mkdir()
    with (
        RabbitMQServer(directories[0]) as first,
        RabbitMQServer(directories[1], peer=first) as second,
    ):
        with channel(first.amqp_url()) as broker:
            fill(broker, "here", {})
        with channel(second.amqp_url()) as broker:
            for name, arguments in KINDS.items():
                fill(broker, name, arguments)
        watch, names = watching(first.management_url), ("here", *KINDS)

        async def is_full() -> bool:
            return believed(await watch.depths(*names)) == dict.fromkeys(names, 50)

        await until(is_full)
        second.kill()

        async def is_told() -> bool:
            reading = await watch.depths(*names)
            depths = {} if isinstance(reading, Unavailable) else reading.value.depths
            gone = {"classic", "quorum"} - {one.name for one in depths}
            return gone == set(KINDS)

        await until(is_told)
        for name in KINDS:
            reading = await watch.depths(name)
            assert isinstance(reading, Unavailable)
            assert reading.reason is Reason.QUEUE_DOWN
            assert name in reading.message
        reading = await watch.depths(*names)
        assert isinstance(reading, Available)
        assert [(one.name, one.messages) for one in reading.value.depths] == [("here", 50)]
        assert Reason.QUEUE_DOWN in {gap.reason for gap in reading.value.gaps}
        missing = await watch.depths("here", "never declared")
        assert isinstance(missing, Available)
        assert Reason.QUEUE_NOT_FOUND in {gap.reason for gap in missing.value.gaps}

        # Two hosts are named: the one that is left is asked.
        both = watching(f"{second.management_url};{first.management_url}")
        assert isinstance(await both.depths("here"), Available)

        second.start()
        await until(is_full)


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "reason", "words"),
    [
        ({"management.rates_mode": "none"}, Reason.STATISTICS_OFF, "management.rates_mode"),
        ({"management.disable_stats": "true"}, Reason.STATISTICS_OFF, "management.disable_stats"),
        (
            {"management_agent.disable_metrics_collector": "true"},
            Reason.STATISTICS_OFF,
            "disable_metrics_collector",
        ),
        ({"collect_statistics_interval": "30000"}, None, ""),
    ],
)
async def test_settings_that_keep_statistics_away_are_named_and_depths_are_read(
    tmp_path: Path,
    watching: Callable[[str], Watch],
    settings: dict[str, str],
    reason: Reason | None,
    words: str,
) -> None:
    with RabbitMQServer(tmp_path, extras=Extras(settings)) as server:
        with channel(server.amqp_url()) as broker:
            fill(broker, "classic", {})
            fill(broker, "stream", {"x-queue-type": "stream"})
            broker.queue_declare("mine", exclusive=True)
            watch = watching(server.management_url)

            async def is_full() -> bool:
                return believed(await watch.depths("classic")) == {"classic": 50}

            await until(is_full)
            for name in ("stream", "mine"):
                unsuitable = await watch.depths(name)
                assert isinstance(unsuitable, Unavailable)
                assert unsuitable.reason is Reason.QUEUE_UNSUITABLE

            async def is_judged() -> object:
                found = await watch.rates("classic")
                one = found.value["classic"] if isinstance(found, Available) else None
                passing = (Reason.BROKER_RECOVERING, Reason.STATISTICS_NOT_FOUND)
                is_passing = isinstance(one, Unavailable) and one.reason in passing
                return None if is_passing else one

            one = await until(is_judged)
        if reason is None:
            assert one.acked_per_second == 0.0
        else:
            assert one.reason is reason
            assert words in one.message


@pytest.mark.long
async def test_an_alarm_that_blocks_publishers_is_told_and_depths_stay(
    tmp_path: Path, watching: Callable[[str], Watch]
) -> None:
    with RabbitMQServer(tmp_path) as server:
        with channel(server.amqp_url()) as broker:
            fill(broker, "classic", {})
        watch = watching(server.management_url)
        raised = {"vm_memory_high_watermark.absolute": "1MB"}
        server.stop()
        server.configure(Extras(raised))
        server.start()

        async def reasons() -> object:
            reading = await watch.depths("classic")
            if isinstance(reading, Unavailable):
                return None
            assert [one.messages for one in reading.value.depths] == [50]
            gaps = reading.value.gaps
            return gaps if any(gap.reason is Reason.BROKER_ALARM for gap in gaps) else None

        (gap,) = await until(reasons)
        assert "memory" in gap.message


async def test_of_a_large_vhost_only_the_pools_queues_are_asked_for(
    rabbitmq: RabbitMQServer, watching: Callable[[str], Watch]
) -> None:
    """As one with Celery's reply and pidbox queues."""
    watch = watching(rabbitmq.management_url)
    others = [f"celery.reply.{index}" for index in range(300)]
    with channel(rabbitmq.amqp_url()) as broker:
        fill(broker, "scan/vision ü", {}, 7)
        for name in others:
            broker.queue_declare(name, exclusive=True)

        asked: list[str] = []

        async def note(request: httpx.Request) -> None:
            asked.append(request.url.raw_path.decode().partition("?")[0])

        watch.on_request(note)

        async def is_seen() -> bool:
            return believed(await watch.depths("scan/vision ü")) == {"scan/vision ü": 7}

        await until(is_seen)
        rates = await watch.rates("scan/vision ü")
        missing = await watch.depths("scan/gone")
        broker.queue_delete("scan/vision ü")
    assert isinstance(rates, Available)
    assert isinstance(missing, Unavailable)
    assert missing.reason is Reason.QUEUE_NOT_FOUND
    assert "/api/queues/eco2/scan%2Fvision%20%C3%BC" in asked
    # Only a queue that is not there takes a page, which tells that its vhost is.
    assert asked.count("/api/queues/eco2") == 1


@pytest.mark.parametrize("name", ["scan/vision", "/", "ü/(a+b)?"])
async def test_a_proxy_that_decodes_slashes_hides_no_queue_of_a_large_vhost(
    rabbitmq: RabbitMQServer, watching: Callable[[str], Watch], name: str
) -> None:
    """The broker answers that the path does not exist, in the words that it has for a queue."""
    watch = watching(rabbitmq.management_url)

    async def decode(request: httpx.Request) -> None:
        raw = request.url.raw_path
        path, _, query = raw.partition(b"?")
        request.url = request.url.copy_with(raw_path=path.replace(b"%2F", b"/") + b"?" + query)

    watch.on_request(decode)
    with channel(rabbitmq.amqp_url()) as broker:
        fill(broker, name, {}, 7)
        for index in range(60):
            broker.queue_declare(f"celery.reply.{index}", exclusive=True)

        async def is_large() -> object:
            found = await watch.depths(name)
            return isinstance(found, Unavailable) and found

        told = await until(is_large)
        broker.queue_delete(name)
    assert isinstance(told, Unavailable)
    assert told.reason is Reason.BROKER_ERROR
    assert "a proxy before the management API decodes %2F" in told.message
