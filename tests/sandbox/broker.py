"""Messages in the real broker, put there and held by the test itself."""

from types import TracebackType
from typing import Self

import pika

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
        """Declare a queue and put messages into it; the broker has them when this returns."""
        self.declare(queue)
        for _ in range(count):
            self._channel.basic_publish("", queue, b"scan")

    def hold(self, queue: str, count: int) -> None:
        """Take messages and do not acknowledge them, as a worker that is at it."""
        for _ in range(count):
            until("there is a message", lambda: self._channel.basic_get(queue)[0], lambda: queue)

    def work_off(self, queue: str, count: int) -> None:
        """Take messages and acknowledge them, as a worker that is done."""
        for _ in range(count):
            got = until(
                "there is a message", lambda: self._channel.basic_get(queue)[0], lambda: queue
            )
            self._channel.basic_ack(got.delivery_tag)

    def delete(self, queue: str) -> None:
        self._channel.queue_delete(queue)

    def purge(self, queue: str) -> None:
        self._channel.queue_purge(queue)

    def ready(self, queue: str) -> int:
        """The messages that nobody holds."""
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)
