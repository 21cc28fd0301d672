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
from scanpool.sources.broker_access import WORTH_ANOTHER_HOST, Access, hosts
from scanpool.sources.failures import (
    SourceError,
    blocking_reading,
    connection_failure,
    token_refused,
    vhost_not_found,
)
from scanpool.sources.http import trusting
from scanpool.sources.text import quoted, without_secrets
from scanpool.sources.urls import Address, parse_address

SOURCE: Final = "amqp"
DEFAULT_PORTS: Final = {"amqp": 5672, "amqps": 5671}
REMEDY: Final = "it in the Secret of rabbitmq.urlSecretRef"
"""For a URL that cannot be used."""
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
    access: Access, queues: Sequence[str], *, clock: Clock
) -> Reading[Mapping[str, QueueDepth | Unavailable]]:
    """Read the ready messages of `queues`, by name, over one short connection. Blocks.

    A queue that does not exist is absent; `unacked` is None: AMQP cannot see it. The URL is
    amqp(s)://user:password@host:port/vhost, percent-encoded; of several hosts the first that
    answers counts. Its query does not count: a connection of some milliseconds has nothing to tune.
    Without a vhost it is "/". A URL without a user logs in by the certificate that is shown, if one
    is.
    """
    failures: list[SourceError] = []
    for host in hosts(access.url):
        try:
            return _read(access.at(host), queues, clock)
        except SourceError as error:
            failures.append(error)
            if error.gap.reason not in WORTH_ANOTHER_HOST:
                raise
    messages = dict.fromkeys(str(one) for one in failures)
    raise SourceError(failures[0].gap.reason, "; ".join(messages))


def _read(
    access: Access, queues: Sequence[str], clock: Clock
) -> Reading[Mapping[str, QueueDepth | Unavailable]]:
    address = parse_address(access.url, DEFAULT_PORTS, REMEDY)
    vhost = access.vhost
    if vhost is None:
        # The URL's path is a slash and the vhost.
        vhost = unquote(address.path.removeprefix("/")) or "/"
    place = f"vhost '{quoted(vhost)}' at {address.origin}"
    parameters = _parameters(address, vhost, access)
    if not fits(vhost):
        raise vhost_not_found(place)
    secrets = (address.password, access.token)
    try:
        return Available(count(parameters, queues, clock), at=clock(), source=SOURCE)
    except ChannelClosedByBroker as error:
        words = quoted(without_secrets(error.reply_text, *secrets))
        told = f"the broker does not tell the depth of a queue of {place} ({words})"
        raise SourceError(Reason.BROKER_ERROR, told) from None
    except (AMQPError, AMQPConnectorException, OSError, ValueError) as error:
        raise _failure(error, address, place, access) from None


def _parameters(address: Address, vhost: str, access: Access) -> pika.ConnectionParameters:
    tls = None
    if address.scheme == "amqps":
        context = trusting(access.ca_pem, identity=access.identity)
        tls = pika.SSLOptions(context, access.server_name or address.host)
    return pika.ConnectionParameters(
        host=address.host,
        port=address.port,
        virtual_host=vhost,
        credentials=_credentials(address, access),
        ssl_options=tls,
        socket_timeout=CONNECT_TIMEOUT_SECONDS,
        stack_timeout=HANDSHAKE_TIMEOUT_SECONDS,
        blocked_connection_timeout=HANDSHAKE_TIMEOUT_SECONDS,
        heartbeat=HEARTBEAT_SECONDS,
        connection_attempts=1,
        client_properties={"connection_name": "scanpool"},
    )


def _credentials(
    address: Address, access: Access
) -> pika.PlainCredentials | pika.credentials.ExternalCredentials:
    if access.token is not None:
        # Whatever the user is called, RabbitMQ takes the token for the password.
        return pika.PlainCredentials(address.user or "", access.token)
    if _is_by_certificate(address, access):
        return pika.credentials.ExternalCredentials()
    user = DEFAULT_LOGIN if address.user is None else address.user
    password = DEFAULT_LOGIN if address.password is None else address.password
    return pika.PlainCredentials(user, password)


def _login_refused(address: Address, access: Access) -> SourceError:
    if access.token is not None:
        return token_refused(address.origin, "")
    told = (
        "the user name or password; correct them in the Secret of rabbitmq.urlSecretRef, "
        "percent-encoded"
    )
    if _is_by_certificate(address, access):
        told = (
            "to log in by the client certificate: it needs a user of the certificate's name "
            "(ssl_cert_login_from) and the mechanism EXTERNAL, or a user in the URL"
        )
    return SourceError(Reason.BROKER_AUTHENTICATION_FAILED, f"{address.origin} refuses {told}")


def _is_by_certificate(address: Address, access: Access) -> bool:
    return address.user is None and access.identity is not None and address.scheme == "amqps"


def _failure(error: Exception, address: Address, place: str, access: Access) -> SourceError:
    """Explain a connection that did not come about, or that broke."""
    closed = CLOSED_BY_BROKER.search(str(error))
    if closed is None:
        is_late = isinstance(error, AMQPConnectorStackTimeout | AMQPHeartbeatTimeout)
        return connection_failure(error, address.origin, Reason.BROKER_UNREACHABLE, timeout=is_late)
    words = quoted(without_secrets(closed["words"], address.password, access.token))
    match int(closed["code"]):
        case ReplyCode.ACCESS_REFUSED:
            return _login_refused(address, access)
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
