import asyncio
import json
import re
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from scanpool_sandbox.openai_provider import Latency, OpenAISettings
from scanpool_sandbox.openai_server import OpenAIServer

KEY = {"Authorization": "Bearer sk-sandbox"}


async def post(server: OpenAIServer, path: str, body: object, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(server.url + path, json=body, headers=KEY | headers)


async def get(server: OpenAIServer, path: str) -> Any:
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(server.url + path)
        return response.raise_for_status().json()


def chat(tokens: int, content: object = "hello", **more: object) -> dict[str, object]:
    return {
        "model": "gpt-5.2",
        "messages": [{"role": "user", "content": content}],
        "max_completion_tokens": tokens,
        **more,
    }


async def test_a_chat_completion_is_charged_its_output_limit(openai_server) -> None:
    server = await openai_server(OpenAISettings(tokens_per_minute=60_000, requests_per_minute=600))

    answer = await post(server, "/v1/chat/completions", chat(1_500))

    assert answer.status_code == 200
    assert answer.json()["usage"] == {
        "prompt_tokens": 2,
        "completion_tokens": 1_498,
        "total_tokens": 1_500,
    }
    assert answer.headers["x-ratelimit-limit-tokens"] == "60000"
    assert answer.headers["x-ratelimit-remaining-tokens"] == "58500"
    assert answer.headers["x-ratelimit-reset-tokens"] == "1.5s"
    assert answer.headers["x-ratelimit-limit-requests"] == "600"
    assert answer.headers["x-ratelimit-remaining-requests"] == "599"
    assert answer.headers["x-ratelimit-reset-requests"] == "100ms"


async def test_a_response_is_charged_its_text_and_images_where_that_is_more(openai_server) -> None:
    server = await openai_server(OpenAISettings())
    content = [
        {"type": "input_text", "text": "x" * 4_000},
        {"type": "input_image", "image_url": "https://images.invalid/" + "a" * 9_000},
    ]
    body = {
        "model": "gpt-5.2",
        "input": [{"role": "user", "content": content}],
        "max_output_tokens": 16,
    }

    answer = await post(server, "/v1/responses", body)

    usage = answer.json()["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (
        1_085,
        0,
        1_085,
    )


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer nope"}, {"Authorization": ""}])
async def test_a_wrong_key_is_refused(openai_server, headers: dict[str, str]) -> None:
    server = await openai_server(OpenAISettings())

    answer = await post(server, "/v1/chat/completions", chat(1), **headers)

    assert answer.status_code == 401
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
    assert "nope" not in answer.text


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("chat/completions", chat(1) | {"model": "gpt-0"}, 404, "model_not_found"),
        ("chat/completions", chat(0), 400, "integer_below_min_value"),
        ("chat/completions", chat(1) | {"max_completion_tokens": "9"}, 400, "invalid_type"),
        ("chat/completions", {"model": "gpt-5.2", "max_tokens": 9}, 400, "unsupported_parameter"),
        ("chat/completions", {"messages": []}, 400, "missing_required_parameter"),
        (
            "responses",
            {"model": "gpt-5.2", "max_output_tokens": 15},
            400,
            "integer_below_min_value",
        ),
    ],
)
async def test_a_request_that_can_never_work_says_why(
    openai_server, path: str, body: object, status: int, code: str
) -> None:
    server = await openai_server(OpenAISettings())

    answer = await post(server, f"/v1/{path}", body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert server.provider.state()["tokens"] == 0


async def test_too_many_tokens_are_refused_with_limit_used_requested_and_wait(
    openai_server,
) -> None:
    server = await openai_server(OpenAISettings(tokens_per_minute=6_000))
    await post(server, "/v1/chat/completions", chat(6_000))

    answer = await post(server, "/v1/chat/completions", chat(3_000))

    assert answer.status_code == 429
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "tokens")
    counts = re.search(
        r"Limit 6000, Used (\d+), Requested 3000\. Please try again in [\d.]+s\.", error["message"]
    )
    assert counts is not None
    assert 5_000 < int(counts[1]) <= 6_000
    assert 20 < float(answer.headers["retry-after"]) <= 30
    assert 20_000 < float(answer.headers["retry-after-ms"]) <= 30_000
    assert int(answer.headers["x-ratelimit-remaining-tokens"]) < 3_000


