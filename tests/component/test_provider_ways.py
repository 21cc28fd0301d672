"""Models that are asked in another way than most, and how the probe finds it out."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from answering import Answering, Body, Reply
from scanpool.models.conditions import Reason
from scanpool.models.llm import Provider
from scanpool.models.observation import ProviderState
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources.http import HttpClients
from scanpool.sources.openai import OPENAI
from scanpool.sources.probe import MOST_TOKENS, probe
from scanpool.sources.ways import Way
from scanpool_sandbox.openai_provider import OpenAISettings

NOW = 1_000.0
CHAT, RESPONSES = "chat/completions", "responses"
LIMITS = {"x-ratelimit-limit-tokens": "30000", "x-ratelimit-limit-requests": "500"}
ANSWER = Reply(200, {"usage": {"total_tokens": 24}}, LIMITS)
KNOWN = ProviderState(30_000, 500, tokens_spent=24)


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": None, **more}}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    clients = HttpClients()
    yield clients.get(None)
    await clients.aclose()


@pytest.fixture
def ask(http: httpx.AsyncClient) -> Callable[..., Awaitable[Reading[ProviderState]]]:
    async def ask(
        server: Answering, provider: Provider = Provider.OPENAI, version: str | None = None
    ) -> Reading[ProviderState]:
        url = server.base_url
        return await probe(http, provider, url, version, "sk-key", "gpt-5-pro", clock=lambda: NOW)

    return ask


def fields(server: Answering) -> list[tuple[str, str]]:
    """Where each call went, and by which field it bounded the answer."""
    return [
        (path, next(name for name in body if name.startswith("max_")))
        for path, body in server.asked
    ]


@pytest.mark.parametrize(
    "refusal",
    [
        Reply(404, error("This model is only supported in v1/responses and not in "
                         "v1/chat/completions.", param="model")),
        Reply(404, error("This is not a chat model and thus not supported in the "
                         "v1/chat/completions endpoint. Did you mean to use v1/completions?",
                         param="model")),
        Reply(400, error("gpt-5-pro is not supported in the v1/chat/completions endpoint")),
        Reply(400, error("This model does not support chat completions.", code="unsupported")),
        Reply(400, error("model gpt-5-pro is not accessible via the /chat/completions endpoint",
                         code="unsupported_api_for_model")),
        Reply(400, error("The chatCompletion operation does not work with the specified model, "
                         "gpt-5-pro.", code="OperationNotSupported")),
        Reply(400, error("The requested operation is unsupported.", code="OperationNotSupported")),
        Reply(400, error("Chat completions are not available for this model.")),
        Reply(404, error("Please use the Responses API for this model.", param="model")),
        Reply(400, error("Unsupported endpoint. Supported endpoints: /responses")),
        Reply(400, error("x", code="unsupported_endpoint")),
        Reply(400, error("chat_completions not supported by deployment")),
        Reply(400, error("gpt-5-pro is not a chat-completion model")),
        Reply(405, error("chat/completions not allowed for this model")),
        Reply(400, error("The operation is unsupported.", code="unsupported_operation")),
        # In the words of LiteLLM.
        Reply(404, error("litellm.NotFoundError: OpenAIException - {'error': {'message': 'This "
                         "model is only supported in v1/responses and not in v1/chat/completions."
                         "', 'code': None}}", type=None, code="404")),
    ],
)  # fmt: skip
async def test_a_model_without_chat_completions_is_asked_by_responses(ask, refusal: Reply) -> None:
    async with Answering(lambda path, _: refusal if path == CHAT else ANSWER) as server:
        assert await ask(server) == Available(KNOWN, NOW, "probe")
        assert server.asked[1] == (
            RESPONSES,
            {"model": "gpt-5-pro", "input": "1", "store": False, "max_output_tokens": 16},
        )
        # From then on at once.
        assert await ask(server) == Available(KNOWN, NOW, "probe")
        assert [path for path, _ in server.asked] == [CHAT, RESPONSES, RESPONSES]


ONLY_RESPONSES = Reply(404, error("This model is only supported in v1/responses.", param="model"))


@pytest.mark.parametrize(
    ("refusal", "state"),
    [
        (Reply(429, error("x", type="insufficient_quota"), LIMITS),
         ProviderState(30_000, 500, billing_code="insufficient_quota")),
        (Reply(429, error("x", code="rate_limit_exceeded"), LIMITS),
         ProviderState(30_000, 500, rate_limited=True)),
        (Reply(503, error("x", code="slow_down")), ProviderState(slow_down=True)),
    ],
)  # fmt: skip
async def test_what_responses_refuse_is_read_as_any_refusal(
    ask, refusal: Reply, state: ProviderState
) -> None:
    async with Answering(lambda path, _: ONLY_RESPONSES if path == CHAT else refusal) as server:
        assert await ask(server) == Available(state, NOW, "probe")
        assert await ask(server) == Available(state, NOW, "probe")
        assert [path for path, _ in server.asked] == [CHAT, RESPONSES, RESPONSES]


def takes_only(field: str, refusal: Reply) -> Callable[[str, Body], Reply]:
    return lambda _, body: ANSWER if field in body else refusal


NEW, OLD = "max_completion_tokens", "max_tokens"
USE_NEW = f"Unsupported parameter: '{OLD}' is not supported with this model. Use '{NEW}' instead."
EXTRA = {"type": "extra_forbidden", "loc": ["body", NEW], "msg": "Extra inputs are not permitted"}


@pytest.mark.parametrize(
    ("provider", "version", "taken", "refusal"),
    [
        (Provider.OPENAI, None, OLD,
         Reply(400, error(f"Unsupported parameter: '{NEW}' is not supported with this model.",
                          param=NEW, code="unsupported_parameter"))),
        (Provider.OPENAI, None, OLD,
         Reply(400, error(f"Unrecognized request argument supplied: {NEW}"))),
        (Provider.OPENAI, None, OLD, Reply(422, {"detail": [EXTRA]})),
        (Provider.OPENAI, None, OLD, Reply(400, error("x", param=NEW))),
        (Provider.OPENAI, None, OLD, Reply(400, error("x", param=NEW, code="unsupported_value"))),
        (Provider.OPENAI, None, OLD,
         Reply(400, error(f"The parameter {NEW} does not exist", code="invalid_parameter"))),
        (Provider.OPENAI, None, OLD, Reply(400, error(f"'{NEW}' is invalid for this model."))),
        (Provider.OPENAI, None, OLD, Reply(400, error(f"{NEW} is only for reasoning models."))),
        (Provider.OPENAI, None, OLD, Reply(400, error(f"{NEW} cannot be used with this model."))),
        (Provider.AZURE_OPENAI, "2024-10-21", NEW, Reply(400, error("x", param=OLD))),
        (Provider.OPENAI, None, OLD,
         Reply(400, error(f"Unknown parameter: '{NEW}'.", code="unknown_parameter"), LIMITS)),
        (Provider.AZURE_OPENAI, None, OLD,
         Reply(400, error(f"Unrecognized request argument supplied: {NEW}"))),
        (Provider.AZURE_OPENAI, "2024-10-21", NEW,
         Reply(400, error(USE_NEW, param=OLD, code="unsupported_parameter"))),
        (Provider.AZURE_OPENAI, "2024-10-21", NEW,
         Reply(400, {"error": {"message": USE_NEW, "code": "invalid_request_body"}})),
    ],
)  # fmt: skip
async def test_a_field_that_is_refused_is_replaced_and_remembered(
    ask, provider: Provider, version: str | None, taken: str, refusal: Reply
) -> None:
    async with Answering(takes_only(taken, refusal)) as server:
        first = OLD if taken == NEW else NEW
        assert await ask(server, provider, version) == Available(KNOWN, NOW, "probe")
        assert await ask(server, provider, version) == Available(KNOWN, NOW, "probe")
        assert [name for _, name in fields(server)] == [first, taken, taken]


@pytest.mark.parametrize(
    ("version", "where"),
    [
        ("2025-04-01-preview", "openai/responses"),
        # An earlier version has no such path; the v1 API is every resource's.
        ("2024-10-21", "openai/v1/responses"),
    ],
)
async def test_azures_responses_name_the_deployment_in_the_body(
    ask, version: str, where: str
) -> None:
    def answer(path: str, _: Body) -> Reply:
        return ANSWER if path == where else ONLY_RESPONSES

    async with Answering(answer) as server:
        reading = await ask(server, Provider.AZURE_OPENAI, version)
        assert reading == Available(KNOWN, NOW, "probe")
        assert server.asked[-1][1]["model"] == "gpt-5-pro"


async def test_a_model_may_need_all_three_ways_and_no_call_more(ask) -> None:
    def answer(path: str, body: Body) -> Reply:
        if path == RESPONSES:
            return ANSWER
        if NEW in body:
            return Reply(400, error(f"Unrecognized request argument supplied: {NEW}"))
        return ONLY_RESPONSES

    async with Answering(answer) as server:
        assert await ask(server) == Available(KNOWN, NOW, "probe")
        assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("reply", "calls", "reason"),
    [
        # Whoever refuses everything is asked in each way once.
        (Reply(400, error(f"Unknown parameters: {NEW}, {OLD}")), 2, Reason.PROVIDER_ERROR),
        (ONLY_RESPONSES, 2, Reason.PROVIDER_ERROR),
        # It is the model that is not there, or something else that is wrong.
        (Reply(404, error("The model `gpt-0` does not exist or you do not have access to it.",
                          code="model_not_found", param="model")), 1, Reason.MODEL_NOT_FOUND),
        (Reply(404, error("The model does not exist. See v1/responses.", code="model_not_found")),
         1, Reason.MODEL_NOT_FOUND),
        (Reply(404, error("The API deployment does not exist.", code="DeploymentNotFound")),
         1, Reason.MODEL_NOT_FOUND),
        (Reply(404, error("Not Found")), 1, Reason.MODEL_NOT_FOUND),
        (Reply(400, error(f"{NEW} must be at least 32.", code="integer_below_min_value")), 1,
         Reason.PROVIDER_ERROR),
        (Reply(400, error(f"{NEW} is too small", param=NEW)), 1, Reason.PROVIDER_ERROR),
        (Reply(400, error("Unsupported parameter: 'messages'.", code="unsupported_parameter")), 1,
         Reason.PROVIDER_ERROR),
        (Reply(401, error("No access to v1/responses")), 1, Reason.PROVIDER_AUTHENTICATION_FAILED),
        (Reply(503, error("v1/responses is down")), 1, Reason.PROVIDER_UNREACHABLE),
    ],
)  # fmt: skip
async def test_other_refusals_cost_no_calls_more(
    ask, reply: Reply, calls: int, reason: Reason
) -> None:
    async with Answering(lambda *_: reply) as server:
        reading = await ask(server)
        assert isinstance(reading, Unavailable)
        assert (reading.reason, len(server.asked)) == (reason, calls)


async def test_responses_that_are_not_there_are_not_the_models_fault(ask) -> None:
    """A gateway may hand the provider's advice on, and have no such path itself."""
    missing = Reply(404, {"detail": "Not Found"})
    async with Answering(lambda path, _: ONLY_RESPONSES if path == CHAT else missing) as server:
        reading = await ask(server)
        assert isinstance(reading, Unavailable)
        assert reading.reason is Reason.PROVIDER_ERROR
        assert "only supported in v1/responses" in reading.message
        assert "llm.tokensPerMinute" in reading.message


