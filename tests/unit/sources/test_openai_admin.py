import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from scanpool.models.conditions import Reason
from scanpool.models.observation import ConfiguredLimits
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources.openai_admin import MAX_PAGES, read_limits

NOW = 1_000.0
Handler = Callable[[httpx.Request], httpx.Response]


def entry(model: str, tokens: object = 30_000, requests: object = 500) -> dict[str, Any]:
    return {
        "id": f"rl-{model}",
        "model": model,
        "max_tokens_per_1_minute": tokens,
        "max_requests_per_1_minute": requests,
    }


def listing(*entries: object, has_more: object = False, last_id: object = None) -> dict[str, Any]:
    return {"object": "list", "data": list(entries), "has_more": has_more, "last_id": last_id}


async def read(
    handler: Handler, model: str = "gpt-5.2", key: str = "sk-admin", project: str = "proj_1"
) -> Reading[ConfiguredLimits]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
        return await read_limits(http, "https://llm/v1/", key, project, model, clock=lambda: NOW)


def answering(body: object, status: int = 200) -> Handler:
    text = body if isinstance(body, str) else json.dumps(body)
    return lambda _: httpx.Response(status, text=text)


async def test_it_asks_for_the_project_with_the_admin_key() -> None:
    requests: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json=listing(entry("gpt-5.2")))

    reading = await read(handler, key=" sk-admin\n")

    assert reading == Available(ConfiguredLimits(30_000, 500), NOW, "admin")
    (request,) = requests
    assert request.method == "GET"
    assert str(request.url).startswith(
        "https://llm/v1/organization/projects/proj_1/rate_limits?limit="
    )
    assert request.headers["authorization"] == "Bearer sk-admin"


@pytest.mark.parametrize(
    ("model", "listed", "found"),
    [
        ("gpt-5.2", ["gpt-5", "gpt-5.2", "gpt-5.2-2025-12-11"], "gpt-5.2"),
        ("gpt-5.2-2025-12-11", ["gpt-5.2", "gpt-5.2-2025-12-11"], "gpt-5.2-2025-12-11"),
        ("gpt-5.2-2025-12-11", ["gpt-5", "gpt-5.2", "gpt-5.2-mini"], "gpt-5.2"),
        ("gpt-5.2-mini", ["gpt-5.2"], None),
        ("gpt-5.2-2025-12-11", ["gpt-5"], None),
        ("gpt-5.2", ["gpt-5.2-2025-12-11"], None),
        ("gpt-5.2-1106", ["gpt-5.2"], None),
        ("-2025-12-11", [""], None),
        ("gpt-5.2", [], None),
    ],
)
async def test_which_entry_is_the_models(model: str, listed: list[str], found: str | None) -> None:
    entries = [entry(name, tokens=number) for number, name in enumerate(listed, 1)]
    reading = await read(answering(listing(*entries)), model)

    if found is None:
        assert isinstance(reading, Unavailable)
        assert reading.reason is Reason.LIMIT_UNKNOWN
        assert "llm.admin.projectId" in reading.message
    else:
        assert isinstance(reading, Available)
        assert reading.value.tokens_per_minute == listed.index(found) + 1


@pytest.mark.parametrize(
    ("tokens", "requests", "limits"),
    [
        (2_000_000, 10_000, ConfiguredLimits(2_000_000, 10_000)),
        (2_000_000.0, "10000", ConfiguredLimits(2_000_000, 10_000)),
        (-1, 500, ConfiguredLimits(None, 500)),
        (0, 500, ConfiguredLimits(None, 500)),
        (9_223_372_036_854_775_807, 500, ConfiguredLimits(None, 500)),
        (30_000, None, ConfiguredLimits(30_000, None)),
        (30_000, True, ConfiguredLimits(30_000, None)),
        (0, 0, None),
    ],
)
async def test_an_implausible_limit_is_none(
    tokens: object, requests: object, limits: ConfiguredLimits | None
) -> None:
    reading = await read(answering(listing(entry("gpt-5.2", tokens, requests))))
    if limits is None:
        assert isinstance(reading, Unavailable)
        assert reading.reason is Reason.LIMIT_UNKNOWN
    else:
        assert reading == Available(limits, NOW, "admin")


