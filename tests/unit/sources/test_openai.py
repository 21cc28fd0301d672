import json

import pytest

from probing import NOW, probed, request_of
from scanpool.models.llm import Provider
from scanpool.models.observation import ProviderState
from scanpool.models.reading import Available

LIMITS = {"x-ratelimit-limit-tokens": "30000", "x-ratelimit-limit-requests": "500"}
KNOWN = {"tokens_per_minute": 30_000, "requests_per_minute": 500}


def error(code: str | None, kind: str = "", message: str = "") -> dict[str, object]:
    return {"error": {"code": code, "type": kind, "message": message}}


async def test_it_asks_for_the_smallest_completion_with_the_workers_key_and_model() -> None:
    request = await request_of(Provider.OPENAI, key=" sk-key\n")

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
        (200, {"usage": {"total_tokens": 24}}, {}, ProviderState(tokens_spent=24)),
        (200, {"usage": {"total_tokens": "many"}}, {}, ProviderState()),
        (200, {"usage": None}, {}, ProviderState()),
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
            ProviderState(
                rate_limited=True, tokens_per_day=2_000_000, used_up_quota="tokens per day"
            ),
        ),
        (
            429,
            error("rate_limit_exceeded", "tokens", TPM),
            {**LIMITS, "x-ratelimit-remaining-tokens": "0"},
            ProviderState(**KNOWN, tokens_remaining=0, rate_limited=True),
        ),
        (429, "<html>", {}, ProviderState(rate_limited=True)),
        (429, {"error": "a string"}, {}, ProviderState(rate_limited=True)),
    ],
)
async def test_what_an_answer_says_about_limits(
    status: int, body: object, headers: dict[str, str], state: ProviderState
) -> None:
    assert await probed(Provider.OPENAI, status, body, headers) == Available(state, NOW, "probe")
