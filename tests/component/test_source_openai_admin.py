import time
from collections.abc import AsyncIterator

import pytest

from scanpool.models.conditions import Reason
from scanpool.models.observation import ConfiguredLimits
from scanpool.models.reading import Unavailable
from scanpool.sources.http import HttpClients
from scanpool.sources.openai_admin import PAGE_ENTRIES, read_limits
from scanpool_sandbox.openai_provider import PROJECT, OpenAISettings

KEY, MODEL = "sk-admin-sandbox", "gpt-5.2"


@pytest.fixture
async def ask() -> AsyncIterator[object]:
    clients = HttpClients()

    async def ask(server: object, key: str = KEY, project: str = PROJECT, model: str = MODEL):
        http = clients.get(None)
        return await read_limits(http, server.base_url, key, project, model, clock=time.time)

    yield ask
    await clients.aclose()


async def test_the_limits_and_their_change(openai_server, ask) -> None:
    server = await openai_server(OpenAISettings(tokens_per_minute=30_000, requests_per_minute=500))
    assert (await ask(server)).value == ConfiguredLimits(30_000, 500)
    assert (await ask(server, model=f"{MODEL}-2025-12-11")).value == ConfiguredLimits(30_000, 500)

    server.provider.set_limits(tokens_per_minute=60_000)
    assert (await ask(server)).value == ConfiguredLimits(60_000, 500)


async def test_a_model_on_a_later_page(openai_server, ask) -> None:
    names = tuple(f"a-{number}" for number in range(2 * PAGE_ENTRIES))
    server = await openai_server(OpenAISettings(models=(*names, MODEL)))
    server.provider.set_limits(tokens_per_minute=7_000, model=MODEL)
    assert (await ask(server)).value.tokens_per_minute == 7_000


async def test_every_failure_is_told_apart(openai_server, ask) -> None:
    server = await openai_server(OpenAISettings())
    readings = [
        await ask(server, key="sk-wrong"),
        await ask(server, key="sk-sandbox"),
        await ask(server, project="proj_other"),
        await ask(server, model="gpt-0"),
    ]
    assert all(isinstance(reading, Unavailable) for reading in readings)
    assert [reading.reason for reading in readings] == [
        Reason.PROVIDER_AUTHENTICATION_FAILED,
        Reason.PROVIDER_AUTHENTICATION_FAILED,
        Reason.PROVIDER_ERROR,
        Reason.LIMIT_UNKNOWN,
    ]