async def test_too_many_requests_are_refused_as_such(openai_server) -> None:
    server = await openai_server(OpenAISettings(requests_per_minute=1))
    await post(server, "/v1/chat/completions", chat(1))

    answer = await post(server, "/v1/chat/completions", chat(1))

    error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "requests")
    assert "Limit 1, Used 1, Requested 1. Please try again in 1m0s." in error["message"]


async def test_a_spent_quota_is_a_billing_error_until_it_is_topped_up(openai_server) -> None:
    server = await openai_server(OpenAISettings(quota_tokens=100))
    assert (await post(server, "/v1/chat/completions", chat(100))).status_code == 200

    answer = await post(server, "/v1/chat/completions", chat(1))
    assert answer.status_code == 429
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("insufficient_quota", "insufficient_quota")
    assert "retry-after" not in answer.headers

    assert (await post(server, "/sandbox/quota", {"top_up": 50})).json()["quota"] == {
        "granted": 150,
        "spent": 100,
        "remaining": 50,
    }
    assert (await post(server, "/v1/chat/completions", chat(1))).status_code == 200


async def test_a_raised_limit_holds_at_once(openai_server) -> None:
    server = await openai_server(OpenAISettings(tokens_per_minute=1_000))
    await post(server, "/v1/chat/completions", chat(1_000))
    assert (await post(server, "/v1/chat/completions", chat(900))).status_code == 429

    state = (await post(server, "/sandbox/limits", {"tokens_per_minute": 2_000})).json()

    assert state["models"]["gpt-5.2"]["tokens"]["limit"] == 2_000
    assert (await post(server, "/v1/chat/completions", chat(900))).status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [("outage", 503, "server_is_overloaded"), ("slow_down", 429, "slow_down")],
)
async def test_faults_are_switched_on_and_off(
    openai_server, fault: str, status: int, code: str
) -> None:
    server = await openai_server(OpenAISettings())

    await post(server, "/sandbox/fault", {fault: True})
    answer = await post(server, "/v1/chat/completions", chat(1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)

    await post(server, "/sandbox/fault", {fault: False})
    assert (await post(server, "/v1/chat/completions", chat(1))).status_code == 200


async def test_a_command_it_does_not_know_is_refused(openai_server) -> None:
    server = await openai_server(OpenAISettings())

    for path, body in (
        ("limits", {"tpm": 1}),
        ("limits", {"tokens_per_minute": 0}),
        ("quota", {"top_up": -1}),
        ("fault", {"outage": "yes"}),
    ):
        assert (await post(server, f"/sandbox/{path}", body)).status_code == 400
    unknown = {"model": "gpt-0", "tokens_per_minute": 1}
    assert (await post(server, "/sandbox/limits", unknown)).status_code == 404


async def test_keys_of_one_organization_share_the_limits(openai_server) -> None:
    server = await openai_server(
        OpenAISettings(api_keys=("sk-one", "sk-two"), tokens_per_minute=1_000)
    )
    one, two = {"Authorization": "Bearer sk-one"}, {"Authorization": "Bearer sk-two"}

    assert (await post(server, "/v1/chat/completions", chat(1_000), **one)).status_code == 200
    assert (await post(server, "/v1/chat/completions", chat(1_000), **two)).status_code == 429


async def test_models_have_limits_of_their_own(openai_server) -> None:
    server = await openai_server(
        OpenAISettings(models=("gpt-5.2", "gpt-4.1"), tokens_per_minute=1_000)
    )
    await post(server, "/v1/chat/completions", chat(1_000))

    other = await post(server, "/v1/chat/completions", chat(1_000) | {"model": "gpt-4.1"})

    assert other.status_code == 200


async def test_the_account_tells_consumers_apart_by_user_or_agent(openai_server) -> None:
    server = await openai_server(OpenAISettings(tokens_per_minute=1_000))
    await post(server, "/v1/chat/completions", chat(600, user="batch"))
    await post(server, "/v1/chat/completions", chat(300), **{"User-Agent": "scan-worker"})
    await post(server, "/v1/chat/completions", chat(600, user="batch"))

    state = await get(server, "/sandbox/state")
    log = await get(server, "/sandbox/log?consumer=batch")

    assert (state["calls"], state["accepted"], state["tokens"]) == (3, 2, 900)
    assert state["tokens_last_minute"] == 900
    assert state["consumers"]["scan-worker"]["tokens"] == 300
    batch = state["consumers"]["batch"]
    assert (batch["calls"], batch["tokens"], batch["tokens_last_minute"]) == (2, 600, 600)
    assert batch["statuses"] == {"200": 1, "429": 1}
    assert batch["error_codes"] == {"rate_limit_exceeded": 1}
    assert batch["rate_limited"] == {"tokens": 1}
    assert [(entry["tokens"], entry["status"], entry["code"]) for entry in log] == [
        (600, 200, ""),
        (0, 429, "rate_limit_exceeded"),
    ]


async def test_the_log_is_cut_from_the_front(openai_server) -> None:
    server = await openai_server(OpenAISettings())
    for tokens in (1, 2, 3):
        await post(server, "/v1/chat/completions", chat(tokens, content=""))

    assert [entry["tokens"] for entry in await get(server, "/sandbox/log?limit=2")] == [2, 3]


async def test_the_metrics_sum_to_what_was_charged(openai_server) -> None:
    server = await openai_server(OpenAISettings(tokens_per_minute=5_000))
    await post(server, "/v1/chat/completions", chat(1_500, user="scan-worker"))
    await post(server, "/v1/chat/completions", chat(3_000, user="scan-worker"))
    await post(server, "/v1/chat/completions", chat(3_000, user="scan-worker"))

    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(server.url + "/metrics")).text

    samples = [
        sample for family in text_string_to_metric_families(text) for sample in family.samples
    ]
    used = [s for s in samples if s.name == "gen_ai_client_token_usage_sum"]
    assert {s.labels["gen_ai_token_type"] for s in used} == {"input", "output"}
    assert sum(s.value for s in used) == 4_500
    assert {
        (s.labels["gen_ai_request_model"], s.labels["gen_ai_provider_name"], s.labels["consumer"])
        for s in used
    } == {("gpt-5.2", "openai", "scan-worker")}
    ended = {
        (s.labels["error_type"], s.labels["gen_ai_request_model"]): s.value
        for s in samples
        if s.name == "gen_ai_client_operation_duration_seconds_count"
    }
    assert ended == {("", "gpt-5.2"): 2, ("rate_limit_exceeded", "gpt-5.2"): 1}


