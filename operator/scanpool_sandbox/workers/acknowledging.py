"""Acknowledgements that leave when they are due, also from a gevent pool.

Up to Celery 5.6 such a worker queues them until its loop comes round, which waits up to 2 s for
the broker. With late acknowledgements and no prefetching the broker in turn waits for them: tasks
of 50 ms take 2 s each. Celery 5.7 sends them at once, and cannot be installed beside the client of
Kubernetes (it pins python-dateutil to an older version).
"""

from collections.abc import Callable
from typing import Any

from celery import bootsteps

SENT_AT_ONCE = frozenset({"ack_log_error", "reject_log_error"})
"""Methods of a message; each writes one frame to the broker."""


class AcknowledgeAtOnce(bootsteps.StartStopStep):  # type: ignore[misc]
    """Replaces the consumer's way to put off what may not be put off."""

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        put_off = consumer.call_soon

        def call_soon(action: Callable[..., object], *arguments: Any, **named: Any) -> object:
            if getattr(action, "__name__", "") in SENT_AT_ONCE:
                return action(*arguments, **named)
            return put_off(action, *arguments, **named)

        consumer.call_soon = call_soon
