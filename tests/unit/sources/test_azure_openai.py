"""Azure OpenAI's answers. Header sets are recorded ones, from public bug reports and projects."""

import json
from typing import Any

import pytest

from probing import NOW, probed, request_of
from scanpool.models.llm import Provider
from scanpool.models.observation import ProviderState
from scanpool.models.reading import Available
from scanpool.models.today import Today

RESOURCE = "https://name.openai.azure.com"


DEPLOYMENT = f"{RESOURCE}/openai/deployments/a%2Fb%20c/chat/completions?api-version="


@pytest.mark.parametrize(
    ("base_url", "api_version", "url", "names_model", "output_limit"),
    [
        (
            f"{RESOURCE}/openai/v1/",
            None,
            f"{RESOURCE}/openai/v1/chat/completions",
            True,
            "max_completion_tokens",
        ),
        (RESOURCE, "2024-10-21", f"{DEPLOYMENT}2024-10-21", False, "max_tokens"),
        (
            f"{RESOURCE}/",
            "2025-04-01-preview",
            f"{DEPLOYMENT}2025-04-01-preview",
            False,
            "max_completion_tokens",
        ),
    ],
)
async def test_the_smallest_call_by_either_api(
    base_url: str, api_version: str | None, url: str, names_model: bool, output_limit: str
) -> None:
    request = await request_of(Provider.AZURE_OPENAI, base_url, api_version, model="a/b c")

    assert (request.method, str(request.url)) == ("POST", url)
    assert request.headers["api-key"] == "sk-key"
    assert "authorization" not in request.headers
    body = json.loads(request.content)
    assert (body.get("model") == "a/b c") == names_model
    assert body[output_limit] == 16


def bucket(
    kind: str, limit: object, remaining: object, reset: object, period: object = None
) -> dict[str, str]:
    told = {"limit": limit, "remaining": remaining, "reset": reset, "renewalperiod": period}
    return {
        f"x-ratelimit-{name}-{kind}": str(value)
        for name, value in told.items()
        if value is not None
    }


@pytest.mark.parametrize(
    ("headers", "state"),
    [
        pytest.param(
            bucket("tokens", 1_500_000, 745_399, 30, 60) | bucket("requests", 9000, 8999, 0, 10),
            ProviderState(1_500_000, 9_000, tokens_remaining=745_399),
            id="a deployment of 1.5 M TPM, 2026",
        ),
        pytest.param(
            bucket("tokens", 2_000_000, 1_999_976, 0, 60)
            | bucket("requests", 20_000, 19_999, 0, 60),
            ProviderState(2_000_000, 20_000, tokens_remaining=1_999_976),
            id="another one, 2026",
        ),
        pytest.param(
            bucket("tokens", 750_000, 700_000, 4, 60),
            ProviderState(750_000, tokens_remaining=700_000),
            id="lowered for some hours",
        ),
        pytest.param(
            {"x-ratelimit-remaining-requests": "79", "x-ratelimit-remaining-tokens": "61353"},
            ProviderState(),
            id="what is left of an unknown limit, 2024",
        ),
        pytest.param(bucket("tokens", -1, -1, 0), ProviderState(), id="the Responses API in 2025"),
        pytest.param(
            # 86,400 x the missing share of 0.0347% is 30: without the period, a day's bucket.
            bucket("tokens", 1_500_000, 1_499_479, 30, 60),
            ProviderState(1_500_000, tokens_remaining=1_499_479),
            id="a period of a minute outweighs a reset that looks like a day's",
        ),
        pytest.param(
            bucket("tokens", 1_500_000, 1_499_479, 30),
            ProviderState(tokens_per_day=1_500_000, tokens_today=Today(1_499_479, NOW + 30)),
            id="a reset that looks like a day's",
        ),
        pytest.param(
            bucket("tokens", 2_000_000, 1_999_000, 3, 86_400),
            ProviderState(tokens_per_day=2_000_000, tokens_today=Today(1_999_000, NOW + 3)),
            id="a period of a day",
        ),
        pytest.param(
            bucket("tokens", 30_000, 20, 86_400, 60),
            ProviderState(30_000, tokens_remaining=20),
            id="a reset of a day for a bucket of a minute",
        ),
        pytest.param(
            bucket("tokens", 30_000, 20, "soon", "long"),
            ProviderState(30_000, tokens_remaining=20),
            id="neither reset nor period is a time",
        ),
    ],
)
async def test_the_limits_of_an_answer(headers: dict[str, str], state: ProviderState) -> None:
    answer = await probed(Provider.AZURE_OPENAI, 200, {}, headers)
    assert answer == Available(state, NOW, "probe")


