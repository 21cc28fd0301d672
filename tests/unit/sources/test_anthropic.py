"""Anthropic's answers. Header sets are recorded ones, from public logs and bug reports."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probing import NOW, probed, request_of
from scanpool.models.llm import Provider
from scanpool.models.observation import ProviderState
from scanpool.models.reading import Available
from scanpool.models.today import Today
from scanpool.sources.anthropic_headers import limits_in_headers, parse_time

Bucket = tuple[object, object] | None
"""The limit and what is left, as headers tell them."""
EPOCH = datetime.fromtimestamp(NOW, UTC)


async def test_it_asks_for_the_smallest_message_with_the_workers_key_and_model() -> None:
    request = await request_of(Provider.ANTHROPIC, key="sk-ant-key\n", model="claude-haiku-4-5")

    assert (request.method, str(request.url)) == ("POST", "https://llm/v1/messages")
    assert request.headers["x-api-key"] == "sk-ant-key"
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in request.headers
    assert json.loads(request.content) == {
        "model": "claude-haiku-4-5",
        "messages": [{"role": "user", "content": "1"}],
        "max_tokens": 1,
    }


def told(**buckets: tuple[object, object, str]) -> dict[str, str]:
    return {
        f"anthropic-ratelimit-{kind.replace('_', '-')}-{name}": str(value)
        for kind, values in buckets.items()
        for name, value in zip(("limit", "remaining", "reset"), values, strict=True)
    }


# 12 s of a long answer lie between the reckoning of the resets and the Date.
TIER_1 = {
    "date": "Tue, 02 Dec 2025 14:34:22 GMT",
    "retry-after": "52",
    **told(
        requests=(50, 49, "2025-12-02T14:34:11Z"),
        tokens=(38_000, 32_000, "2025-12-02T14:34:23Z"),
        input_tokens=(30_000, 24_000, "2025-12-02T14:34:23Z"),
        output_tokens=(8_000, 8_000, "2025-12-02T14:34:26Z"),
    ),
}
WITHOUT_INPUT = {
    "date": "Mon, 24 Feb 2025 20:38:03 GMT",
    **told(
        requests=(4_000, 3_999, "2025-02-24T20:37:51Z"),
        output_tokens=(80_000, 80_000, "2025-02-24T20:38:03Z"),
    ),
}
TOKENS_TOGETHER = {
    "date": "Sun, 07 Jul 2024 23:32:01 GMT",
    **told(
        requests=(50, 49, "2024-07-07T23:32:22Z"),
        tokens=(50_000, 47_000, "2024-07-07T23:32:04Z"),
    ),
}


@pytest.mark.parametrize(
    ("headers", "state"),
    [
        pytest.param(
            TIER_1,
            ProviderState(38_000, 50, 30_400, 30_000, 8_000),
            id="tier 1, 2025",
        ),
        pytest.param(
            WITHOUT_INPUT,
            ProviderState(requests_per_minute=4_000, output_tokens_per_minute=80_000),
            id="a model without a limit on input",
        ),
        pytest.param(
            TOKENS_TOGETHER,
            ProviderState(50_000, 50, 47_000),
            id="one limit for all tokens, 2024",
        ),
        pytest.param(
            {key: value for key, value in TIER_1.items() if not key.endswith("reset")},
            ProviderState(38_000, 50, 30_400, 30_000, 8_000),
            id="no resets",
        ),
        pytest.param(
            # Half an hour before it, which an hour's bucket could be, too.
            TOKENS_TOGETHER | told(tokens=(1_000_000, 3_000, "2024-07-08T00:00:00Z")),
            ProviderState(requests_per_minute=50),
            id="tokens of a day, back at midnight",
        ),
        pytest.param(
            # 0.05% are missing: a minute's bucket has them back after 0.03 s, a day's after 43.
            TOKENS_TOGETHER | told(tokens=(1_000_000, 999_500, "2024-07-07T23:32:44Z")),
            ProviderState(
                requests_per_minute=50,
                tokens_per_day=1_000_000,
                tokens_today=Today(
                    999_500, datetime(2024, 7, 7, 23, 32, 44, tzinfo=UTC).timestamp()
                ),
            ),
            id="a nearly full bucket of a day",
        ),
        pytest.param(
            told(tokens=(-1, -1, "never"), input_tokens=(0, 0, ""), output_tokens=("9e18", 1, "")),
            ProviderState(),
            id="no limit that is one",
        ),
        pytest.param({}, ProviderState(), id="none told"),
    ],
)
async def test_the_limits_of_an_answer(headers: dict[str, str], state: ProviderState) -> None:
    assert await probed(Provider.ANTHROPIC, 200, {}, headers) == Available(state, NOW, "probe")


@pytest.mark.parametrize(
    ("all_tokens", "read", "written", "level"),
    [
        pytest.param((38_000, 32_000), (30_000, 24_000), (8_000, 8_000), 30_400, id="input"),
        pytest.param((38_000, 8_000), (30_000, 0), (8_000, 8_000), 0, id="input-is-empty"),
        pytest.param((38_000, 30_800), (30_000, 30_000), (8_000, 800), 3_800, id="output"),
        pytest.param((38_000, 9_500), (30_000, 30_000), (8_000, 8_000), 9_500, id="the-sum"),
        pytest.param(None, (30_000, 24_000), (8_000, 4_000), 15_000, id="apart-only"),
        pytest.param(None, (30_000, 24_000), None, 24_000, id="input-only"),
        pytest.param((38_000, 32_000), None, None, 32_000, id="all-only"),
        pytest.param(None, None, (8_000, 8_000), None, id="output-only"),
        pytest.param((38_000, "?"), (30_000, 24_000), None, 30_400, id="a-level-that-is-none"),
        pytest.param((38_000, "?"), (30_000, ""), None, None, id="no-level"),
    ],
)
def test_the_level_is_that_of_the_emptiest_bucket(
    all_tokens: Bucket, read: Bucket, written: Bucket, level: int | None
) -> None:
    buckets = {"tokens": all_tokens, "input_tokens": read, "output_tokens": written}
    headers = told(**{name: (*one, "") for name, one in buckets.items() if one is not None})
    assert limits_in_headers(headers, NOW).tokens_remaining == level


def test_without_a_date_the_clock_tells_how_far_a_reset_is() -> None:
    headers = {key: value for key, value in TOKENS_TOGETHER.items() if key != "date"}
    answered = datetime(2024, 7, 7, 23, 32, 1, tzinfo=UTC).timestamp()
    assert limits_in_headers(headers, answered).tokens_per_minute == 50_000
    assert limits_in_headers(headers, answered - 3600).tokens_per_minute is None
    broken = headers | {"date": "today"}
    assert limits_in_headers(broken, answered).tokens_per_minute == 50_000


@pytest.mark.parametrize(
    ("usage", "spent"),
    [
        ({"input_tokens": 8, "output_tokens": 1}, 9),
        ({"input_tokens": 8, "output_tokens": 0}, 8),
        ({"input_tokens": 8}, None),
        ({"input_tokens": -1, "output_tokens": True}, None),
        (None, None),
    ],
)
async def test_what_the_probe_took(usage: object, spent: int | None) -> None:
    reading = await probed(Provider.ANTHROPIC, 200, {"usage": usage})
    assert reading == Available(ProviderState(tokens_spent=spent), NOW, "probe")


def error(kind: str, message: str = "", **more: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message, **more}}


SPEND_CAP = {"error_code": "enforced_spend_limit_reached"}


@pytest.mark.parametrize(
    ("status", "body", "headers", "state"),
    [
        pytest.param(
            429,
            error("rate_limit_error", "Number of request tokens has exceeded your rate limit."),
            TIER_1,
            ProviderState(
                38_000, 50, 30_400, 30_000, 8_000, rate_limited=True, refused_until=NOW + 52
            ),
            id="limits in the headers",
        ),
        pytest.param(
            429,
            error(
                "rate_limit_error",
                "This would exceed your organization\u2019s rate limit of 200,000 input tokens "
                "per minute.",
            ),
            {},
            ProviderState(input_tokens_per_minute=200_000, rate_limited=True),
            id="input tokens in the message",
        ),
        pytest.param(
            429,
            error("rate_limit_error", "the rate limit of 8,000 output tokens per minute"),
            {},
            ProviderState(output_tokens_per_minute=8_000, rate_limited=True),
            id="output tokens in the message",
        ),
        pytest.param(
            429,
            error("rate_limit_error", "for your organization of 50 requests per minute."),
            {},
            ProviderState(requests_per_minute=50, rate_limited=True),
            id="requests in the message",
        ),
        pytest.param(
            429,
            error("rate_limit_error", "the rate limit of 90,000 tokens per minute"),
            {},
            ProviderState(tokens_per_minute=90_000, rate_limited=True),
            id="tokens in the message",
        ),
        pytest.param(
            429,
            error("rate_limit_error", "the rate limit of 0 tokens per minute"),
            {},
            ProviderState(rate_limited=True),
            id="a limit that is none",
        ),
        pytest.param(
            429,
            error("rate_limit_error", "Number of request tokens has exceeded your daily limit"),
            {},
            ProviderState(rate_limited=True, used_up_quota="daily limit"),
            id="a day's limit",
        ),
        pytest.param(
            429,
            error("rate_limit_error", "exceeds the acceleration limit: scale up gradually"),
            {},
            ProviderState(rate_limited=True),
            id="growth too fast",
        ),
        pytest.param(
            429,
            error("rate_limit_error", "You have reached your API usage limits.", details=SPEND_CAP),
            {},
            ProviderState(billing_code="enforced_spend_limit_reached"),
            id="the tier's spend of a month",
        ),
        pytest.param(
            429,
            error("rate_limit_error", "You have reached your API usage limits."),
            {},
            ProviderState(billing_code="usage_limit_reached"),
            id="the same without a code",
        ),
        pytest.param(
            400,
            error("invalid_request_error", "You have reached your specified API usage limits."),
            {},
            ProviderState(billing_code="usage_limit_reached"),
            id="a spend limit of the organization's own",
        ),
        pytest.param(
            400,
            error("invalid_request_error", "Your credit balance is too low to access the API."),
            TOKENS_TOGETHER,
            ProviderState(50_000, 50, 47_000, billing_code="credit_balance_too_low"),
            id="prepaid credit is used up",
        ),
        pytest.param(
            402,
            error("billing_error", "There is an issue with your payment."),
            {},
            ProviderState(billing_code="billing_error"),
            id="payment",
        ),
        pytest.param(
            402, "<html>", {}, ProviderState(billing_code="billing_error"), id="payment, bare"
        ),
    ],
)
async def test_what_a_refusal_says(
    status: int, body: object, headers: dict[str, str], state: ProviderState
) -> None:
    reading = await probed(Provider.ANTHROPIC, status, body, headers)
    assert reading == Available(state, NOW, "probe")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:16:40Z", 1_000.0),
        ("1970-01-01T01:16:40.500+01:00", 1_000.5),
        (" 1970-01-01T00:16:40Z ", 1_000.0),
        ("1970-01-01T00:16:40", None),
        ("1000", None),
        ("soon", None),
        ("", None),
        ("1970-01-01T00:16:40" + "0" * 99, None),
    ],
)
def test_times(text: str, seconds: float | None) -> None:
    assert parse_time(text) == seconds


@given(st.text(max_size=60))
def test_no_text_breaks_the_parser_of_times(text: str) -> None:
    seconds = parse_time(text)
    assert seconds is None or isinstance(seconds, float)


def answered_after(latency: float, limit: int, remaining: int, period: float) -> dict[str, str]:
    """Return the headers of a bucket that refills within `period` seconds."""
    reset = EPOCH + timedelta(seconds=period * (limit - remaining) / limit)
    return {
        "date": format_datetime(EPOCH + timedelta(seconds=latency), usegmt=True),
        **told(tokens=(limit, remaining, reset.strftime("%Y-%m-%dT%H:%M:%SZ"))),
    }


@given(st.integers(1, 40_000_000), st.floats(0, 30), st.data())
def test_a_minutes_bucket_is_never_taken_for_a_days(
    limit: int, latency: float, data: st.DataObject
) -> None:
    remaining = data.draw(st.integers(0, limit))
    headers = answered_after(latency, limit, remaining, 60)
    assert limits_in_headers(headers, 0).tokens_per_minute == limit


@given(st.integers(1_000, 40_000_000), st.floats(0, 1.5), st.data())
def test_a_days_bucket_is_never_taken_for_a_minutes(
    limit: int, latency: float, data: st.DataObject
) -> None:
    # With less missing, rounding hides the period.
    remaining = data.draw(st.integers(0, int(limit * 0.9999)))
    headers = answered_after(latency, limit, remaining, 86_400)
    assert limits_in_headers(headers, 0).tokens_per_minute is None
