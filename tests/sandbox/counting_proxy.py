"""A proxy before an HTTP server that counts the requests for its paths."""

from collections import Counter
from typing import Self

from aiohttp import ClientSession, web
from yarl import URL


class CountingProxy:
    """Passes GET requests on to `host:port`, their credentials included."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self.requests: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        self._client = ClientSession()
        application = web.Application()
        application.router.add_get("/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port: int = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def _pass_on(self, request: web.Request) -> web.Response:
        self.requests[request.path] += 1
        # As it came: a %2F in a path must not become a slash.
        url = URL(f"http://{self._upstream}{request.raw_path}", encoded=True)
        headers = {"Authorization": request.headers["Authorization"]}
        async with self._client.get(url, headers=headers) as answer:
            body = await answer.read()
            return web.Response(status=answer.status, body=body, content_type=answer.content_type)