EXCEEDED = "Your requests have exceeded token rate limit. Please retry after 1 second."


def error(**parts: Any) -> dict[str, Any]:
    return {"error": {"message": EXCEEDED, **parts}}


@pytest.mark.parametrize(
    ("body", "headers", "state"),
    [
        pytest.param(
            error(code="429"),
            bucket("tokens", 5000, 0, 0, 60)
            | bucket("requests", 5, 4, 12, 60)
            | {"retry-after": "1", "retry-after-ms": "0", "x-ratelimit-type": "Tokens"},
            ProviderState(5_000, 5, tokens_remaining=0, rate_limited=True, refused_until=NOW),
            id="a small deployment, 2026",
        ),
        pytest.param(
            error(code="429"),
            {"x-rate-limit-reset-tokens": "55", "policy-id": "DeploymentRatelimit-Token"},
            ProviderState(rate_limited=True, refused_until=NOW + 1),
            id="no limit told, 2023",
        ),
        pytest.param(
            error(code="RateLimitReached", details="RateLimitReached"),
            {"retry-after": "45"},
            ProviderState(rate_limited=True, refused_until=NOW + 45),
            id="RateLimitReached",
        ),
        pytest.param(
            error(code="too_many_requests", type="too_many_requests"),
            {"retry-after-ms": "1200"},
            ProviderState(rate_limited=True, refused_until=NOW + 1.2),
            id="too_many_requests",
        ),
        pytest.param(
            {"statusCode": 429, "message": "Token limit is exceeded. Try again in 51 seconds."},
            {"retry-after": "51"},
            ProviderState(rate_limited=True, refused_until=NOW + 51),
            id="API Management",
        ),
        pytest.param(
            {"error": {"code": "insufficient_quota", "message": "x"}},
            {},
            ProviderState(billing_code="insufficient_quota"),
            id="billing",
        ),
    ],
)
async def test_what_a_429_says(body: object, headers: dict[str, str], state: ProviderState) -> None:
    assert await probed(Provider.AZURE_OPENAI, 429, body, headers) == Available(state, NOW, "probe")


@pytest.mark.parametrize(
    ("wait", "limit"),
    [
        ({"retry-after-ms": "1200"}, 30_000),
        ({"retry-after": "45"}, 30_000),
        ({"retry-after": "86400"}, None),
        ({"retry-after-ms": "86400000", "retry-after": "1"}, None),
        ({"retry-after-ms": "900", "retry-after": "86400"}, 30_000),
        ({"retry-after-ms": "soon", "retry-after": "later"}, 30_000),
        ({"retry-after": "Mon, 24 Feb 2025 20:38:03 GMT"}, 30_000),
        ({}, 30_000),
    ],
)
async def test_the_wait_of_a_refusal_is_the_reset_of_an_empty_bucket_without_one(
    wait: dict[str, str], limit: int | None
) -> None:
    empty = bucket("tokens", 30_000, 0, None) | bucket("requests", 60, 50, None)
    reading = await probed(Provider.AZURE_OPENAI, 429, error(code="429"), empty | wait)
    assert isinstance(reading, Available)
    state, level = reading.value, None if limit is None else 0
    assert (state.tokens_per_minute, state.tokens_remaining) == (limit, level)
    assert (state.requests_per_minute, state.rate_limited) == (60, True)
