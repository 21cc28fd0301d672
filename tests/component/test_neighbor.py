import asyncio
from collections.abc import Callable

from scanpool_sandbox.neighbor import Neighbor
from scanpool_sandbox.openai_provider import OpenAISettings

DONE_SECONDS = 30


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DONE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def test_it_burns_at_its_rate_under_its_own_name_and_stops(openai_server) -> None:
    server = await openai_server(OpenAISettings())
    loop = asyncio.get_running_loop()
    neighbor = Neighbor(server.base_url, "sk-sandbox", "gpt-5.2", tokens_per_minute=3_000_000)
    start = loop.time()
    async with neighbor:
        await until(lambda: neighbor.accepted >= 21)
        seconds = loop.time() - start

    burned = server.provider.state()["consumers"]["neighbor"]
    # Twenty intervals of 5,000 tokens; a busy machine may be late but never early.
    assert seconds >= 20 * 5_000 * 60 / 3_000_000 * 0.99
    assert burned["tokens"] == burned["calls"] * 5_000
    assert not [task for task in asyncio.all_tasks() if "Neighbor" in repr(task.get_coro())]


async def test_it_counts_what_is_refused_and_goes_on(openai_server) -> None:
    server = await openai_server(OpenAISettings(tokens_per_minute=6_000))
    neighbor = Neighbor(server.base_url, "sk-sandbox", "gpt-5.2", tokens_per_minute=600_000)
    async with neighbor:
        await until(lambda: neighbor.refused >= 3)

    assert neighbor.accepted == 1
    assert server.provider.state()["error_codes"] == {"rate_limit_exceeded": neighbor.refused}
