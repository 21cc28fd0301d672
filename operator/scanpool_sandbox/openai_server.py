"""An LLM provider with OpenAI's HTTP API, its limits, and its ways of refusing."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Self

from aiohttp import web

from scanpool_sandbox.openai_admin import Controls
from scanpool_sandbox.openai_errors import ApiError
from scanpool_sandbox.openai_organization import Organization
from scanpool_sandbox.openai_provider import Call, OpenAISettings, Provider
from scanpool_sandbox.openai_wire import Endpoint, completion

SHUTDOWN_SECONDS = 1.0
"""How long a stopping server waits for answers under way."""


class OpenAIServer:
    """The provider on a port; `provider` is its account and its controls, for use in-process.

    Args:
        settings: limits, keys, models, latency.
        host: the address to listen on.
        port: 0 for a free one.

    Use as an async context manager.

    """

    def __init__(
        self,
        settings: OpenAISettings | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.provider = Provider(OpenAISettings() if settings is None else settings)
        self._host = host
        self._port = port
        self._numbers = itertools.count(1)
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        """host:port, as a Prometheus scrape target."""
        return f"{self._host}:{self._port}"

    @property
    def url(self) -> str:
        """The root of /sandbox/ and /metrics."""
        return f"http://{self.address}"

    @property
    def base_url(self) -> str:
        """What a client takes as OPENAI_BASE_URL."""
        return f"{self.url}/v1"

    async def __aenter__(self) -> Self:
        """Start to listen."""
        application = web.Application()
        application.add_routes(
            [
                web.post("/v1/chat/completions", self._endpoint("chat/completions")),
                web.post("/v1/responses", self._endpoint("responses")),
                *Organization(self.provider).routes(),
                *Controls(self.provider).routes(),
            ]
        )
        self._runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and end the calls under way."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _endpoint(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            number = next(self._numbers)
            try:
                raw_body = await request.read()
            except ConnectionResetError:
                # Its client has gone before it had said what it wants: nobody hears this.
                return web.Response(status=400)
            call = Call(
                endpoint=endpoint,
                authorization=request.headers.get("Authorization", ""),
                raw_body=raw_body,
                consumer=request.headers.get("User-Agent", ""),
                headers={"x-request-id": f"req_{number}"},
            )
            try:
                charged, seconds = self.provider.admit(call)
            except ApiError as error:
                return web.json_response(
                    error.body(), status=error.status, headers=call.headers | error.headers()
                )
            await asyncio.sleep(seconds)
            self.provider.finish(call, charged)
            body = completion(endpoint, call.model, charged, number, created=int(time.time()))
            return web.json_response(body, headers=call.headers)

        return handle