async def test_only_accepted_calls_take_their_time(openai_server) -> None:
    server = await openai_server(
        OpenAISettings(tokens_per_minute=1_000, latency=Latency(median_seconds=3_600))
    )
    slow = asyncio.create_task(post(server, "/v1/chat/completions", chat(1_000)))
    while server.provider.state()["accepted"] == 0:
        await asyncio.sleep(0.01)

    assert (await post(server, "/v1/chat/completions", chat(1_000))).status_code == 429
    assert not slow.done()

    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow


async def test_a_body_that_is_not_json_is_refused(openai_server) -> None:
    server = await openai_server(OpenAISettings())

    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(server.base_url + "/chat/completions", content=b"{", headers=KEY)

    assert (answer.status_code, json.loads(answer.text)["error"]["code"]) == (400, "invalid_json")


async def test_a_client_that_goes_before_it_has_said_all_is_no_failure(
    openai_server, caplog: pytest.LogCaptureFixture
) -> None:
    server = await openai_server(OpenAISettings())
    address = httpx.URL(server.url)

    _, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    await writer.drain()
    # Answered after it, so the first has been begun.
    await get(server, "/sandbox/state")
    writer.transport.abort()
    await get(server, "/sandbox/state")

    assert not [record for record in caplog.records if record.levelname == "ERROR"]
