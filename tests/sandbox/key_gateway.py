"""One address for several accounts of a provider, as a gateway has: the key says which is meant."""

from collections.abc import Mapping
from typing import Self

from aiohttp import ClientSession, web


class KeyGateway:
    """Passes calls on to the base URL of the account that a key is of, and answers as it does."""

    def __init__(self, accounts: Mapping[str, str]) -> None:
        self._accounts = accounts

    async def __aenter__(self) -> Self:
        self._client = ClientSession()
        application = web.Application()
        application.router.add_post("/v1/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def _pass_on(self, request: web.Request) -> web.Response:
        authorization = request.headers["Authorization"]
        account = self._accounts[authorization.removeprefix("Bearer ")]
        async with self._client.post(
            f"{account}/{request.match_info['path']}",
            data=await request.read(),
            headers={"Authorization": authorization, "Content-Type": request.content_type},
        ) as answer:
            told = {
                name: value
                for name, value in answer.headers.items()
                if name.lower().startswith(("x-ratelimit-", "retry-after"))
            }
            return web.Response(
                status=answer.status,
                body=await answer.read(),
                content_type=answer.content_type,
                headers=told,
            )
