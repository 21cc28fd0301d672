"""RabbitMQ by AMQP: the ready messages of queues, for brokers without the management plugin.

AMQP does not tell how many messages are unacked. With late acks and prefetch that can be all.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import IntEnum
from typing import Final
from urllib.parse import unquote

import pika
from pika.adapters.utils.connection_workflow import (
    AMQPConnectorException,
    AMQPConnectorStackTimeout,
)
from pika.exceptions import AMQPError, AMQPHeartbeatTimeout, ChannelClosedByBroker

from scanpool.models.conditions import Reason
from scanpool.models.observation import QueueDepth
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources.failures import connection_failure
from scanpool.sources.http import InvalidCertificatesError, trusting
from scanpool.sources.text import quoted, without_secrets
from scanpool.sources.urls import Address, InvalidUrlError, parse_address

SOURCE: Final = "amqp"
DEFAULT_PORTS: Final = {"amqp": 5672, "amqps": 5671}
DEFAULT_LOGIN: Final = "guest"
"""User name and password of a URL without them, by RabbitMQ's URI specification."""

CONNECT_TIMEOUT_SECONDS: Final = 3.0
"""TCP alone; the same as for HTTP."""
HANDSHAKE_TIMEOUT_SECONDS: Final = 8.0
"""TCP, TLS and AMQP together. A refused login takes a second: RabbitMQ delays its answer."""
MAX_NAME_BYTES: Final = 255
"""A short string of AMQP 0-9-1: the names of queues and vhosts."""
HEARTBEAT_SECONDS: Final = 5
"""Bounds every call after the handshake: pika gives up on a silent broker after two heartbeats."""

CLOSED_BY_BROKER: Final = re.compile(r"\((?P<code>\d{3})\) ['\"](?P<words>.*)['\"]")
"""How pika words a connection.close, alone or inside of its guesses ("probable ... error")."""

# All it has to say about failed connections, tracebacks included, arrives here as exceptions.
logging.getLogger("pika").setLevel(logging.CRITICAL)


class _ReplyCode(IntEnum):
    """Why the broker closed a channel or connection, from AMQP 0-9-1."""

    ACCESS_REFUSED = 403  # a login
    NOT_FOUND = 404  # a queue
    NOT_ALLOWED = 530  # a vhost that is missing, or closed to the user


def read_ready(
    url: str,
    vhost: str | None,
    ca_pem: str | None,
    queues: Sequence[str],
    *,
    clock: Callable[[], float],
) -> Reading[Mapping[str, QueueDepth]]:
    """Read the ready messages of `queues`, by name, over one short connection. Blocks.

    A queue that does not exist is absent; `unacked` is None: AMQP cannot see it.

    Args:
        url: amqp(s)://user:password@host:port/vhost, percent-encoded. Its query does not count:
            a connection of some milliseconds has nothing to tune.
        vhost: the virtual host; it wins over the one in the URL. With neither it is "/".
        ca_pem: certificates to trust for amqps, or None for the system's.
        queues: names.
        clock: seconds since the epoch.

    """
    try:
        address = parse_address(url, DEFAULT_PORTS)
        parameters = _parameters(address, vhost, ca_pem)
    except InvalidUrlError as error:
        return Unavailable(
            Reason.INVALID_URL, f"{error}; correct it in the Secret of rabbitmq.urlSecretRef"
        )
    except InvalidCertificatesError as error:
        return Unavailable(Reason.TLS_FAILED, f"{error}; correct the Secret of caSecretRef")
    place = f"vhost '{quoted(parameters.virtual_host)}' at {address.origin}"
    if not _fits(parameters.virtual_host):
        return _no_vhost(place)
    try:
        return _read(parameters, queues, clock)
    except ChannelClosedByBroker as error:
        words = quoted(without_secrets(error.reply_text, address.password))
        return Unavailable(
            Reason.BROKER_ERROR,
            f"the broker does not tell the depth of a queue of {place} ({words})",
        )
    except (AMQPError, AMQPConnectorException, OSError, ValueError) as error:
        return _failure(error, address, place)


