"""HTTP as every reading uses it: one client per set of trusted certificates, bounded in all ways.

Proxies: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY` and `SSL_CERT_FILE` of the operator's environment
count (`trust_env`), because in many clusters api.openai.com is behind a proxy only. Services of the
cluster then belong into `NO_PROXY` by name or suffix, as for every other program; httpx does not
understand address ranges there.
"""

import asyncio
import logging
import ssl
import zlib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import httpx

from scanpool.models.conditions import Reason
from scanpool.sources.allowed_hosts import AllowedHosts
from scanpool.sources.failures import SourceError, connection_failure
from scanpool.sources.identity import Identity, show
from scanpool.sources.text import quoted
from scanpool.sources.urls import HTTP_PORTS

CONNECT_TIMEOUT_SECONDS: Final = 3.0
"""Two SYN retransmissions; a service of the cluster answers within milliseconds."""
READ_TIMEOUT_SECONDS: Final = 10.0
"""A small completion of a reasoning model under load; the tick's own deadline may be shorter."""
TIMEOUT: Final = httpx.Timeout(READ_TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS)
EXCHANGE_SECONDS: Final = CONNECT_TIMEOUT_SECONDS + READ_TIMEOUT_SECONDS
"""For a request and all of its answer. Each piece of a body has the time of a read: a server that
sends a byte now and then would else keep everybody waiting who shares the reading."""
LIMITS: Final = httpx.Limits(
    # A thousand pools of one cluster in one tick, with room; each idle socket is dropped again.
    max_connections=500,
    max_keepalive_connections=100,
    keepalive_expiry=30.0,
)
MOST_STALE_CONNECTIONS: Final = 4
"""Idle connections that may turn out to be closed in a row, of the few requests that one reading
makes at once; the server closes them all at about the same time."""
MAX_BODY_BYTES: Final = 16 * 2**20
"""The totals of some 50,000 queues, unpacked. More would fill the operator's memory."""
LARGE_BODY_BYTES: Final = 2**20
"""The totals of some 3,000 queues: more than nearly all answers have."""
MOST_LARGE_BODIES: Final = 2
"""As many are read at once, lest several servers that send without an end fill the memory
together."""
GZIP: Final = frozenset({"gzip", "x-gzip"})
"""The one packing that is asked for, by both of its names."""
GZIP_FORMAT: Final = 16 + zlib.MAX_WBITS
"""How zlib is told to expect it."""

