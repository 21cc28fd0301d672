"""RabbitMQ by AMQP: the ready messages of queues, for brokers without the management plugin.

AMQP does not tell how many messages are unacked. With late acks and prefetch that can be all.
"""

import logging
import re
from collections.abc import Mapping, Sequence
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
from scanpool.models.units import Clock
from scanpool.sources.amqp_count import ReplyCode, count, fits
from scanpool.sources.failures import (
    SourceError,
    blocking_reading,
    connection_failure,
    vhost_not_found,
)
from scanpool.sources.http import trusting
from scanpool.sources.text import quoted, without_secrets
from scanpool.sources.urls import Address, parse_address

SOURCE: Final = "amqp"
DEFAULT_PORTS: Final = {"amqp": 5672, "amqps": 5671}
DEFAULT_LOGIN: Final = "guest"
"""User name and password of a URL without them, by RabbitMQ's URI specification."""

CONNECT_TIMEOUT_SECONDS: Final = 3.0
"""TCP alone; the same as for HTTP."""
HANDSHAKE_TIMEOUT_SECONDS: Final = 8.0
"""TCP, TLS and AMQP together. A refused login takes a second: RabbitMQ delays its answer."""
HEARTBEAT_SECONDS: Final = 5
"""Bounds every call after the handshake: pika gives up on a silent broker after two heartbeats."""

CLOSED_BY_BROKER: Final = re.compile(r"\((?P<code>\d{3})\) ['\"](?P<words>.*)['\"]")
"""How pika words a connection.close, alone or inside of its guesses ("probable ... error")."""

# All it has to say about failed connections, tracebacks included, arrives here as exceptions.
logging.getLogger("pika").setLevel(logging.CRITICAL)


@blocking_reading
def read_ready(
    url: str, vhost: str | None, ca_pem: str | None, queues: Sequence[str], *, clock: Clock
) -> Reading[Mapping[str, QueueDepth | Unavailable]]:
    """Read the ready messages of `queues`, by name, over one short connection. Blocks.

    A queue that does not exist is absent; `unacked` is None: AMQP cannot see it. `url` is
    amqp(s)://user:password@host:port/vhost, percent-encoded. Its query does not count: a connection
    of some milliseconds has nothing to tune. `vhost` wins over the one in the URL; with neither it
    is "/". `ca_pem` are the certificates to trust for amqps, or None for the system's.
    """
    address = parse_address(url, DEFAULT_PORTS, "it in the Secret of rabbitmq.urlSecretRef")
    if vhost is None:
        # The URL's path is a slash and the vhost.
        vhost = unquote(address.path.removeprefix("/")) or "/"
    place = f"vhost '{quoted(vhost)}' at {address.origin}"
    parameters = _parameters(address, vhost, ca_pem)
    if not fits(vhost):
        raise vhost_not_found(place)
    try:
        return Available(count(parameters, queues, clock), at=clock(), source=SOURCE)
    except ChannelClosedByBroker as error:
        words = quoted(without_secrets(error.reply_text, address.password))
        told = f"the broker does not tell the depth of a queue of {place} ({words})"
        raise SourceError(Reason.BROKER_ERROR, told) from None
    except (AMQPError, AMQPConnectorException, OSError, ValueError) as error:
        raise _failure(error, address, place) from None


def _parameters(address: Address, vhost: str, ca_pem: str | None) -> pika.ConnectionParameters:
    is_tls = address.scheme == "amqps"
    user = DEFAULT_LOGIN if address.user is None else address.user
    password = DEFAULT_LOGIN if address.password is None else address.password
    return pika.ConnectionParameters(
        host=address.host,
        port=address.port,
        virtual_host=vhost,
        credentials=pika.PlainCredentials(user, password),
        ssl_options=pika.SSLOptions(trusting(ca_pem), address.host) if is_tls else None,
        socket_timeout=CONNECT_TIMEOUT_SECONDS,
        stack_timeout=HANDSHAKE_TIMEOUT_SECONDS,
        blocked_connection_timeout=HANDSHAKE_TIMEOUT_SECONDS,
        heartbeat=HEARTBEAT_SECONDS,
        connection_attempts=1,
        client_properties={"connection_name": "scanpool"},
    )


def _failure(error: Exception, address: Address, place: str) -> SourceError:
    """Explain a connection that did not come about, or that broke."""
    closed = CLOSED_BY_BROKER.search(str(error))
    if closed is None:
        is_late = isinstance(error, AMQPConnectorStackTimeout | AMQPHeartbeatTimeout)
        return connection_failure(error, address.origin, Reason.BROKER_UNREACHABLE, timeout=is_late)
    words = quoted(without_secrets(closed["words"], address.password))
    match int(closed["code"]):
        case ReplyCode.ACCESS_REFUSED:
            return SourceError(
                Reason.BROKER_AUTHENTICATION_FAILED,
                f"{address.origin} refuses the user name or password; correct them in the Secret "
                "of rabbitmq.urlSecretRef, percent-encoded",
            )
        case ReplyCode.NOT_ALLOWED if words.endswith("not found"):
            return vhost_not_found(place)
        case ReplyCode.NOT_ALLOWED:
            return SourceError(
                Reason.BROKER_FORBIDDEN,
                f"the user may not use {place} ({words}); give it permissions on this vhost",
            )
    return SourceError(
        Reason.BROKER_ERROR, f"{place} closed the connection ({words}); see the broker's log"
    )
