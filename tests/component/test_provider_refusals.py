"""What providers and gateways really answer, by kind: whose limit it is, who has to pay, and when.

The answers are those of public bug reports and pages of the providers, shortened.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from answering import Answering, Reply
from scanpool.models.conditions import Reason
from scanpool.models.llm import Provider
from scanpool.models.observation import ProviderState
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.today import Today
from scanpool.sources.http import HttpClients
from scanpool.sources.probe import probe

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC).timestamp()
Ask = Callable[..., Awaitable[Reading[ProviderState]]]


@pytest.fixture
async def answered() -> AsyncIterator[Ask]:
    """Return what a probe reads from a server that answers everything with one reply."""
    clients = HttpClients()

    async def answered(reply: Reply, provider: Provider = Provider.OPENAI) -> object:
        async with Answering(lambda *_: reply) as server:
            url = server.base_url
            reading = await probe(
                clients.get(None), provider, url, None, "sk-key", "gpt-5.2", clock=lambda: NOW
            )
            assert len(server.asked) == 1
        return reading

    yield answered
    await clients.aclose()


def error(
    message: str = "x", *, kind: str | None = None, code: object = None, **more: Any
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "code": code, **more}}


OPENAI_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more "
    "information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes."
)
AS_PYTHON = str(error(OPENAI_QUOTA, kind="insufficient_quota", code="insufficient_quota"))
MOONSHOT = "Your account org-1 <ak-2> is suspended due to insufficient balance, please recharge"
XAI = (
    "Your team 16f2 has either used all available credits or reached its monthly spending limit. "
    "To continue making API requests, please purchase more credits or raise your spending limit."
)
FIREWORKS = (
    "Account x is suspended, possibly due to reaching the monthly spending limit or failure to pay "
    "past invoices. Please go to https://fireworks.ai/account/billing for more information."
)
QUOTA = error(OPENAI_QUOTA, kind="insufficient_quota")
GOOGLE_REASON = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "BILLING_DISABLED"}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        # In `code`, in `type` alone, with a number beside it.
        (429, error(kind="billing_not_active")),
        (429, error(kind="billing_not_active", code="billing_not_active")),
        (429, error(kind="insufficient_quota", code=429)),
        (401, error(kind="insufficient_quota", code=401)),
        (429, error(kind="exceeded_current_quota_error")),
        (429, error(code="credit_balance_exhausted")),
        (429, error(kind="project_spend_limit_exceeded")),
        (400, error(code="billing_hard_limit_reached", kind="invalid_request_error")),
        (400, error(code="Arrearage", kind="Arrearage")),
        (403, {"code": "AccountOverdueError", "message": "x", "type": "Forbidden"}),
        (403, error(kind="Aihubmix_api_error", code="insufficient_user_quota")),
        (403, error(kind="one_api_error", code="pre_consume_insufficient_balance")),
        (402, error("Insufficient Balance", kind="unknown_error", code="invalid_request_error")),
        (402, "<html>Payment Required</html>"),
        (402, ""),
        # As a number.
        (402, error("Insufficient credits", code=402, metadata={"limit_source": "credits"})),
        (429, error(code=402)),
        (400, error(code="402")),
        (200, error("Insufficient credits", code=402)),
        # In a sentence only.
        (429, error(OPENAI_QUOTA)),
        (429, error(OPENAI_QUOTA, kind="requests")),
        (429, error("Your account is not active, please check your billing details.")),
        (400, error("Billing hard limit has been reached", kind="invalid_request_error")),
        (400, error("Access denied, please make sure your account is in good standing.")),
        (403, {"code": 30001, "message": "Sorry, your account balance is insufficient", "data": 0}),
        (403, {"code": "The caller does not have permission", "error": XAI}),
        (429, {"code": "Some resource has been exhausted", "error": XAI}),
        (429, error(code="1113", message="您的账户已欠费")),
        (429, error(code="1113", message="Insufficient balance or no resource package.")),
        (412, error(FIREWORKS, kind="error", code="PRECONDITION_FAILED")),
        (412, {"status": "failure", "message": "Portkey Error: Usage limits exhausted"}),
        (403, error("Key limit exceeded (total limit). Manage it at https://a/keys", code=403)),
        (403, error("The free tier of the model has been exhausted.")),
        (403, error(code="AllocationQuota.FreeTierOnly")),
        (403, {"code": "permission-denied", "error": "The team doesn't have any credits."}),
        (403, [error("Project x has billing disabled.", code=403, status="PERMISSION_DENIED")]),
        (403, error("The billing account for the owning project is disabled in state absent")),
        (
            429,
            error("Your prepayment credits are depleted.", code=429, status="RESOURCE_EXHAUSTED"),
        ),
        (429, [error("Your project has exceeded its monthly spending cap.", code=429)]),
        (403, "Insufficient balance"),
        (403, error("Workspace has exhausted its prepaid credits")),
        (403, error("Your account has been suspended due to an unpaid invoice.")),
        (429, error("Your trial has expired. Upgrade to a paid plan.")),
        (403, error(code="subscription_expired")),
        (403, error(kind="prepayment_required")),
        (429, error(code="payment_method_required")),
        # Google's project without billing.
        (403, error(code=403, status="PERMISSION_DENIED", details=[GOOGLE_REASON])),
        (403, error("This API method requires billing to be enabled.", code=403)),
        (
            400,
            [
                error(
                    "Gemini API free tier is not available in your country. Please enable billing.",
                    code=400,
                    status="FAILED_PRECONDITION",
                )
            ],
        ),
        (
            429,
            error(
                f"{OPENAI_QUOTA} * Quota exceeded for metric: free_tier_requests, limit: 0, model: "
                "gemini-3-pro * Quota exceeded for metric: free_tier_tokens, limit: 0, model: "
                "gemini-3-pro Please retry in 45.5s.",
                code=429,
                status="RESOURCE_EXHAUSTED",
            ),
        ),
        # In a gateway's words around another provider's answer: LiteLLM, OpenRouter, Portkey,
        # and what puts the whole answer into a string.
        (429, error(f"litellm.RateLimitError: OpenAIException - {AS_PYTHON}", code="429")),
        (
            429,
            error(
                f"litellm.RateLimitError: RateLimitError: OpenAIException - {OPENAI_QUOTA}",
                kind="throttling_error",
                code="429",
            ),
        ),
        (500, error(f"Error code: 429 - {AS_PYTHON}", code=500)),
        (429, error("Budget has been exceeded! Current cost: 14, Max budget: 10.", code="400")),
        (400, error("ExceededBudget: User=1 over budget. Spend=10.6", kind="budget_exceeded")),
        (400, error("litellm.BadRequestError: OpenAIException - Budget has been exceeded!")),
        (429, error("No deployments available - crossed budget: Exceeded budget for deployment")),
        (
            429,
            error(
                "Provider returned error",
                code=429,
                metadata={
                    "raw": json.dumps(error(MOONSHOT, kind="exceeded_current_quota_error")),
                    "provider_name": "Moonshot",
                },
            ),
        ),
        (429, {**error(f"openai error: {OPENAI_QUOTA}", kind="insufficient_quota"), "provider": 1}),
        (503, error(json.dumps(error(json.dumps(QUOTA))), code="upstream_error")),
        (
            400,
            error(
                "AnthropicException - "
                + json.dumps(
                    error(
                        "Your credit balance is too low to access the Anthropic API.",
                        kind="invalid_request_error",
                    )
                )
            ),
        ),
        (403, {"statusCode": 403, "message": json.dumps(QUOTA)}),
        (402, {"error": "credit_unresolved", "message": "A prior charge is being reconciled."}),
        # In other words of the field: codes, alone or as all of the message.
        (403, error(kind="access_terminated_error")),
        (429, error(code="account_deactivated")),
        (400, error(code="blocked_api_access", kind="invalid_request_error")),
        (403, {"__type": "AccessDeniedException", "message": "INVALID_PAYMENT_INSTRUMENT: x"}),
        (429, error(code="card_declined")),
        (
            400,
            error("ExceededTokenBudget: Current spend for token: 7", kind="auth_error", code=400),
        ),
        (403, error(code="out_of_credits")),
        (429, error(code="no_credits")),
        (403, error(kind="balance_not_enough")),
        (429, error(code="not_enough_credits")),
        (403, error(code="account_unpaid")),
        (403, error(code="SubscriptionSuspended")),
        (403, error(code="ReadOnlyDisabledSubscription")),
        (429, error(code="free_tier_exhausted")),
        (403, error("exceeded_monthly_included_credits")),
        (429, {"detail": {"error": {"type": "billing_not_active"}}}),
        (429, {"detail": json.dumps(QUOTA)}),
        (429, {"errors": [{"code": "insufficient_quota", "message": "x"}]}),
        (429, json.dumps(json.dumps(QUOTA))),
        # And sentences.
        (401, {"message": "Inactive subscription or usage limit reached", "request_id": "x"}),
        (429, error("Your account has run out of balance")),
        (429, error("You have hit your usage limit for this billing period")),
        (
            429,
            {"message": "You are using a Trial key, which is limited to 1000 API calls / month."},
        ),
        (429, error("Monthly budget limit of $100 reached")),
        (429, error("Cost limit exceeded for this key")),
        (403, error("Max spend reached for API key")),
        (403, error("Payment method declined")),
        (429, error("Your card was declined.")),
        (429, error("Free calls are used up. Please add a payment method to continue.")),
        (403, error("The project is associated with a closed billing account.", code=403)),
        (403, error("Billing account not configured or expired.", code=403)),
    ],
)
@pytest.mark.parametrize("provider", [Provider.OPENAI, Provider.AZURE_OPENAI, Provider.ANTHROPIC])
async def test_nobody_pays(answered: Ask, provider: Provider, status: int, body: object) -> None:
    reading = await answered(Reply(status, body), provider)
    assert isinstance(reading, Available), reading
    assert reading.value.billing_code
    assert not reading.value.rate_limited


RATE_LIMIT = (
    "Rate limit reached for gpt-5.2 in organization org-x on requests per min (RPM): Limit 3, Used "
    "3, Requested 1. Please try again in 20s. Please add a payment method to your account to "
    "increase your rate limit. Visit https://platform.openai.com/account/billing/insufficient_quota"
)
GEMINI_MINUTE = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [
        {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
            "quotaId": "GenerateRequestsPerMinutePerProjectPerModel",
            "quotaValue": "15",
        }
    ],
}
GEMINI_QUOTA = OPENAI_QUOTA.replace("platform.openai.com", "ai.google.dev")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, error(RATE_LIMIT, kind="requests", code="rate_limit_exceeded")),
        (429, error(RATE_LIMIT)),
        (
            429,
            error(
                "Rate limit reached on tokens per minute (TPM): Limit 6000. Need more tokens? "
                "Upgrade to Dev Tier at https://console.groq.com/settings/billing",
                code="rate_limit_exceeded",
            ),
        ),
        (
            429,
            error(
                "Too fast. See why calls fail for an exhausted budget: budget exceeded, billing "
                "limit reached.",
                code="rate_limit_exceeded",
            ),
        ),
        (429, error("Rate limit exceeded: free-models-per-min. Add credits to unlock more.")),
        (429, [error(GEMINI_QUOTA, code=429, status="RESOURCE_EXHAUSTED")]),
        (429, [error(GEMINI_QUOTA, code=429, details=[GEMINI_MINUTE])]),
        (429, error(f"litellm.RateLimitError: GeminiException - {GEMINI_QUOTA}", code="429")),
        (429, error(GEMINI_QUOTA.replace("read the docs", "head to"), code=429)),
        (429, error("Rate limits are low for free accounts: enable billing to raise them.")),
        (403, error(code=403, errors=[{"reason": "rateLimitExceeded"}])),
        (503, error(code="rate_limit_exceeded")),
        (
            500,
            error(
                "Error code: 429 - {'error': {'code': 429, 'message': 'Quota exceeded for "
                "aiplatform.googleapis.com/online_prediction_tokens_per_minute', 'status': "
                "'RESOURCE_EXHAUSTED'}}",
                code=500,
            ),
        ),
        (429, {"message": "API rate limit exceeded", "request_id": "1"}),
        (429, {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 54 seconds."}),
        (429, "rate limited"),
        (429, {"message": "You are using a Trial key, which is limited to 20 API calls / minute."}),
        (
            429,
            error(
                "You exceeded the free tier's rate limit. Add a payment method for a higher one."
            ),
        ),
        (429, error("The model is overloaded with your calls.", code="rate_limit_exceeded")),
        (429, {"message": "Service tier capacity exceeded for this model.", "code": "3505"}),
        (400, {"__type": "ThrottlingException", "message": "Too many tokens, please wait."}),
        (503, error(code=503, status="RESOURCE_EXHAUSTED")),
        (429, "<html>billing limit reached</html>"),
        (429, ""),
    ],
)
async def test_a_rate_limit_stays_one(answered: Ask, status: int, body: object) -> None:
    reading = await answered(Reply(status, body))
    assert isinstance(reading, Available), reading
    assert reading.value.rate_limited
    assert reading.value.billing_code is None
    assert not reading.value.slow_down


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (403, "<html>Access denied: insufficient credits</html>", "ProviderAuthenticationFailed"),
        (403, {"message": "Forbidden"}, "ProviderAuthenticationFailed"),
        (403, error("Country, region, or territory not supported", kind="request_forbidden"),
         "ProviderAuthenticationFailed"),
        (403, error("Your IP is not allowed. Contact billing@example.com"),
         "ProviderAuthenticationFailed"),
        (401, error("Incorrect API key", code="invalid_api_key"), "ProviderAuthenticationFailed"),
        (400, error("Unknown value", code="unsupported_value"), "ProviderError"),
        (400, error("thinking budget exceeded", code="thinking_budget_exceeded"), "ProviderError"),
        (503, "upstream connect error: retry_budget_exceeded", "ProviderUnreachable"),
        (404, error("The model 'gpt-402' does not exist", code="model_not_found"), "ModelNotFound"),
        (500, error("trace 402 at payment_service", kind="server_error"), "ProviderUnreachable"),
    ],
)  # fmt: skip
async def test_what_is_no_refusal_for_money(
    answered: Ask, status: int, body: object, reason: Reason
) -> None:
    reading = await answered(Reply(status, body))
    assert isinstance(reading, Unavailable)
    assert reading.reason == reason


OVERLOADED = "The server is overloaded or not ready yet."


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, error(code="slow_down")),
        (503, error(code="slow_down")),
        (503, error(kind="slow_down")),
        (503, error(kind="slow_down", code=503)),
        (500, error(f"litellm.ServiceUnavailableError - {error(code='slow_down')}", code="500")),
        (503, error(metadata={"raw": json.dumps(error(code="slow_down"))})),
        (503, error("Slow down. The rise of your rate of requests is impacting reliability.")),
        (429, {"error": "slow down"}),
        (503, {"code": "SlowDown", "message": "x"}),
        (529, error(code="slow_down")),
        (200, error(kind="slow_down", code=503)),
        (429, error("litellm.RateLimitError: OpenAIException - Slow down. You grow too fast.")),
        (503, {"detail": {"code": "slow_down"}}),
        (429, {"message": "slow_down"}),
    ],
)  # fmt: skip
async def test_growth_is_asked_to_stop(answered: Ask, status: int, body: object) -> None:
    reading = await answered(Reply(status, body))
    assert reading == Available(ProviderState(slow_down=True), NOW, "probe")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, error(OVERLOADED, code="server_is_overloaded", kind="server_error")),
        (529, error("Overloaded", kind="overloaded_error")),
        (503, error("The model is overloaded.", code=503, status="UNAVAILABLE")),
        (503, error("Slowing down the deployment of slow_down features")),
        (503, ""),
        (502, "<html>slow_down</html>"),
        (500, error("The server had an error", kind="server_error")),
        # Nobody's limit, whatever the status says.
        (429, error(OVERLOADED, code="server_is_overloaded")),
        (429, error("The engine is overloaded", kind="engine_overloaded_error")),
        (429, error(json.dumps({"type": "error", **error(kind="overloaded_error")}), code=429)),
        (429, error(code="MODEL_OVERLOADED")),
        (429, error("That model is currently overloaded with other requests.")),
        (429, error(code=429, status="UNAVAILABLE")),
        (429, {"__type": "ModelNotReadyException", "message": "x"}),
        (200, error(kind="overloaded_error")),
    ],
)
async def test_an_outage_stays_one(answered: Ask, status: int, body: object) -> None:
    for provider in (Provider.OPENAI, Provider.ANTHROPIC):
        reading = await answered(Reply(status, body), provider)
        assert isinstance(reading, Unavailable), reading
        assert reading.reason is Reason.PROVIDER_UNREACHABLE


def gemini(quota: str, delay: str | None = None, value: str | None = None) -> list[dict[str, Any]]:
    violation = {"quotaId": quota} | ({} if value is None else {"quotaValue": value})
    details: list[dict[str, Any]] = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}
    ]
    if delay is not None:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
    return [error(GEMINI_QUOTA, code=429, status="RESOURCE_EXHAUSTED", details=details)]


def google_cloud(limit: str, value: str) -> dict[str, Any]:
    """Return the detail of an error of Google Cloud, Vertex AI's among them."""
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "googleapis.com",
        "metadata": {
            "quota_limit_value": value,
            "quota_limit": limit,
            "service": "aiplatform.googleapis.com",
        },
    }


