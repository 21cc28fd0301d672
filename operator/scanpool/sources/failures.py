"""Say why a server could not be talked to, in the same words for every client library.

Inside of a source what goes wrong is raised, with its reason and message; at its border it is a
reading that is unavailable.
"""

import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from functools import wraps
from typing import ParamSpec, TypeVar

from scanpool.models.conditions import Reason
from scanpool.models.reading import Reading, Unavailable
from scanpool.sources.text import quoted

T = TypeVar("T")
P = ParamSpec("P")


class SourceError(Exception):
    """A reading cannot be made: why, and what to do about it."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.gap = Unavailable(reason, message)


def reading(read: Callable[P, Awaitable[Reading[T]]]) -> Callable[P, Awaitable[Reading[T]]]:
    """Decorate what reads a source: a SourceError becomes a reading that is unavailable."""

    @wraps(read)
    async def answered(*args: P.args, **kwargs: P.kwargs) -> Reading[T]:
        try:
            return await read(*args, **kwargs)
        except SourceError as error:
            return error.gap

    return answered


def blocking_reading(read: Callable[P, Reading[T]]) -> Callable[P, Reading[T]]:
    """Decorate what reads a source and blocks, as `reading` does for what does not."""

    @wraps(read)
    def answered(*args: P.args, **kwargs: P.kwargs) -> Reading[T]:
        try:
            return read(*args, **kwargs)
        except SourceError as error:
            return error.gap

    return answered


def connection_failure(
    error: BaseException, origin: str, unreachable: Reason, *, timeout: bool = False
) -> SourceError:
    """Explain a failed exchange with the server at `origin` by the error that began it.

    Client libraries wrap the operating system's error in their own, so the whole chain is searched.
    The text of those errors is never shown: it may hold the URL with its user and password.
    `unreachable` is the reason for anything that is not a matter of TLS; `timeout` says that the
    library calls it a timeout.
    """
    chain = list(_chain(error))

    def has(*kinds: type[BaseException]) -> bool:
        return any(isinstance(one, kinds) for one in chain)

    untrusted = [one for one in chain if isinstance(one, ssl.SSLCertVerificationError)]
    if untrusted:
        told = (
            f"{origin} shows a certificate that is not trusted "
            f"({quoted(untrusted[0].verify_message)}); trust the CA that signed it (for RabbitMQ "
            "and Prometheus: caSecretRef; docs/operations.md has the others), and name the host as "
            "the certificate does"
        )
    elif has(ssl.SSLError):
        told = f"no TLS connection to {origin}; check that this port speaks TLS, and its versions"
    elif has(socket.gaierror, UnicodeError):
        told = f"the host name of {origin} is not known to DNS; check it for typing errors"
    elif has(ConnectionRefusedError):
        told = f"{origin} refuses connections; check that it runs and listens on this port"
    elif timeout or has(TimeoutError):
        told = (
            f"{origin} did not answer in time; check that it is not overloaded and that no "
            "network policy drops the operator's traffic"
        )
    else:
        told = (
            f"the connection to {origin} failed ({type(error).__name__}); check that the port is "
            "the right one and that no network policy or proxy stands in the way"
        )
    return SourceError(Reason.TLS_FAILED if has(ssl.SSLError) else unreachable, told)


def vhost_not_found(place: str) -> SourceError:
    """Say that RabbitMQ has no such vhost; `place` names it and the broker."""
    return SourceError(
        Reason.VHOST_NOT_FOUND,
        f"there is no {place}; correct rabbitmq.vhost or the URL's path, or create the vhost",
    )


def token_refused(origin: str, words: str) -> SourceError:
    """Say that RabbitMQ takes no OAuth 2 token; ` (WORDS)` are its own."""
    return SourceError(
        Reason.BROKER_AUTHENTICATION_FAILED,
        f"{origin} refuses the OAuth 2 token{words}: it may have ended, or name another resource "
        "server; see what renews the Secret of rabbitmq.tokenSecretRef",
    )


def queue_down(name: str, where: str, state: str) -> Unavailable:
    """Say that a queue exists whose messages the broker cannot tell; ` on NODE`, ` (STATE)`."""
    return Unavailable(
        Reason.QUEUE_DOWN,
        f"queue {name!r}{where} exists, but the broker cannot tell its messages{state}: its "
        "node, or most of its members, are away, or have just come back; bring the nodes of the "
        "broker up, and do not declare it anew",
    )


def stream_refused(name: str) -> Unavailable:
    """Say that a stream is nothing to scale on."""
    return Unavailable(
        Reason.QUEUE_UNSUITABLE,
        f"{name!r} is a stream: what it counts is the length of a log, which consuming does "
        "not shorten; take it out of spec.rabbitmq.queues, or use a classic or quorum queue",
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and every error it was made of, each once."""
    pending, seen = [error], set[int]()
    while pending:
        current = pending.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        # pika and urllib3 pass the cause on as an argument or attribute instead of chaining it.
        related = [current.__cause__, current.__context__, *current.args]
        related += [getattr(current, "reason", None), getattr(current, "exception", None)]
        if isinstance(current, BaseExceptionGroup):
            related += current.exceptions
        pending += [item for item in related if isinstance(item, BaseException)]
