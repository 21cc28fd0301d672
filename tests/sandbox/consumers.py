"""Consumers that are known by their pods' names, as Celery's are, and what they hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pika

from sandbox.scene import AMQP_URL, MANAGEMENT_URL, Scene


class Consumer:
    """A consumer of one message at a time, named as a pod."""

    def __init__(self, connection: pika.BlockingConnection, queue: str, name: str) -> None:
        self.channel = connection.channel()
        self.tags: list[int] = []
        self.channel.basic_qos(prefetch_count=1)
        self.channel.basic_consume(queue, self._take, consumer_tag=f"celery@{name}")

    def _take(self, _channel: Any, method: Any, _properties: Any, _body: bytes) -> None:
        self.tags.append(method.delivery_tag)

    def work_off(self) -> None:
        self.channel.basic_ack(self.tags[-1])


@contextmanager
def connected(scene: Scene) -> Iterator[pika.BlockingConnection]:
    parameters = pika.URLParameters(scene.secret(AMQP_URL))
    parameters.heartbeat = 0
    with pika.BlockingConnection(parameters) as connection:
        yield connection


def pod_names(scene: Scene) -> list[str]:
    listed = scene.kube.get(f"/api/v1/namespaces/{scene.namespace}/pods")["items"]
    return sorted(
        pod["metadata"]["name"] for pod in listed if not pod["metadata"].get("deletionTimestamp")
    )


def held(scene: Scene) -> int:
    """The messages that consumers of the vhost hold, as the broker's statistics have it."""
    url = httpx.URL(scene.secret(MANAGEMENT_URL))
    vhost = url.raw_path.decode().rpartition("/")[2]
    path = f"/api/vhosts/{vhost}/channels".encode()
    channels = httpx.get(url.copy_with(raw_path=path), trust_env=False).raise_for_status().json()
    return sum(one.get("messages_unacknowledged", 0) for one in channels)
