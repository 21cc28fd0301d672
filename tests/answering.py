"""A provider that gives one written answer for each path, and remembers what it was asked."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

from aiohttp import web

Body = Mapping[str, Any]


class Reply(NamedTuple):
    """An answer; a `body` that is no text is sent as JSON."""

    status: int
    body: object = ""
    headers: Mapping[str, str] = {}


class Answering:
    """An HTTP server on a free port; `answer` may be changed while it runs.

    It gets the path below `/v1` and the request's body. Use as an async context manager.
    """

    def __init__(self, answer: Callable[[str, Body], Reply]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Body]] = []
        self._runner: web.AppRunner | None = None
        self.base_url = ""

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.add_routes([web.post("/v1/{path:.*}", self._handle)])
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        path, body = request.match_info["path"], await request.json()
        self.asked.append((path, body))
        status, answer, headers = self.answer(path, body)
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return web.Response(status=status, text=text, headers=dict(headers))