VERTEX_DAY = (
    "Quota exceeded for quota metric 'Gemini 2.5 Pro Requests' and limit 'Gemini 2.5 Pro Requests "
    "per day per user per tier' of service 'cloudcode-pa.googleapis.com' for consumer 'x'."
)
VERTEX_SHARED = (
    "Resource exhausted. Please try again later. Please refer to "
    "https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details."
)
PACIFIC_MIDNIGHT = datetime(2026, 1, 16, 8, 0, tzinfo=UTC).timestamp() - NOW
"""In winter it is eight hours earlier in California."""
PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
GEMINI_AS_TEXT = f"""429 {GEMINI_QUOTA}
Please retry in 31.9s. [violations {{
  quota_metric: "generativelanguage.googleapis.com/generate_content_free_tier_requests"
  quota_id: "{PER_DAY}"
  quota_dimensions {{
    key: "model"
    value: "gemini-2.5-pro"
  }}
  quota_value: 50
}}
, retry_delay {{
  seconds: 31
}}
]"""
DAY_BUCKET = {
    "x-ratelimit-limit-requests": "200",
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "7h12m0s",
}
RPD = "Rate limit reached on requests per day (RPD): Limit 200, Used 200, Requested 1."


@pytest.mark.parametrize(
    ("reply", "wait", "used_up"),
    [
        pytest.param(Reply(429, "", {"Retry-After": "30"}), 30, None, id="seconds"),
        pytest.param(
            Reply(429, "", {"Retry-After": "1", "retry-after-ms": "44"}), 0.044, None,
            id="milliseconds are more exact",
        ),
        pytest.param(
            Reply(429, "", {"Retry-After": format_datetime(
                datetime.fromtimestamp(NOW + 50, UTC), usegmt=True)}),
            50, None, id="a date",
        ),
        pytest.param(Reply(503, error(code="slow_down"), {"Retry-After": "900"}), 900, None,
                     id="slow down"),
        pytest.param(Reply(429, error(RATE_LIMIT)), 20, None, id="a sentence of OpenAI's"),
        pytest.param(Reply(429, error("Please retry after 54 seconds.")), 54, None,
                     id="a sentence of Azure's"),
        pytest.param(Reply(429, error("Your quota will reset after 5h59m59s.")), 21_599,
                     "rate limit", id="a sentence of Google's"),
        pytest.param(Reply(429, "", {"Retry-After": "3600"}), 3_600, "rate limit",
                     id="longer than a minute"),
        pytest.param(Reply(429, "", {"Retry-After": "60"}), 60, None, id="a minute"),
        pytest.param(Reply(429, "", DAY_BUCKET), 25_920, "rate limit", id="an empty day, no words"),
        pytest.param(Reply(429, error("Rate limit of 50 per 86400s exceeded for UserByModelByDay. "
                                      "Please wait 5000 seconds before retrying.")),
                     5_000, "rate limit", id="GitHub's"),
        pytest.param(Reply(429, error(f"{RPD} Please try again in 7m12s.")), 432,
                     "requests per day", id="a day's, in a sentence"),
        pytest.param(Reply(429, error(RPD), DAY_BUCKET), 25_920, "requests per day",
                     id="a day's, in the headers"),
        pytest.param(
            Reply(429, gemini("GenerateRequestsPerMinutePerProjectPerModel", "34.07s")),
            34.07, None, id="Gemini's of a minute",
        ),
        pytest.param(Reply(429, gemini(PER_DAY, "38s")), PACIFIC_MIDNIGHT, PER_DAY,
                     id="Gemini's of a day, with a delay that is a minute's"),
        pytest.param(Reply(429, gemini(PER_DAY)), PACIFIC_MIDNIGHT,
                     PER_DAY, id="without a delay"),
        pytest.param(Reply(429, gemini(PER_DAY, "41000s")), 41_000,
                     PER_DAY, id="with a day's delay"),
        pytest.param(
            Reply(429, error(f"geminiException - {json.dumps(gemini(PER_DAY, '38s'))}", code=429)),
            PACIFIC_MIDNIGHT, PER_DAY, id="in LiteLLM's words",
        ),
        pytest.param(Reply(429, gemini(PER_DAY, "38s")[0]), PACIFIC_MIDNIGHT, PER_DAY,
                     id="Gemini's own API, without a list"),
        pytest.param(Reply(429, error(json.dumps(gemini(PER_DAY, "38s")[0]), code=429,
                                      status="Too Many Requests")),
                     PACIFIC_MIDNIGHT, PER_DAY, id="Gemini's, in its own message once more"),
        pytest.param(Reply(500, error(GEMINI_AS_TEXT)), PACIFIC_MIDNIGHT, PER_DAY,
                     id="as a client library prints it"),
        pytest.param(Reply(429, [error(VERTEX_DAY, code=429, status="RESOURCE_EXHAUSTED")]),
                     PACIFIC_MIDNIGHT, "Gemini 2.5 Pro Requests per day per user per tier",
                     id="Google Cloud's, in a sentence"),
        pytest.param(Reply(429, error(VERTEX_DAY, details=[google_cloud(
                         "Gemini25ProRequestsPerDay", "100")])),
                     PACIFIC_MIDNIGHT, "Gemini 2.5 Pro Requests per day per user per tier",
                     id="Google Cloud's"),
        pytest.param(Reply(429, error("Quota exceeded for metric: generativelanguage.googleapis."
                                      "com/generate_requests_per_model_per_day, limit: 250")),
                     PACIFIC_MIDNIGHT, "generate_requests_per_model_per_day", id="by the metric"),
        pytest.param(Reply(429, error(VERTEX_SHARED, code=429, status="RESOURCE_EXHAUSTED")),
                     None, None, id="Vertex AI's shared capacity"),
        pytest.param(
            Reply(403, {"statusCode": 403, "message":
                        "Out of call volume quota. Quota will be replenished in 5.03:23:11."}),
            5 * 86_400 + 3 * 3600 + 23 * 60 + 11, "call volume quota", id="Azure's API Management",
        ),
        pytest.param(
            Reply(429, error("Rate limit exceeded: free-models-per-day. Add 10 credits to unlock "
                             "1000 free model requests per day", code=429, metadata={
                                 "headers": {"X-RateLimit-Reset": str(int(NOW + 600) * 1000)}})),
            600, "free-models-per-day", id="OpenRouter's of a day",
        ),
        pytest.param(
            Reply(400, error("You have reached your specified API usage limits. You will regain "
                             "access on 2026-02-01 at 00:00 UTC.")),
            datetime(2026, 2, 1, tzinfo=UTC).timestamp() - NOW, None, id="Anthropic's of a month",
        ),
        # Nothing that can be meant.
        pytest.param(Reply(429, "", {"Retry-After": "soon"}), None, None, id="no time"),
        pytest.param(Reply(429, "", {"Retry-After": "9" * 12}), None, None, id="in 30,000 years"),
        pytest.param(Reply(429, "", {"Retry-After": "Mon, 24 Feb 2025 20:38:03 GMT"}), None, None,
                     id="a date that has passed"),
        pytest.param(Reply(429, ""), None, None, id="nothing told"),
    ],
)  # fmt: skip
async def test_when_a_refusal_ends(
    answered: Ask, reply: Reply, wait: float | None, used_up: str | None
) -> None:
    reading = await answered(reply)
    assert isinstance(reading, Available), reading
    state = reading.value
    assert state.used_up_quota == used_up
    assert (state.refused_until is None) is (wait is None)
    assert (state.refused_until or NOW) - NOW == pytest.approx(wait or 0.0, abs=1e-5)


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (Reply(200, {}, {**DAY_BUCKET, "x-ratelimit-remaining-requests": "199",
                         "x-ratelimit-reset-requests": "7m12s"}),
         ProviderState(requests_per_day=200, requests_today=Today(199, NOW + 432))),
        # Groq: a bucket of a day that fills up all the time, beside one of a minute.
        (Reply(200, {}, {"x-ratelimit-limit-requests": "14400",
                         "x-ratelimit-remaining-requests": "14370",
                         "x-ratelimit-reset-requests": "2m59.56s",
                         "x-ratelimit-limit-tokens": "18000",
                         "x-ratelimit-remaining-tokens": "17997",
                         "x-ratelimit-reset-tokens": "7.66ms"}),
         ProviderState(18_000, tokens_remaining=17_997, requests_per_day=14_400,
                       requests_today=Today(14_370, NOW + 179.56))),
        # Cerebras: fixed days, beside minutes and hours.
        (Reply(200, {}, {"x-ratelimit-limit-requests-day": "14400",
                         "x-ratelimit-remaining-requests-day": "13693",
                         "x-ratelimit-reset-requests-day": "11726.5",
                         "x-ratelimit-limit-tokens-day": "1000000",
                         "x-ratelimit-remaining-tokens-day": "40000",
                         "x-ratelimit-limit-tokens-hour": "100000",
                         "x-ratelimit-limit-tokens-minute": "60000",
                         "x-ratelimit-remaining-tokens-minute": "59000",
                         "x-ratelimit-reset-tokens-minute": "26.28"}),
         ProviderState(60_000, tokens_remaining=59_000, tokens_per_day=1_000_000,
                       requests_per_day=14_400, tokens_today=Today(40_000),
                       requests_today=Today(13_693, NOW + 11_726.5))),
        # The project's part of the organization's.
        (Reply(200, {}, {"x-ratelimit-limit-tokens": "2000000",
                         "x-ratelimit-remaining-tokens": "1000000",
                         "x-ratelimit-reset-tokens": "12h0m0s",
                         "x-ratelimit-limit-project-tokens": "500000",
                         "x-ratelimit-remaining-project-tokens": "0",
                         "x-ratelimit-reset-project-tokens": "20h0m0s"}),
         ProviderState(tokens_per_day=500_000, tokens_today=Today(0, NOW + 72_000))),
        (Reply(429, error("Rate limit reached on tokens per day (TPD): Limit 100000, Used 97050")),
         ProviderState(rate_limited=True, tokens_per_day=100_000, used_up_quota="tokens per day")),
        (Reply(200, {}, {"x-ratelimit-limit-requests-day": "14400",
                         "x-ratelimit-limit-tokens-minute": "60000"}),
         ProviderState(60_000, requests_per_day=14_400)),
        (Reply(429, error(RPD)),
         ProviderState(rate_limited=True, requests_per_day=200, used_up_quota="requests per day")),
        (Reply(429, gemini("GenerateRequestsPerMinutePerProjectPerModel", value="15")),
         ProviderState(requests_per_minute=15, rate_limited=True)),
        (Reply(429, gemini("GenerateContentInputTokensPerModelPerMinute", value="250000")),
         ProviderState(input_tokens_per_minute=250_000, rate_limited=True)),
        (Reply(429, gemini("GenerateContentPaidTierInputTokensPerModelPerMinute-PaidTier1",
                           value="1000000")[0]),
         ProviderState(input_tokens_per_minute=1_000_000, rate_limited=True)),
        (Reply(429, gemini(PER_DAY, "38s", value="20")),
         ProviderState(rate_limited=True, requests_per_day=20, used_up_quota=PER_DAY,
                       refused_until=NOW + PACIFIC_MIDNIGHT)),
        (Reply(429, error("Quota exceeded.", details=[google_cloud(
            "GenerateContentRequestsPerMinutePerProjectPerRegion", "60")])),
         ProviderState(requests_per_minute=60, rate_limited=True)),
        (Reply(429, error(GEMINI_AS_TEXT)),
         ProviderState(rate_limited=True, requests_per_day=50, used_up_quota=PER_DAY,
                       refused_until=NOW + PACIFIC_MIDNIGHT)),
    ],
)  # fmt: skip
async def test_limits_that_are_no_tokens_of_a_minute(
    answered: Ask, reply: Reply, state: ProviderState
) -> None:
    assert await answered(reply) == Available(state, NOW, "probe")