def pages(count: int, model_on: int) -> tuple[Handler, list[str | None]]:
    """Return a handler with `count` pages, and what it was asked for."""
    asked: list[str | None] = []

    def handler(request: httpx.Request) -> httpx.Response:
        after = request.url.params.get("after")
        asked.append(after)
        number = 1 if after is None else int(after) + 1
        entries = [entry("gpt-5.2" if number == model_on else f"model-{number}")]
        return httpx.Response(
            200, json=listing(*entries, has_more=number < count, last_id=str(number))
        )

    return handler, asked


async def test_the_last_page_is_read_too() -> None:
    handler, asked = pages(count=3, model_on=3)
    assert isinstance(await read(handler), Available)
    assert asked == [None, "1", "2"]


async def test_there_is_an_end_to_pages() -> None:
    handler, asked = pages(count=10**6, model_on=10**6)
    reading = await read(handler)
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.LIMIT_UNKNOWN
    assert len(asked) == MAX_PAGES


@pytest.mark.parametrize(
    "body",
    [
        listing(entry("gpt-5.2"), has_more=True, last_id=None),
        listing(entry("gpt-5.2"), has_more="yes", last_id="rl-gpt-5.2"),
        listing(None, [], "text", {"id": "no model"}, entry("gpt-5.2")),
    ],
)
async def test_a_careless_list_is_taken_as_far_as_it_goes(body: object) -> None:
    assert await read(answering(body)) == Available(ConfiguredLimits(30_000, 500), NOW, "admin")


def error(message: str) -> dict[str, Any]:
    return {"error": {"code": None, "message": message}}


@pytest.mark.parametrize(
    ("status", "body", "reason", "words"),
    [
        (401, error("wrong"), Reason.PROVIDER_AUTHENTICATION_FAILED, "llm.admin.apiKeySecretRef"),
        (403, error("scopes"), Reason.PROVIDER_AUTHENTICATION_FAILED, "llm.admin.apiKeySecretRef"),
        (404, error("gone"), Reason.PROVIDER_ERROR, "llm.admin.projectId"),
        (429, error("slowly"), Reason.PROVIDER_ERROR, "slowly"),
        (503, "<html>", Reason.PROVIDER_UNREACHABLE, "HTTP 503"),
        (200, "<html>", Reason.PROVIDER_ERROR, "llm.baseUrl"),
        (200, {"data": {}}, Reason.PROVIDER_ERROR, "llm.baseUrl"),
        (302, "", Reason.PROVIDER_ERROR, "HTTP 302"),
    ],
)
async def test_every_failure_is_told_apart(
    status: int, body: object, reason: Reason, words: str
) -> None:
    reading = await read(answering(body, status))
    assert isinstance(reading, Unavailable)
    assert reading.reason is reason
    assert words in reading.message
    assert "https://llm:443" in reading.message


@pytest.mark.parametrize("key", ["", " \n", "sk-\nx", "sk-é", "sk a"])
async def test_a_key_that_fits_no_header_is_refused_unsent(key: str) -> None:
    reading = await read(answering("", 500), key=key)
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.PROVIDER_AUTHENTICATION_FAILED
    assert "llm.admin.apiKeySecretRef" in reading.message


async def test_a_project_cannot_lead_elsewhere() -> None:
    paths: list[bytes] = []

    def handler(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path.partition(b"?")[0])
        return httpx.Response(200, json=listing(entry("gpt-5.2")))

    await read(handler, project="../../keys?x=1#")
    assert paths == [b"/v1/organization/projects/..%2F..%2Fkeys%3Fx%3D1%23/rate_limits"]
