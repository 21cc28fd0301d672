import time
from collections.abc import AsyncIterator

import pytest

from scanpool.models.conditions import Reason
from scanpool.models.llm import Provider
from scanpool.models.observation import ProviderState
from scanpool.models.reading import Available, Unavailable
from scanpool.sources.http import HttpClients
from scanpool.sources.probe import MOST_TOKENS, probe
from scanpool_sandbox.openai_provider import OpenAISettings

KEY, MODEL = "sk-sandbox", "gpt-5.2"


@pytest.fixture
async def ask() -> AsyncIterator[object]:
    clients = HttpClients()

    async def ask(server: object, key: str = KEY, model: str = MODEL) -> object:
        return await probe(
            clients.get(None), Provider.OPENAI, server.base_url, None, key, model, clock=time.time
        )

    yield ask
    await clients.aclose()


async def test_the_limits_and_their_change(openai_server, ask) -> None:
    server = await openai_server(OpenAISettings(tokens_per_minute=30_000, requests_per_minute=500))
    first = (await ask(server)).value
    assert (first.tokens_per_minute, first.requests_per_minute) == (30_000, 500)
    # The probe itself has been charged.
    assert 29_900 < first.tokens_remaining < 30_000

    server.provider.set_limits(tokens_per_minute=60_000)
    assert (await ask(server)).value.tokens_per_minute == 60_000


async def test_a_probe_costs_one_request_and_a_few_tokens(openai_server, ask) -> None:
    server = await openai_server(OpenAISettings())
    spent = (await ask(server)).value.tokens_spent
    state = server.provider.state()
    assert (state["calls"], state["tokens"]) == (1, spent)
    assert 0 < spent <= MOST_TOKENS


async def test_an_exhausted_quota_until_it_is_topped_up(openai_server, ask) -> None:
    server = await openai_server(OpenAISettings(quota_tokens=0))
    assert (await ask(server)).value.billing_code == "insufficient_quota"

    server.provider.quota.top_up(1_000)
    assert (await ask(server)).value.billing_code is None


@pytest.mark.parametrize(
    "settings",
    [OpenAISettings(tokens_per_minute=20), OpenAISettings(requests_per_minute=1)],
)
async def test_a_rate_limit_is_one_and_its_limits_are_still_known(
    openai_server, ask, settings
) -> None:
    server = await openai_server(settings)
    await ask(server)
    state = (await ask(server)).value
    assert state == ProviderState(
        settings.tokens_per_minute,
        settings.requests_per_minute,
        tokens_remaining=state.tokens_remaining,
        rate_limited=True,
        refused_until=state.refused_until,
    )
    assert 0 <= state.refused_until - time.time() < 60


async def test_slow_down_is_not_a_rate_limit(openai_server, ask) -> None:
    server = await openai_server(OpenAISettings())
    server.provider.faults.slow_down = True
    state = (await ask(server)).value
    assert (state.slow_down, state.rate_limited, state.billing_code) == (True, False, None)


async def test_every_failure_is_told_apart(openai_server, ask) -> None:
    server = await openai_server(OpenAISettings())
    wrong_key, wrong_model = await ask(server, key="sk-wrong"), await ask(server, model="gpt-0")
    server.provider.faults.outage = True
    outage = await ask(server)
    assert [reading.reason for reading in (wrong_key, wrong_model, outage)] == [
        Reason.PROVIDER_AUTHENTICATION_FAILED,
        Reason.MODEL_NOT_FOUND,
        Reason.PROVIDER_UNREACHABLE,
    ]
    server.provider.faults.outage = False
    assert isinstance(await ask(server), Available)


async def test_a_provider_that_is_down_is_unreachable(unused_tcp_port) -> None:
    clients = HttpClients()
    url = f"http://127.0.0.1:{unused_tcp_port}/v1"
    reading = await probe(
        clients.get(None), Provider.OPENAI, url, None, KEY, MODEL, clock=time.time
    )
    await clients.aclose()
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.PROVIDER_UNREACHABLE
