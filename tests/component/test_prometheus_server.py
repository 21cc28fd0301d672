import asyncio
from pathlib import Path

import httpx
import pytest

from scanpool_sandbox.openai_provider import OpenAISettings
from scanpool_sandbox.processes import StartError
from scanpool_sandbox.prometheus_server import PrometheusServer

SCRAPED_WITHIN_SECONDS = 30


async def test_it_scrapes_the_providers_token_usage(openai_server, prometheus) -> None:
    provider = await openai_server(OpenAISettings())
    server = await asyncio.to_thread(prometheus, {"llm": [provider.address]})
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.post(
            f"{provider.base_url}/chat/completions",
            json={"model": "gpt-5.2", "messages": [], "max_completion_tokens": 1_500},
            headers={"Authorization": "Bearer sk-sandbox"},
        )

        async with asyncio.timeout(SCRAPED_WITHIN_SECONDS):
            while True:
                answer = await client.get(
                    f"{server.url}/api/v1/query",
                    params={"query": "sum(gen_ai_client_token_usage_sum)"},
                )
                result = answer.json()["data"]["result"]
                if result:
                    break
                await asyncio.sleep(0.1)

    assert float(result[0]["value"][1]) == 1_500


def test_it_stops_what_it_started(tmp_path: Path) -> None:
    with PrometheusServer(tmp_path, {}) as server:
        assert httpx.get(f"{server.url}/-/ready", trust_env=False).is_success

    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/-/ready", trust_env=False)


def test_a_configuration_it_refuses_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="prometheus exited with"):
        PrometheusServer(tmp_path, {"llm": ["http://not-a-host-and-port/"]}).start()
