"""Probe a provider whose answer is written down."""

import json
from collections.abc import Mapping

import httpx

from scanpool.models.llm import Provider
from scanpool.models.observation import ProviderState
from scanpool.models.reading import Reading
from scanpool.sources.probe import probe

NOW = 1_000.0


async def probed(
    provider: Provider,
    status: int,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    *,
    key: str = "sk-key",
    now: float = NOW,
) -> Reading[ProviderState]:
    """Return the reading of one answer; a `body` that is no text is sent as JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    transport = httpx.MockTransport(
        lambda _: httpx.Response(status, text=text, headers=dict(headers or {}))
    )
    async with httpx.AsyncClient(transport=transport) as http:
        return await probe(
            http, provider, "https://llm/v1/", None, key, "gpt-5.2", clock=lambda: now
        )


async def request_of(
    provider: Provider,
    base_url: str = "https://llm/v1/",
    api_version: str | None = None,
    *,
    key: str = "sk-key",
    model: str = "gpt-5.2",
) -> httpx.Request:
    """Return the one request that a probe makes."""
    requests: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json={})

    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
        await probe(http, provider, base_url, api_version, key, model, clock=lambda: NOW)
    (request,) = requests
    return request
