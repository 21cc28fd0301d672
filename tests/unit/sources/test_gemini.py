"""Google's dialect: the Gemini API, Vertex AI, and the APIs of both that are OpenAI's."""

import json
from typing import Any

import pytest

from probing import probed, request_of
from scanpool.models.conditions import Reason
from scanpool.models.llm import BASE_URLS, Provider
from scanpool.models.observation import ProviderState
from scanpool.models.reading import Available, Unavailable
from scanpool.sources.probe import MOST_TOKENS

GEMINI = BASE_URLS[Provider.GEMINI]
FLASH = "gemini-2.5-flash"
VERTEX = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1"
KEY, TOKEN = "AIzaSy-key", "ya29.a0-token"


@pytest.mark.parametrize(
    ("base", "model", "url"),
    [
        (GEMINI, FLASH, f"{GEMINI}/models/{FLASH}:generateContent"),
        (f"{GEMINI}/", f"models/{FLASH}", f"{GEMINI}/models/{FLASH}:generateContent"),
        (GEMINI, "tunedModels/scan-1", f"{GEMINI}/tunedModels/scan-1:generateContent"),
        (
            f"{VERTEX}/publishers/google",
            FLASH,
            f"{VERTEX}/publishers/google/models/{FLASH}:generateContent",
        ),
        (VERTEX, "endpoints/42", f"{VERTEX}/endpoints/42:generateContent"),
        # A name is no path.
        (GEMINI, "a/b", f"{GEMINI}/models/a%2Fb:generateContent"),
        (GEMINI, "models/../x?y#z", f"{GEMINI}/models/..%2Fx%3Fy%23z:generateContent"),
        (GEMINI, "models/", f"{GEMINI}/models/models%2F:generateContent"),
    ],
)
@pytest.mark.parametrize(
    ("key", "header", "value"),
    [(KEY, "x-goog-api-key", KEY), (TOKEN, "authorization", f"Bearer {TOKEN}")],
)
async def test_the_smallest_call(
    base: str, model: str, url: str, key: str, header: str, value: str
) -> None:
    request = await request_of(Provider.GEMINI, base, key=key, model=model)

    assert str(request.url) == url
    assert request.headers[header] == value
    assert ("x-goog-api-key" in request.headers) != ("authorization" in request.headers)
    body = json.loads(request.content)
    assert body["contents"] == [{"role": "user", "parts": [{"text": "1"}]}]
    assert body["generationConfig"]["maxOutputTokens"] <= MOST_TOKENS


@pytest.mark.parametrize("base", [f"{GEMINI}/openai/", f"{VERTEX}/endpoints/openapi"])
async def test_the_call_of_the_api_that_is_openais(base: str) -> None:
    request = await request_of(Provider.GEMINI, base, key=KEY, model=FLASH)

    assert str(request.url) == f"{base.rstrip('/')}/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    body = json.loads(request.content)
    assert (body["model"], body["max_tokens"]) == (FLASH, 16)


@pytest.mark.parametrize(
    ("body", "spent"),
    [
        ({"usageMetadata": {"promptTokenCount": 2, "totalTokenCount": 15}}, 15),
        ({"usage": {"prompt_tokens": 2, "total_tokens": 15}}, 15),
        ({"candidates": []}, None),
    ],
)
async def test_an_answer_tells_no_limit(body: dict[str, Any], spent: int | None) -> None:
    reading = await probed(Provider.GEMINI, 200, body)
    assert isinstance(reading, Available)
    assert reading.value == ProviderState(tokens_spent=spent)


def google(code: int, status: str, message: str = "x", reason: str | None = None) -> dict[str, Any]:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}
    details = {} if reason is None else {"details": [info]}
    return {"error": {"code": code, "message": message, "status": status, **details}}


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, google(400, "INVALID_ARGUMENT", "API key not valid.", "API_KEY_INVALID"),
         Reason.PROVIDER_AUTHENTICATION_FAILED),
        (401, google(401, "UNAUTHENTICATED", reason="ACCESS_TOKEN_EXPIRED"),
         Reason.PROVIDER_AUTHENTICATION_FAILED),
        (403, google(403, "PERMISSION_DENIED", reason="SERVICE_DISABLED"),
         Reason.PROVIDER_AUTHENTICATION_FAILED),
        (404, google(404, "NOT_FOUND", "models/x is not found for API version v1beta"),
         Reason.MODEL_NOT_FOUND),
        (400, google(400, "FAILED_PRECONDITION", "User location is not supported"),
         Reason.PROVIDER_ERROR),
        (503, google(503, "UNAVAILABLE", "The model is overloaded."), Reason.PROVIDER_UNREACHABLE),
        (500, google(500, "INTERNAL"), Reason.PROVIDER_UNREACHABLE),
    ],
)  # fmt: skip
async def test_what_fails_is_told_apart(
    status: int, body: dict[str, Any], reason: Reason, *, listed: bool
) -> None:
    reading = await probed(Provider.GEMINI, status, [body] if listed else body)
    assert isinstance(reading, Unavailable), reading
    assert reading.reason is reason


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(
    ("message", "state"),
    [
        ("Resource has been exhausted (e.g. check quota).", ProviderState(rate_limited=True)),
        ("You exceeded your current quota, please check your plan and billing details.",
         ProviderState(rate_limited=True)),
        ("Your prepayment credits are depleted.",
         ProviderState(billing_code="insufficient_balance")),
        ("Your project has exceeded its monthly spending cap.",
         ProviderState(billing_code="spend_limit_reached")),
    ],
)  # fmt: skip
async def test_a_limit_is_none_that_money_ends(
    message: str, state: ProviderState, *, listed: bool
) -> None:
    body = google(429, "RESOURCE_EXHAUSTED", message)
    reading = await probed(Provider.GEMINI, 429, [body] if listed else body)
    assert isinstance(reading, Available), reading
    assert reading.value == state