async def test_what_was_learned_outlives_an_outage_but_no_missing_endpoint(ask) -> None:
    replies = {CHAT: ONLY_RESPONSES, RESPONSES: ANSWER}
    async with Answering(lambda path, _: replies[path]) as server:
        await ask(server)
        replies[RESPONSES] = Reply(503, "")
        assert isinstance(await ask(server), Unavailable)
        replies[RESPONSES] = Reply(404, {"detail": "Not Found"})
        assert isinstance(await ask(server), Unavailable)
        replies[CHAT] = ANSWER
        assert await ask(server) == Available(KNOWN, NOW, "probe")
        assert [path for path, _ in server.asked] == [CHAT, RESPONSES, RESPONSES, RESPONSES, CHAT]


async def test_models_are_told_apart(http: httpx.AsyncClient) -> None:
    def answer(path: str, body: Body) -> Reply:
        return ONLY_RESPONSES if path == CHAT and body["model"] == "o3-pro" else ANSWER

    async with Answering(answer) as server:
        for model in ("o3-pro", "gpt-5.2", "o3-pro"):
            await probe(
                http, Provider.OPENAI, server.base_url, None, "sk", model, clock=lambda: NOW
            )
        assert [path for path, _ in server.asked] == [CHAT, RESPONSES, CHAT, RESPONSES]


async def test_the_smallest_response_is_large_enough(openai_server, http) -> None:
    server = await openai_server(OpenAISettings())
    call = OPENAI.call(server.base_url, None, "sk-sandbox", "gpt-5.2", way=Way.RESPONSES)
    answer = await http.post(call.url, headers=dict(call.headers), json=call.body)
    assert answer.status_code == 200
    assert 0 < answer.json()["usage"]["total_tokens"] <= MOST_TOKENS
