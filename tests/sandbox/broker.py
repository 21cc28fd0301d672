"""Messages in the real broker, put there and held by the test itself."""

from types import TracebackType
from typing import Self

import pika
from pika.adapters.blocking_connection import BlockingChannel

from sandbox.patience import until


class Queues:
    """The queues of one vhost. Use as a context manager; what is held then goes back."""

    def __init__(self, amqp_url: str) -> None:
        parameters = pika.URLParameters(amqp_url)
        # A test waits for minutes without a word to the broker.
        parameters.heartbeat = 0
        self._connection = pika.BlockingConnection(parameters)
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def declare(self, *queues: str) -> None:
        for queue in queues:
            self._channel.queue_declare(queue, durable=True)

    def publish(self, queue: str, count: int) -> None:
        """Declare a queue and put messages into it; the broker has them when this returns.

        All at once: a broker that is asked meanwhile would tell of a part, and a pool scale to it.
        """
        self.declare(queue)
        with self._connection.channel() as channel:
            channel.tx_select()
            for _ in range(count):
                channel.basic_publish("", queue, b"scan")
            channel.tx_commit()

    def hold(self, queue: str, count: int) -> None:
        """Take messages and do not acknowledge them, as a worker that is at it."""
        _take(self._channel, queue, count)

    def work_off(self, queue: str, count: int) -> None:
        """Take messages and acknowledge them all at once, as workers that are done."""
        with self._connection.channel() as channel:
            _take(channel, queue, count)
            channel.basic_ack(multiple=True)

    def delete(self, queue: str) -> None:
        self._channel.queue_delete(queue)

    def purge(self, queue: str) -> None:
        self._channel.queue_purge(queue)

    def ready(self, queue: str) -> int:
        """The messages that nobody holds."""
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)


def _take(channel: BlockingChannel, queue: str, count: int) -> None:
    for _ in range(count):
        until("there is a message", lambda: channel.basic_get(queue)[0], lambda: queue)