# It reports every request at INFO, with its URL: a line per reading and tick.
logging.getLogger("httpx").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, read completely."""

    status: int
    headers: httpx.Headers
    body: bytes


_Tls = tuple[str | None, Identity | None, str | None]


class HttpClients:
    """One `httpx.AsyncClient` per distinct CA bundle, identity and server name: pools share it.

    Belongs to one event loop. Certificates change with rotation, every few months; a replaced one
    keeps its client until `aclose`. Requests go to the hosts that are `allowed`.
    """

    def __init__(self, allowed: AllowedHosts | None = None) -> None:
        self.allowed = allowed or AllowedHosts()
        self._clients: dict[_Tls, httpx.AsyncClient] = {}

    def get(
        self, ca_pem: str | None, identity: Identity | None = None, server_name: str | None = None
    ) -> httpx.AsyncClient:
        """Return the client that trusts what `trusting` says, and shows `identity`.

        Its requests are to name `server_name`: a connection is not used for another one.
        """
        key = (ca_pem, identity, server_name)
        if key not in self._clients:
            self._clients[key] = httpx.AsyncClient(
                verify=trusting(ca_pem, identity=identity),
                timeout=TIMEOUT,
                limits=LIMITS,
                follow_redirects=False,
                trust_env=True,
                headers={"Accept-Encoding": "gzip"},
                event_hooks={"request": [self._check]},
                # Shared: one server's cookie must not travel with another pool's request.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            )
        return self._clients[key]

    async def _check(self, request: httpx.Request) -> None:
        url = request.url
        self.allowed.check(url.host, url.port or HTTP_PORTS[url.scheme])

    async def aclose(self) -> None:
        """Close all connections."""
        clients = list(self._clients.values())
        self._clients.clear()
        await asyncio.gather(*(client.aclose() for client in clients))


def trusting(
    ca_pem: str | None, ref: str = "rabbitmq.caSecretRef", identity: Identity | None = None
) -> ssl.SSLContext:
    """Return a context that checks host names and trusts `ca_pem`, the bundle of `ref`, only.

    Without one it trusts the public authorities, or those of `SSL_CERT_FILE`. A bundle that is not
    PEM with at least one certificate raises SourceError, as does an `identity` that cannot be used.
    """
    context = _authorities(ca_pem, ref)
    if identity is not None:
        show(context, identity)
    return context


def _authorities(ca_pem: str | None, ref: str) -> ssl.SSLContext:
    if ca_pem is None:
        return httpx.create_ssl_context()
    try:
        # Bundles carry comments with the authorities' names, in any script; replaced rather than
        # dropped, lest nothing remain: to the ssl module that would mean the public authorities.
        if certificates := ca_pem.strip().encode("ascii", "replace").decode():
            return ssl.create_default_context(cadata=certificates)
        told = "the CA bundle is empty"
    except (ssl.SSLError, ValueError):
        told = "the CA bundle is not PEM: it must hold -----BEGIN CERTIFICATE----- blocks"
    raise SourceError(Reason.TLS_FAILED, f"{told}; correct the Secret of {ref}")


NOTHING = httpx.ByteStream(b"")
"""In the place of the stream of an answer that has been read."""


class Request(NamedTuple):
    """A request to the server at `origin`, scheme://host:port for messages.

    Its `url`, without user and password, is never shown. `unreachable` is the reason if there is no
    answer; `auth` are user name and password. `server_name` is what the server's certificate has to
    be for, if not for the URL's host.
    """

    url: str
    origin: str
    unreachable: Reason
    method: str = "GET"
    auth: tuple[str, str] | None = None
    headers: Mapping[str, str] = {}
    json: object = None
    server_name: str | None = None


async def exchange(http: httpx.AsyncClient, request: Request) -> Answer:
    """Send one request and read the whole answer, whatever its status, or raise SourceError.

    What only reads is asked again on a new connection, where the server or a proxy closed an idle
    one just as it was used.
    """
    origin, unreachable = request.origin, request.unreachable
    try:
        async with asyncio.timeout(EXCHANGE_SECONDS):
            return await _send(http, request)
    except httpx.PoolTimeout:
        told = f"{origin} was not asked: too many of the operator's requests are under way"
    except httpx.ProxyError:
        told = (
            f"the proxy refused to connect to {origin}; allow it there, or name the host in the "
            "operator's NO_PROXY"
        )
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, zlib.error) as error:
        is_late = isinstance(error, httpx.TimeoutException)
        raise connection_failure(error, origin, unreachable, timeout=is_late) from None
    raise SourceError(unreachable, told)


class _Opened:
    """Notices whether a connection was opened for a request, or one that was idle had to do."""

    def __init__(self) -> None:
        self.is_new = False

    async def __call__(self, event: str, _: object) -> None:
        self.is_new |= event.startswith("connection.connect_")


async def _send(http: httpx.AsyncClient, request: Request) -> Answer:
    for _ in range(MOST_STALE_CONNECTIONS):
        opened = _Opened()
        try:
            return await _send_once(http, request, opened)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            if opened.is_new or request.method != "GET":
                raise
    return await _send_once(http, request, _Opened())


async def _send_once(http: httpx.AsyncClient, request: Request, opened: _Opened) -> Answer:
    url, origin, unreachable, method, auth, headers, json, server_name = request
    extensions: dict[str, object] = {"trace": opened}
    if server_name is not None:
        extensions["sni_hostname"] = server_name
    async with http.stream(
        method, url, auth=auth, headers=headers, json=json, extensions=extensions
    ) as response:
        whole = await _body(response, is_packed=_is_packed(response, request))
    # The two name each other, and would stay until garbage is looked for.
    response.stream = NOTHING
    if whole is not None:
        return Answer(response.status_code, response.headers, whole)
    raise SourceError(
        unreachable,
        f"{origin} answered with more than {MAX_BODY_BYTES // 2**20} MiB; check that the URL is "
        "that of the right service",
    )


async def _body(response: httpx.Response, *, is_packed: bool) -> bytes | None:
    """Return a body, unpacked; None if that is more than counts."""
    body = bytearray()
    async with AsyncExitStack() as turn:
        waits = True
        async for chunk in response.aiter_raw() if is_packed else response.aiter_bytes():
            if waits and len(body) + len(chunk) > LARGE_BODY_BYTES:
                await turn.enter_async_context(_large_bodies())
                waits = False
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return None
        if not is_packed:
            return bytes(body)
        if waits:
            # What is small may well unpack to a large one.
            await turn.enter_async_context(_large_bodies())
        whole = _unpacked(body)
        return whole if len(whole) <= MAX_BODY_BYTES else None


_TURNS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]] = WeakKeyDictionary()
"""Who may read a large body: one semaphore for all of an operator, which has one event loop."""


def _large_bodies() -> asyncio.Semaphore:
    loop = asyncio.get_running_loop()
    return _TURNS.setdefault(loop, asyncio.Semaphore(MOST_LARGE_BODIES))


def _is_packed(response: httpx.Response, request: Request) -> bool:
    """Tell whether a body is packed as was asked for; any other packing raises SourceError."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in GZIP:
        return True
    if encoding in {"", "identity"}:
        return False
    raise SourceError(
        request.unreachable,
        f"{request.origin} packs its answers in a way that was not asked for "
        f"({quoted(encoding)}); let it, or the proxy before it, send them as they are",
    )


def _unpacked(body: bytearray) -> bytes:
    """Return a body as it was before it was packed, or a little more than the most that counts.

    httpx would unpack all of it, in as many layers as the answer names: a few kilobytes then fill
    the operator's memory.
    """
    return zlib.decompressobj(GZIP_FORMAT).decompress(body, MAX_BODY_BYTES + 1)
