import json

import httpx
import pytest

from scanpool.models.conditions import Reason
from scanpool.models.observation import ProviderState
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources.openai import probe

NOW = 1_000.0
LIMITS = {"x-ratelimit-limit-tokens": "30000", "x-ratelimit-limit-requests": "500"}
KNOWN = {"tokens_per_minute": 30_000, "requests_per_minute": 500}


async def asked(
    status: int,
    body: object = None,
    headers: dict[str, str] | None = None,
    *,
    key: str = "sk-key",
) -> Reading[ProviderState]:
    text = body if isinstance(body, str) else json.dumps(body)
    transport = httpx.MockTransport(
        lambda _: httpx.Response(status, text=text, headers=headers or {})
    )
    async with httpx.AsyncClient(transport=transport) as http:
        return await probe(http, "https://llm/v1/", key, "gpt-5.2", clock=lambda: NOW)


def error(code: str | None, kind: str = "", message: str = "") -> dict[str, object]:
    return {"error": {"code": code, "type": kind, "message": message}}


async def test_it_asks_for_the_smallest_completion_with_the_workers_key_and_model() -> None:
    requests: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json={})

    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
        await probe(http, "https://llm/v1", " sk-key\n", "gpt-5.2", clock=lambda: NOW)

    (request,) = requests
    assert (request.method, str(request.url)) == ("POST", "https://llm/v1/chat/completions")
    assert request.headers["authorization"] == "Bearer sk-key"
    body = json.loads(request.content)
    assert (body["model"], body["max_completion_tokens"]) == ("gpt-5.2", 16)


TPM = "on tokens per min (TPM): Limit 2000000, Used 2000000, Requested 16."
RPM = "on requests per min (RPM): Limit 500, Used 500, Requested 1."


@pytest.mark.parametrize(
    ("status", "body", "headers", "state"),
    [
        (200, {}, LIMITS, ProviderState(**KNOWN)),
        (200, "not JSON", LIMITS, ProviderState(**KNOWN)),
        (200, {}, {}, ProviderState()),
        (200, {}, {"x-ratelimit-limit-tokens": "-1"}, ProviderState()),
        (400, error("unsupported_value"), LIMITS, ProviderState(**KNOWN)),
        (
            429,
            error("insufficient_quota", "insufficient_quota"),
            {},
            ProviderState(billing_code="insufficient_quota"),
        ),
        (
            429,
            error(None, "insufficient_quota"),
            {},
            ProviderState(billing_code="insufficient_quota"),
        ),
        (
            429,
            error("credit_balance_exhausted"),
            LIMITS,
            ProviderState(**KNOWN, billing_code="credit_balance_exhausted"),
        ),
        (
            429,
            error("project_spend_limit_exceeded"),
            {},
            ProviderState(billing_code="project_spend_limit_exceeded"),
        ),
        (
            429,
            error("organization_usage_limit_exceeded"),
            {},
            ProviderState(billing_code="organization_usage_limit_exceeded"),
        ),
        (429, error("slow_down"), LIMITS, ProviderState(**KNOWN, slow_down=True)),
        (
            429,
            error("rate_limit_exceeded", "tokens", TPM),
            LIMITS,
            ProviderState(**KNOWN, rate_limited=True),
        ),
        (
            429,
            error("rate_limit_exceeded", "tokens", TPM),
            {},
            ProviderState(tokens_per_minute=2_000_000, rate_limited=True),
        ),
        (
            429,
            error("rate_limit_exceeded", "requests", RPM),
            {},
            ProviderState(requests_per_minute=500, rate_limited=True),
        ),
        (
            429,
            error("rate_limit_exceeded", "tokens", TPM.replace("min (TPM)", "day (TPD)")),
            {},
            ProviderState(rate_limited=True),
        ),
        (429, "<html>", {}, ProviderState(rate_limited=True)),
        (429, {"error": "a string"}, {}, ProviderState(rate_limited=True)),
    ],
)
async def test_what_an_answer_says_about_limits(
    status: int, body: object, headers: dict[str, str], state: ProviderState
) -> None:
    assert await asked(status, body, headers) == Available(state, NOW, "probe")


@pytest.mark.parametrize(
    ("status", "body", "reason", "words"),
    [
        (401, error("invalid_api_key"), Reason.PROVIDER_AUTHENTICATION_FAILED, "apiKeySecretRef"),
        (403, error(None, "", "Country not supported"), Reason.PROVIDER_AUTHENTICATION_FAILED,
         "Country not supported"),
        (404, error("model_not_found"), Reason.MODEL_NOT_FOUND, "'gpt-5.2'"),
        (503, error("server_is_overloaded"), Reason.PROVIDER_UNREACHABLE, "server_is_overloaded"),
        (502, "<html>", Reason.PROVIDER_UNREACHABLE, "HTTP 502"),
        (400, error("bad", "", "no such thing"), Reason.PROVIDER_ERROR, "no such thing"),
        (302, "", Reason.PROVIDER_ERROR, "HTTP 302"),
    ],
)  # fmt: skip
async def test_every_failure_is_told_apart(
    status: int, body: object, reason: Reason, words: str
) -> None:
    # An outage, a wrong key or a wrong model says nothing about limits, whatever its headers say.
    reading = await asked(status, body, {} if status == 400 else LIMITS)
    assert isinstance(reading, Unavailable)
    assert reading.reason is reason
    assert words in reading.message
    assert "https://llm:443" in reading.message


@pytest.mark.parametrize("key", ["", " \n", "sk-\nx", "sk-é", "sk a"])
async def test_a_key_that_fits_no_header_is_refused_unsent(key: str) -> None:
    reading = await asked(200, {}, key=key)
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.PROVIDER_AUTHENTICATION_FAILED
    assert "\n" not in reading.message


async def test_a_key_quoted_in_part_is_blotted_out() -> None:
    message = "Incorrect API key provided: sk-proj-****************1234. You can find"
    reading = await asked(401, error("invalid_api_key", "", message))
    assert isinstance(reading, Unavailable)
    assert "1234" not in reading.message
    assert "Incorrect API key provided" in reading.message
