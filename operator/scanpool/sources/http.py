"""HTTP as every reading uses it: one client per set of trusted certificates, bounded in all ways.

Proxies: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY` and `SSL_CERT_FILE` of the operator's environment
count (`trust_env`), because in many clusters api.openai.com is behind a proxy only. Services of the
cluster then belong into `NO_PROXY` by name or suffix, as for every other program; httpx does not
understand address ranges there.
"""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable
from scanpool.sources.failures import connection_failure

CONNECT_TIMEOUT_SECONDS: Final = 3.0
"""Two SYN retransmissions; a service of the cluster answers within milliseconds."""
READ_TIMEOUT_SECONDS: Final = 10.0
"""A small completion of a reasoning model under load; the tick's own deadline may be shorter."""
TIMEOUT: Final = httpx.Timeout(READ_TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS)
LIMITS: Final = httpx.Limits(
    # A thousand pools of one cluster in one tick, with room; each idle socket is dropped again.
    max_connections=500,
    max_keepalive_connections=100,
    keepalive_expiry=30.0,
)
MAX_BODY_BYTES: Final = 16 * 2**20
"""The totals of some 50,000 queues. More would fill the operator's memory."""

# It reports every request at INFO, with its URL: a line per reading and tick.
logging.getLogger("httpx").setLevel(logging.WARNING)


class InvalidCertificatesError(ValueError):
    """The text is not a bundle of PEM certificates."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, read completely."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def text(self) -> str:
        """The body as text, whatever it is."""
        return self.body.decode("utf-8", errors="replace")


class HttpClients:
    """One `httpx.AsyncClient` per distinct CA bundle, so that pools share connections.

    Belongs to one event loop. Bundles change with rotation, every few months; a replaced one keeps
    its client until `aclose`.
    """

    def __init__(self) -> None:
        self._clients: dict[str | None, httpx.AsyncClient] = {}

    def get(self, ca_pem: str | None) -> httpx.AsyncClient:
        """Return the client that trusts `ca_pem` only or, for None, the public authorities.

        Raises:
            InvalidCertificatesError: if it is not PEM with at least one certificate.

        """
        client = self._clients.get(ca_pem)
        if client is None:
            client = self._clients[ca_pem] = _new_client(ca_pem)
        return client

    async def aclose(self) -> None:
        """Close all connections."""
        clients = list(self._clients.values())
        self._clients.clear()
        await asyncio.gather(*(client.aclose() for client in clients))


def trusting(ca_pem: str | None) -> ssl.SSLContext:
    """Return a context that checks host names and trusts `ca_pem` only.

    Without one it trusts the public authorities, or those of `SSL_CERT_FILE`.

    Raises:
        InvalidCertificatesError: if it is not PEM with at least one certificate.

    """
    if ca_pem is None:
        return httpx.create_ssl_context()
    if not ca_pem.strip():
        # An empty bundle would mean the public authorities to the ssl module.
        raise InvalidCertificatesError("the CA bundle is empty")
    try:
        # Bundles carry comments with the authorities' names, in any script; replaced rather than
        # dropped, lest nothing remain and everyone be trusted.
        return ssl.create_default_context(cadata=ca_pem.encode("ascii", "replace").decode())
    except (ssl.SSLError, ValueError):
        raise InvalidCertificatesError(
            "the CA bundle is not PEM: it must hold -----BEGIN CERTIFICATE----- blocks"
        ) from None


def _new_client(ca_pem: str | None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        verify=trusting(ca_pem),
        timeout=TIMEOUT,
        limits=LIMITS,
        follow_redirects=False,
        trust_env=True,
        # The client is shared: one server's cookie must not travel with another pool's request.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


async def exchange(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    origin: str,
    unreachable: Reason,
    auth: tuple[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    json: object = None,
) -> Answer | Unavailable:
    """Send one request and read the whole answer, whatever its status.

    Args:
        http: the client.
        method: GET or POST.
        url: without user and password; it is never shown.
        origin: scheme://host:port for the message.
        unreachable: the reason if there is no answer.
        auth: user name and password.
        headers: of the request.
        json: the body to send.

    """
    try:
        async with http.stream(
            method, url, auth=auth, headers=dict(headers or {}), json=json
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    return Unavailable(
                        unreachable,
                        f"{origin} answered with more than {MAX_BODY_BYTES // 2**20} MiB; "
                        "check that the URL is that of the right service",
                    )
            return Answer(response.status_code, response.headers, bytes(body))
    except httpx.PoolTimeout:
        return Unavailable(
            unreachable,
            f"{origin} was not asked: too many of the operator's requests are under way",
        )
    except httpx.ProxyError:
        return Unavailable(
            unreachable,
            f"the proxy refused to connect to {origin}; allow it there, or name the host in the "
            "operator's NO_PROXY",
        )
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return connection_failure(
            error,
            origin=origin,
            unreachable=unreachable,
            timeout=isinstance(error, httpx.TimeoutException),
        )
