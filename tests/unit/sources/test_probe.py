"""What holds for every provider: how failures are told apart, and which calls are not made."""

from typing import Any

import pytest

from probing import NOW, probed
from scanpool.models.conditions import Reason
from scanpool.models.llm import Provider
from scanpool.models.observation import ProviderState
from scanpool.models.reading import Available, Unavailable
from scanpool.sources.probe import DIALECTS, MOST_TOKENS
from scanpool.sources.text import mapping

LIMITS = {
    "x-ratelimit-limit-tokens": "30000",
    "anthropic-ratelimit-tokens-limit": "30000",
}
every_provider = pytest.mark.parametrize("provider", list(Provider))


def error(code: str | None, kind: str = "", message: str = "") -> dict[str, Any]:
    return {"error": {"code": code, "type": kind, "message": message}}


def test_every_provider_of_the_spec_has_a_dialect() -> None:
    assert set(DIALECTS) == set(Provider)


@every_provider
def test_no_probe_asks_for_more_tokens_than_it_is_said_to_cost(provider: Provider) -> None:
    body = DIALECTS[provider].call("https://llm", None, "key", "model").body
    bounds = {**body, **mapping(body.get("generationConfig"))}
    (output,) = [size for name, size in bounds.items() if name.startswith("max")]
    assert isinstance(output, int)
    assert 0 < output <= MOST_TOKENS / 2


@every_provider
@pytest.mark.parametrize(
    ("status", "body", "reason", "words"),
    [
        (401, error("invalid_api_key"), Reason.PROVIDER_AUTHENTICATION_FAILED, "apiKeySecretRef"),
        (403, error(None, "", "Country not supported"), Reason.PROVIDER_AUTHENTICATION_FAILED,
         "Country not supported"),
        (404, error("model_not_found"), Reason.MODEL_NOT_FOUND, "'gpt-5.2'"),
        (404, error("DeploymentNotFound"), Reason.MODEL_NOT_FOUND, "deployment"),
        (503, error("server_is_overloaded"), Reason.PROVIDER_UNREACHABLE, "server_is_overloaded"),
        (529, error(None, "overloaded_error"), Reason.PROVIDER_UNREACHABLE, "overloaded_error"),
        (504, error(None, "timeout_error"), Reason.PROVIDER_UNREACHABLE, "timeout_error"),
        (502, "<html>", Reason.PROVIDER_UNREACHABLE, "HTTP 502"),
        (400, error("bad", "", "no such thing"), Reason.PROVIDER_ERROR, "no such thing"),
        (413, error(None, "request_too_large"), Reason.PROVIDER_ERROR, "request_too_large"),
        (302, "", Reason.PROVIDER_ERROR, "HTTP 302"),
    ],
)  # fmt: skip
async def test_every_failure_is_told_apart(
    provider: Provider, status: int, body: object, reason: Reason, words: str
) -> None:
    # An outage, a wrong key or a wrong model says nothing about limits, whatever its headers say.
    reading = await probed(provider, status, body, {} if status == 400 else LIMITS)
    assert isinstance(reading, Unavailable)
    assert reading.reason is reason
    assert words in reading.message
    assert "https://llm:443" in reading.message


@every_provider
async def test_a_call_that_was_refused_after_the_limits_were_looked_at_tells_them(
    provider: Provider,
) -> None:
    reading = await probed(provider, 400, error("unsupported_value"), LIMITS)
    assert reading == Available(ProviderState(tokens_per_minute=30_000), NOW, "probe")


@every_provider
@pytest.mark.parametrize("body", ["", "<html>", "[]", '{"error": "a string"}', "null", "[" * 9999])
async def test_a_429_that_says_nothing_is_a_rate_limit(provider: Provider, body: str) -> None:
    reading = await probed(provider, 429, body)
    assert reading == Available(ProviderState(rate_limited=True), NOW, "probe")


@every_provider
@pytest.mark.parametrize("key", ["", " \n", "sk-\nx", "sk-é", "sk a"])
async def test_a_key_that_fits_no_header_is_refused_unsent(provider: Provider, key: str) -> None:
    reading = await probed(provider, 200, {}, key=key)
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.PROVIDER_AUTHENTICATION_FAILED
    assert "\n" not in reading.message


@every_provider
async def test_a_key_quoted_in_part_is_blotted_out(provider: Provider) -> None:
    message = "Incorrect API key provided: sk-proj-****************1234. You can find"
    reading = await probed(provider, 401, error("invalid_api_key", "", message))
    assert isinstance(reading, Unavailable)
    assert "1234" not in reading.message
    assert "Incorrect API key provided" in reading.message
