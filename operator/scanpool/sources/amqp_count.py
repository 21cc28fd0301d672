"""The ready messages of one queue after another by AMQP, and no zero that the queue does not mean.

A passive declaration tells 0 messages and 0 consumers of a quorum queue that has lost its majority,
or that has no leader yet, as it does of one that is empty (measured on 3.10). Only the queue itself
knows: it is asked for a message, and gives back the one that may just have come.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import IntEnum
from types import TracebackType
from typing import Final, Self

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionClosedByBroker

from scanpool.models.conditions import Reason
from scanpool.models.observation import QueueDepth
from scanpool.models.reading import Unavailable
from scanpool.models.units import Clock
from scanpool.sources.failures import queue_down, stream_refused
from scanpool.sources.text import quoted

MAX_NAME_BYTES: Final = 255
"""A short string of AMQP 0-9-1: the names of queues and vhosts."""
CHECKS_SECONDS: Final = 6.0
"""For how long queues are asked for a message. One without a leader takes up to 5 s to say so, and
all readings of a tick have 15 s."""
NO_QUEUE: Final = "no queue "
"""How the broker words a 404 of a queue that does not exist, and not of one whose node is away."""


class ReplyCode(IntEnum):
    """Why the broker closed a channel or connection, from AMQP 0-9-1."""

    ACCESS_REFUSED = 403  # a login, or a right
    NOT_FOUND = 404  # a queue
    RESOURCE_LOCKED = 405  # a queue with a single active consumer, which it has told of itself
    NOT_ALLOWED = 530  # a vhost that is missing, or closed to the user
    NOT_IMPLEMENTED = 540  # a stream


def fits(name: str) -> bool:
    """Tell whether a queue or vhost of this name can exist."""
    return len(name.encode(errors="replace")) <= MAX_NAME_BYTES


def count(
    parameters: pika.ConnectionParameters, queues: Sequence[str], clock: Clock
) -> Mapping[str, QueueDepth | Unavailable]:
    """Return the ready messages of `queues`, or why they are unknown; those missing are absent."""
    with _Session(parameters, clock) as session:
        found = {name: session.depth(name) for name in filter(fits, queues)}
    return {name: one for name, one in found.items() if one is not None}


class _Session:
    """A connection that is made anew where the broker closes it over one of the queues."""

    def __init__(self, parameters: pika.ConnectionParameters, clock: Clock) -> None:
        self._parameters = parameters
        self._clock = clock
        self._checks_until = clock() + CHECKS_SECONDS
        self._connection = pika.BlockingConnection(parameters)
        self._channel = self._connection.channel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        with suppress(AMQPError, OSError):
            self._connection.close()

    def depth(self, name: str) -> QueueDepth | Unavailable | None:
        """Return a queue's ready messages, or why they are unknown; None if it does not exist."""
        try:
            told = self._channel.queue_declare(name, passive=True).method
        except ChannelClosedByBroker as error:
            # The broker closes the channel on which a queue is asked for that it cannot tell of.
            if error.reply_code != ReplyCode.NOT_FOUND:
                raise
            self._channel = self._connection.channel()
            is_missing = NO_QUEUE in error.reply_text
            return None if is_missing else queue_down(name, "", f" ({quoted(error.reply_text)})")
        if told.message_count == 0 and told.consumer_count == 0:
            return self._checked(name)
        return QueueDepth(name, ready=told.message_count, unacked=None)

    def _checked(self, name: str) -> QueueDepth | Unavailable:
        """Return a depth of zero if the queue itself says so."""
        if self._clock() >= self._checks_until:
            return queue_down(name, "", " (not asked, as others took too long to answer)")
        try:
            given, _, _ = self._channel.basic_get(name)
        except (ChannelClosedByBroker, ConnectionClosedByBroker) as error:
            return self._refused(name, error)
        if given is None:
            return QueueDepth(name, ready=0, unacked=None)
        self._channel.basic_reject(given.delivery_tag, requeue=True)
        return QueueDepth(name, ready=given.message_count + 1, unacked=None)

    def _refused(
        self, name: str, error: ChannelClosedByBroker | ConnectionClosedByBroker
    ) -> QueueDepth | Unavailable:
        """Return what it means that the broker gives no message of a queue."""
        if isinstance(error, ConnectionClosedByBroker):
            self._connection = pika.BlockingConnection(self._parameters)
        self._channel = self._connection.channel()
        match error.reply_code:
            case ReplyCode.RESOURCE_LOCKED:
                # The queue has answered, and so what is told of it now is so.
                told = self._channel.queue_declare(name, passive=True).method
                return QueueDepth(name, ready=told.message_count, unacked=None)
            case ReplyCode.ACCESS_REFUSED:
                return _uncheckable(name)
            case ReplyCode.NOT_IMPLEMENTED:
                return stream_refused(name)
        return queue_down(name, "", f" ({quoted(error.reply_text)})")


def _uncheckable(name: str) -> Unavailable:
    return Unavailable(
        Reason.BROKER_FORBIDDEN,
        f"queue {name!r} shows neither messages nor consumers by AMQP, as a quorum queue without "
        "its majority does: to tell them apart the user needs the permission to read it. Grant "
        "that, or set rabbitmq.managementUrlSecretRef",
    )