def _parameters(
    address: Address, vhost: str | None, ca_pem: str | None
) -> pika.ConnectionParameters:
    """Build pika's parameters; the URL's path is a slash and the vhost.

    Raises:
        InvalidCertificatesError: if `ca_pem` holds no certificates.

    """
    if vhost is None:
        vhost = unquote(address.path.removeprefix("/")) or "/"
    tls = None
    if address.scheme == "amqps":
        tls = pika.SSLOptions(trusting(ca_pem), address.host)
    return pika.ConnectionParameters(
        host=address.host,
        port=address.port,
        virtual_host=vhost,
        credentials=pika.PlainCredentials(
            DEFAULT_LOGIN if address.user is None else address.user,
            DEFAULT_LOGIN if address.password is None else address.password,
            erase_on_connect=True,
        ),
        ssl_options=tls,
        socket_timeout=CONNECT_TIMEOUT_SECONDS,
        stack_timeout=HANDSHAKE_TIMEOUT_SECONDS,
        blocked_connection_timeout=HANDSHAKE_TIMEOUT_SECONDS,
        heartbeat=HEARTBEAT_SECONDS,
        connection_attempts=1,
        client_properties={"connection_name": "scanpool"},
    )


def _read(
    parameters: pika.ConnectionParameters, queues: Sequence[str], clock: Callable[[], float]
) -> Reading[Mapping[str, QueueDepth]]:
    connection = pika.BlockingConnection(parameters)
    try:
        depths: dict[str, QueueDepth] = {}
        channel = connection.channel()
        for name in queues:
            if not _fits(name):
                continue  # cannot exist
            try:
                ready = channel.queue_declare(name, passive=True).method.message_count
            except ChannelClosedByBroker as error:
                if error.reply_code != _ReplyCode.NOT_FOUND:
                    raise
                # The broker closes the channel on which a missing queue is asked for.
                channel = connection.channel()
            else:
                depths[name] = QueueDepth(name, ready=ready, unacked=None)
        return Available(depths, at=clock(), source=SOURCE)
    finally:
        with suppress(AMQPError, OSError):
            connection.close()


def _failure(error: Exception, address: Address, place: str) -> Unavailable:
    """Explain a connection that did not come about, or that broke."""
    closed = CLOSED_BY_BROKER.search(str(error))
    if closed is None:
        return connection_failure(
            error,
            origin=address.origin,
            unreachable=Reason.BROKER_UNREACHABLE,
            timeout=isinstance(error, AMQPConnectorStackTimeout | AMQPHeartbeatTimeout),
        )
    words = quoted(without_secrets(closed["words"], address.password))
    match int(closed["code"]):
        case _ReplyCode.ACCESS_REFUSED:
            return Unavailable(
                Reason.BROKER_AUTHENTICATION_FAILED,
                f"{address.origin} refuses the user name or password; correct them in the Secret "
                "of rabbitmq.urlSecretRef, percent-encoded",
            )
        case _ReplyCode.NOT_ALLOWED if words.endswith("not found"):
            return _no_vhost(place)
        case _ReplyCode.NOT_ALLOWED:
            return Unavailable(
                Reason.BROKER_FORBIDDEN,
                f"the user may not use {place} ({words}); give it permissions on this vhost",
            )
    return Unavailable(
        Reason.BROKER_ERROR, f"{place} closed the connection ({words}); see the broker's log"
    )


def _no_vhost(place: str) -> Unavailable:
    return Unavailable(
        Reason.VHOST_NOT_FOUND,
        f"there is no {place}; correct rabbitmq.vhost or the URL's path, or create the vhost",
    )


def _fits(name: str) -> bool:
    return len(name.encode(errors="replace")) <= MAX_NAME_BYTES
