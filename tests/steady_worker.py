"""A worker that goes on at a steady pace, whatever becomes of its broker."""

import contextlib
import threading

import httpx
import pika
from pika.exceptions import AMQPError

from scanpool_sandbox.rabbitmq_server import VHOST

ACKS_PER_SECOND = 10
QUEUE = "work"
"""A quorum queue, in which next to nothing waits."""


class SteadyWorker(threading.Thread):
    """Publishes and acknowledges until it is told to end, and connects again after each restart."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._ended = threading.Event()

    def end(self) -> None:
        """End it, and wait until it has."""
        self._ended.set()
        self.join()

    def is_counted(self, management_url: str) -> bool:
        """Tell whether the broker has counted its acknowledgements for a while."""
        query = {"msg_rates_age": 10, "msg_rates_incr": 5}
        with httpx.Client(base_url=management_url, trust_env=False) as client:
            told = client.get(f"/api/queues/{VHOST}/{QUEUE}", params=query).json()
        rate = told.get("message_stats", {}).get("ack_details", {}).get("avg_rate", 0.0)
        return bool(rate > ACKS_PER_SECOND / 2)

    def run(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(AMQPError, OSError):
                self._work()
            self._ended.wait(0.2)

    def _work(self) -> None:
        connection = pika.BlockingConnection(pika.URLParameters(self._url))
        channel = connection.channel()
        channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        while not self._ended.wait(1 / ACKS_PER_SECOND):
            channel.basic_publish("", QUEUE, b"x")
            method, _, _ = channel.basic_get(QUEUE)
            if method is not None:
                channel.basic_ack(method.delivery_tag)
        connection.close()
