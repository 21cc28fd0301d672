"""What Celery is told of the broker, for the workers and for those who submit to them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from scanpool_sandbox.workers.acknowledging import AcknowledgeAtOnce

PUBLISH_RETRY = {
    "max_retries": 60,
    "interval_start": 0.1,
    "interval_step": 0.5,
    "interval_max": 2.0,
}
"""Seconds: two minutes in all, longer than a broker takes to restart. For Celery a step that is
done and cannot publish the next one has failed, and the scan would end there."""


@dataclass(frozen=True, slots=True)
class WorkQueue:
    """A durable queue of tasks, which expire into the dead-letter exchange after `ttl_ms`."""

    name: str
    ttl_ms: int


def new_app(
    name: str, work: Iterable[WorkQueue], dead_letters: str, *, broker_url: str | None = None
) -> Celery:
    """Return an application whose tasks are named as their queues.

    Args:
        name: shown in logs.
        work: the queues.
        dead_letters: the exchange for what expired, and for what is no task.
        broker_url: CELERY_BROKER_URL by default, as Celery itself reads it.

    """
    app = Celery(name, broker=broker_url, set_as_current=False)
    queues = [queue(each.name, each.ttl_ms, dead_letters) for each in work]
    app.conf.update(
        task_queues=queues,
        task_routes={each.name: {"queue": each.name} for each in queues},
        # A task is done with when it is done, not when it begins, ...
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # ... what a worker holds no other can take, ...
        worker_prefetch_multiplier=1,
        # ... and the broker has confirmed what follows before a message is acknowledged.
        broker_transport_options={"confirm_publish": True},
        task_publish_retry_policy=PUBLISH_RETRY,
        task_ignore_result=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
    )
    app.steps["consumer"].add(AcknowledgeAtOnce)
    return app


def queue(name: str, ttl_ms: int, dead_letters: str) -> Queue:
    """Return a queue on the default exchange."""
    arguments: dict[str, Any] = {"x-dead-letter-exchange": dead_letters, "x-message-ttl": ttl_ms}
    return Queue(name, Exchange(""), routing_key=name, queue_arguments=arguments)
