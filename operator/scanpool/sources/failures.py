"""Say why a server could not be talked to, in the same words for every client library."""

import socket
import ssl
from collections.abc import Iterator
from typing import TypeVar

from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable
from scanpool.sources.text import quoted

E = TypeVar("E", bound=BaseException)


def connection_failure(
    error: BaseException, *, origin: str, unreachable: Reason, timeout: bool = False
) -> Unavailable:
    """Explain a failed exchange with the server at `origin` by the error that began it.

    Client libraries wrap the operating system's error in their own, so the whole chain is searched.
    The text of those errors is never shown: it may hold the URL with its user and password.

    Args:
        error: what the client library raised.
        origin: scheme://host:port of the server.
        unreachable: the reason for anything that is not a matter of TLS.
        timeout: whether the library calls it a timeout.

    """
    if (certificate := _first(error, ssl.SSLCertVerificationError)) is not None:
        return Unavailable(
            Reason.TLS_FAILED,
            f"{origin} shows a certificate that is not trusted "
            f"({quoted(certificate.verify_message)}); trust the CA that signed it (for "
            "RabbitMQ: caSecretRef; docs/operations.md has the others), and name the host as the "
            "certificate does",
        )
    if _first(error, ssl.SSLError) is not None:
        return Unavailable(
            Reason.TLS_FAILED,
            f"no TLS connection to {origin}; check that this port speaks TLS, and its versions",
        )
    if _first(error, socket.gaierror) is not None or _first(error, UnicodeError) is not None:
        return Unavailable(
            unreachable,
            f"the host name of {origin} is not known to DNS; check it for typing errors",
        )
    if _first(error, ConnectionRefusedError) is not None:
        return Unavailable(
            unreachable,
            f"{origin} refuses connections; check that it runs and listens on this port",
        )
    if timeout or _first(error, TimeoutError) is not None:
        return Unavailable(
            unreachable,
            f"{origin} did not answer in time; check that it is not overloaded and that no "
            "network policy drops the operator's traffic",
        )
    return Unavailable(
        unreachable,
        f"the connection to {origin} failed ({type(error).__name__}); check that the port is the "
        "right one and that no network policy or proxy stands in the way",
    )


def _first(error: BaseException, kind: type[E]) -> E | None:
    return next((found for found in _chain(error) if isinstance(found, kind)), None)


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
