"""Stands before every HTTP server that is asked, and does to each pool what its case says."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Self

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web
from yarl import URL

PassOn = Callable[[], Awaitable[web.StreamResponse]]
Fault = Callable[[web.Request, PassOn], Awaitable[web.StreamResponse]]
"""Answers a request, or lets the server behind the gateway do so."""

HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host"})
UNPACKED = {"Accept-Encoding": "identity"}
"""Faults change bodies; those that are packed they pack themselves."""
SHUTDOWN_SECONDS = 0.1
"""For answers under way, some of which never end."""


class Gateway:
    """Passes requests below /CASE/SERVICE on to the server of that service, unless a fault is set.

    `upstreams` are the servers' URLs by the name of the service; `tls` says which are the right
    ones, of those behind TLS. Use as an async context manager.
    """

    def __init__(self, upstreams: Mapping[str, str], tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._upstreams = {name: url.rstrip("/") for name, url in upstreams.items()}
        self._faults: dict[tuple[str, str], Fault] = {}
        self.asked: list[tuple[str, str, str]] = []
        """Case, service and path of each request."""
        self.port = 0

    def url(self, case: str, service: str) -> str:
        """Where a case finds a service."""
        return f"http://127.0.0.1:{self.port}/{case}/{service}"

    def inject(self, case: str, service: str, fault: Fault) -> None:
        self._faults[case, service] = fault

    def mend(self, case: str, service: str) -> None:
        self._faults.pop((case, service), None)

    def count(self, case: str, service: str) -> int:
        """The requests of a case for a service so far."""
        return sum((case, service) == one[:2] for one in self.asked)

    async def __aenter__(self) -> Self:
        # Answers go on as they came: packed, and without an end where a server has none.
        self._client = ClientSession(
            auto_decompress=False,
            timeout=ClientTimeout(total=None),
            connector=TCPConnector(limit=0, ssl=self._tls or True),
        )
        application = web.Application(client_max_size=2**30)
        application.router.add_route("*", "/{case}/{service}{path:.*}", self._handle)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=SHUTDOWN_SECONDS,
            auto_decompress=False,
        )
        await self._runner.setup()
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await self._site.start()
        self.port = self._runner.addresses[0][1]

    async def refuse(self) -> None:
        """Refuse connections and cut those that there are, until `accept`."""
        await self._site.stop()
        self.cut()

    def cut(self) -> None:
        """Cut all connections, those of watches too; new ones may come."""
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            connection.force_close()
            if connection.transport is not None:
                connection.transport.abort()

    async def accept(self) -> None:
        await self._listen()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        case, service = request.match_info["case"], request.match_info["service"]
        # As it came: a %2F in a path must not become a slash.
        path = request.raw_path.removeprefix(f"/{case}/{service}")
        self.asked.append((case, service, path))

        async def pass_on() -> web.StreamResponse:
            return await self._pass_on(request, self._upstreams[service] + path)

        fault = self._faults.get((case, service))
        return await (pass_on() if fault is None else fault(request, pass_on))

    async def _pass_on(self, request: web.Request, url: str) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
        headers.pop("Accept-Encoding", None)
        body = await request.read()
        try:
            async with self._client.request(
                request.method,
                URL(url, encoded=True),
                headers={**headers, **UNPACKED},
                data=body or None,
                allow_redirects=False,
            ) as answer:
                kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
                if answer.content_length is not None:
                    body = await answer.read()
                    return web.Response(status=answer.status, body=body, headers=kept)
                return await self._stream(request, answer.status, kept, answer.content.iter_any())
        except ClientError:
            return web.Response(status=502, text="the server behind the gateway is away")

    async def _stream(
        self,
        request: web.Request,
        status: int,
        headers: Mapping[str, str],
        chunks: AsyncIterator[bytes],
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        # A watch, that whoever asked has closed.
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            async for chunk in chunks:
                await response.write(chunk)
            await response.write_eof()
        return response
