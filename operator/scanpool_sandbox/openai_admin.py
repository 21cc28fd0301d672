"""The controls of the provider, over HTTP.

- GET /sandbox/state: calls, tokens, 429s by type, all per consumer too, the levels, the quota.
- GET /sandbox/log?limit=N&consumer=NAME: the last calls.
- POST /sandbox/limits {"tokens_per_minute": N, "requests_per_minute": N, "model": NAME}
- POST /sandbox/quota {"top_up": N} or {"remaining": N or null for unlimited}
- POST /sandbox/fault {"outage": true} (503 to all) or {"slow_down": true} (429 to all)
- GET /metrics: what an AI gateway in front of the provider would expose.

Each POST answers with the new state. What a POST does not name stays as it is.
"""

from dataclasses import asdict
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from scanpool_sandbox.openai_errors import ApiError
from scanpool_sandbox.openai_provider import Provider

DEFAULT_LOG_ENTRIES = 100


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class LimitsCommand(_Command):
    """New limits; without `model` for all of them."""

    model: str | None = None
    tokens_per_minute: PositiveInt | None = None
    requests_per_minute: PositiveInt | None = None


class QuotaCommand(_Command):
    """A top-up in tokens, or what shall remain."""

    top_up: NonNegativeInt | None = None
    remaining: NonNegativeInt | None = None


class FaultCommand(_Command):
    """Which faults are on."""

    outage: bool | None = None
    slow_down: bool | None = None


CommandT = TypeVar("CommandT", bound=_Command)


class Controls:
    """HTTP handlers over one provider."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to an application."""
        return [
            web.get("/metrics", self.metrics),
            web.get("/sandbox/state", self.state),
            web.get("/sandbox/log", self.log),
            web.post("/sandbox/limits", self.limits),
            web.post("/sandbox/quota", self.quota),
            web.post("/sandbox/fault", self.fault),
        ]

    async def metrics(self, _: web.Request) -> web.Response:
        """Answer a scrape."""
        return web.Response(
            body=self._provider.ledger.metrics(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def state(self, _: web.Request) -> web.Response:
        """Answer with the provider's account."""
        return web.json_response(self._provider.state())

    async def log(self, request: web.Request) -> web.Response:
        """Answer with the last calls, oldest first."""
        try:
            limit = int(request.query.get("limit", DEFAULT_LOG_ENTRIES))
        except ValueError:
            raise web.HTTPBadRequest(text="limit must be a number") from None
        entries = self._provider.ledger.entries(limit=limit, consumer=request.query.get("consumer"))
        return web.json_response([asdict(entry) for entry in entries])

    async def limits(self, request: web.Request) -> web.Response:
        """Change limits."""
        command = await _parse(request, LimitsCommand)
        try:
            self._provider.set_limits(
                tokens_per_minute=command.tokens_per_minute,
                requests_per_minute=command.requests_per_minute,
                model=command.model,
            )
        except ApiError as error:
            return web.json_response(error.body(), status=error.status)
        return await self.state(request)

    async def quota(self, request: web.Request) -> web.Response:
        """Top up the quota, or set what remains."""
        command = await _parse(request, QuotaCommand)
        if "remaining" in command.model_fields_set:
            self._provider.quota.set_remaining(command.remaining)
        if command.top_up is not None:
            self._provider.quota.top_up(command.top_up)
        return await self.state(request)

    async def fault(self, request: web.Request) -> web.Response:
        """Turn faults on or off."""
        command = await _parse(request, FaultCommand)
        faults = self._provider.faults
        if command.outage is not None:
            faults.outage = command.outage
        if command.slow_down is not None:
            faults.slow_down = command.slow_down
        return await self.state(request)


async def _parse(request: web.Request, command: type[CommandT]) -> CommandT:
    try:
        return command.model_validate_json(await request.read())
    except ValidationError as error:
        raise web.HTTPBadRequest(text=str(error)) from None
