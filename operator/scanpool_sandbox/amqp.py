"""One AMQP connection with one channel, as coroutines over pika's asyncio adapter.

Nothing here reconnects: when the connection or the channel is lost, every waiting call raises
`ConnectionLostError`, and the broker redelivers what was not acknowledged. The caller connects
anew; see `amqp_link`.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import pika
from pika.adapters.asyncio_connection import AsyncioConnection

from scanpool_sandbox.pipeline import (
    DEAD_LETTER_EXCHANGE,
    DEAD_LETTER_QUEUE,
    RESULTS_QUEUE,
    STEPS,
)

CLOSE_SECONDS = 2.0
"""How long to wait for the broker's goodbye."""


class ConnectionLostError(Exception):
    """The broker is unreachable, refused us, or closed the connection or the channel."""


class UnroutableError(Exception):
    """The broker returned a message: its queue does not exist."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to be acknowledged with `Session.acknowledge`."""

    queue: str
    body: bytes
    tag: int


class Session:
    """A connected channel in confirm mode. Create it with `connect`."""

    def __init__(self, url: str) -> None:
        self._channel: Any = None
        self._consumers: list[str] = []
        self._published = 0
        self._unconfirmed: dict[int, asyncio.Future[None]] = {}
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[Any] = loop.create_future()
        self._lost: asyncio.Future[str] = loop.create_future()
        self._closed = asyncio.Event()
        self._connection = AsyncioConnection(
            pika.URLParameters(url),
            on_open_callback=self._opened.set_result,
            on_open_error_callback=lambda _, error: self._on_closed(error),
            on_close_callback=lambda _, error: self._on_closed(error),
            custom_ioloop=loop,
        )

    @classmethod
    async def connect(cls, url: str, *, prefetch: int) -> Self:
        """Connect, with at most `prefetch` unacknowledged messages for the whole channel.

        Raises:
            ConnectionLostError: if it cannot.

        """
        session = cls(url)
        try:
            await session._or_lost(session._opened)
            await session._open_channel(prefetch)
        except BaseException:
            await session.close()
            raise
        return session

    @property
    def is_lost(self) -> bool:
        """Tell whether the connection or the channel is gone, or about to be."""
        return self._lost.done()

    async def wait_lost(self) -> str:
        """Return why it was lost, once it is."""
        return await asyncio.shield(self._lost)

    async def declare_pipeline(self) -> None:
        """Declare the pipeline's durable queues with their TTLs and the dead-letter exchange.

        Raises:
            ConnectionLostError: also if a queue exists with other arguments.

        """
        channel = self._channel
        await self._call(
            lambda done: channel.exchange_declare(
                DEAD_LETTER_EXCHANGE, "fanout", durable=True, callback=done
            )
        )
        await self.declare_queue(DEAD_LETTER_QUEUE)
        await self._call(
            lambda done: channel.queue_bind(DEAD_LETTER_QUEUE, DEAD_LETTER_EXCHANGE, callback=done)
        )
        for step in STEPS:
            await self.declare_queue(
                step.queue,
                {"x-message-ttl": step.ttl_ms, "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE},
            )
        await self.declare_queue(RESULTS_QUEUE)

    async def declare_queue(self, name: str, arguments: dict[str, Any] | None = None) -> None:
        """Declare a durable queue."""
        await self._call(
            lambda done: self._channel.queue_declare(
                name, durable=True, arguments=arguments, callback=done
            )
        )

    async def consume(self, queue: str, on_message: Callable[[Delivery], None]) -> None:
        """Call `on_message` for each message of `queue` from now on."""

        def deliver(_: object, method: Any, __: object, body: bytes) -> None:
            on_message(Delivery(queue, body, method.delivery_tag))

        def start(done: Callable[[Any], None]) -> None:
            self._consumers.append(self._channel.basic_consume(queue, deliver, callback=done))

        await self._call(start)

    async def stop_consuming(self) -> None:
        """Take no more messages; those already taken are still to be acknowledged.

        Raises:
            ConnectionLostError: if the connection is.

        """
        for tag in self._consumers:
            await self._call(partial(self._channel.basic_cancel, tag))
        self._consumers.clear()

    async def publish(self, queue: str, body: bytes) -> None:
        """Publish a persistent message and return once the broker has taken it.

        Raises:
            ConnectionLostError: if that is not known to have happened.
            UnroutableError: if there is no such queue.

        """
        if self.is_lost:
            raise ConnectionLostError(self._lost.result())
        self._published += 1
        tag = self._published
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unconfirmed[tag] = confirmed
        properties = pika.BasicProperties(
            delivery_mode=pika.DeliveryMode.Persistent.value,
            content_type="application/json",
            message_id=str(tag),
        )
        self._channel.basic_publish("", queue, body, properties, mandatory=True)
        await confirmed

    def acknowledge(self, delivery: Delivery) -> None:
        """Tell the broker that a message is done with.

        If the connection is lost this does nothing: the broker redelivers the message.
        """
        if not self.is_lost:
            self._channel.basic_ack(delivery.tag)

    def dead_letter(self, delivery: Delivery) -> None:
        """Give a message that nobody can handle to the dead-letter exchange."""
        if not self.is_lost:
            self._channel.basic_reject(delivery.tag, requeue=False)

    async def close(self) -> None:
        """Close the connection; what was not acknowledged is redelivered to others."""
        self._lose("closed by us")
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._closed.wait()

    async def _open_channel(self, prefetch: int) -> None:
        opening: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._connection.channel(on_open_callback=opening.set_result)
        await self._or_lost(opening)
        self._channel = channel = opening.result()
        channel.add_on_close_callback(lambda _, error: self._lose(_text(error)))
        channel.add_on_cancel_callback(lambda _: self._lose("a consumed queue was deleted"))
        channel.add_on_return_callback(self._on_returned)
        await self._call(
            lambda done: channel.basic_qos(prefetch_count=prefetch, global_qos=True, callback=done)
        )
        await self._call(lambda done: channel.confirm_delivery(self._on_confirmed, callback=done))

    async def _call(self, start: Callable[[Callable[[Any], None]], object]) -> None:
        """Start an AMQP method and wait for its answer."""
        if self.is_lost:
            raise ConnectionLostError(self._lost.result())
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        start(answered.set_result)
        await self._or_lost(answered)

    async def _or_lost(self, answered: "asyncio.Future[Any]") -> None:
        await asyncio.wait({answered, self._lost}, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            raise ConnectionLostError(self._lost.result())

    def _on_confirmed(self, frame: Any) -> None:
        method = frame.method
        if isinstance(method, pika.spec.Basic.Nack):
            self._lose("the broker refused a message")
            return
        first = min(self._unconfirmed, default=1) if method.multiple else method.delivery_tag
        for tag in range(first, method.delivery_tag + 1):
            confirmed = self._unconfirmed.pop(tag, None)
            if confirmed is not None and not confirmed.done():
                confirmed.set_result(None)

    def _on_returned(self, _: object, method: Any, properties: Any, __: object) -> None:
        confirmed = self._unconfirmed.pop(int(properties.message_id), None)
        if confirmed is not None and not confirmed.done():
            confirmed.set_exception(UnroutableError(method.routing_key))

    def _on_closed(self, error: BaseException) -> None:
        self._closed.set()
        self._lose(_text(error))

    def _lose(self, reason: str) -> None:
        """Give up the session: whatever waits for the broker fails, and the rest is closed."""
        if self.is_lost:
            return
        self._lost.set_result(reason)
        for confirmed in self._unconfirmed.values():
            if not confirmed.done():
                confirmed.set_exception(ConnectionLostError(reason))
        self._unconfirmed.clear()
        if not (self._connection.is_closing or self._connection.is_closed):
            self._connection.close()


def _text(error: object) -> str:
    """Describe pika's errors, some of which have no text of their own."""
    return str(error) or repr(error)
