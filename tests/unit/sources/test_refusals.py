import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.models.error_codes import is_rate_limit
from scanpool.models.observation import Refusals
from scanpool.sources.refusals import (
    MAX_CODE_CHARACTERS,
    MAX_CODES,
    codes,
    means_refusal,
    per_minute,
    refusals,
)

RATE_LIMIT, REFUSED, FAILED = "rate limit", "refused", "failed"


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("rate_limit_exceeded", RATE_LIMIT),
        ("rate_limit_error", RATE_LIMIT),
        ("RateLimitReached", RATE_LIMIT),
        ("RateLimitError", RATE_LIMIT),
        ("openai.RateLimitError", RATE_LIMIT),
        ("Openai.RateLimitError", RATE_LIMIT),
        ("429", RATE_LIMIT),
        ("HTTP 429", RATE_LIMIT),
        ("429 Too Many Requests", RATE_LIMIT),
        ("too_many_requests", RATE_LIMIT),
        ("insufficient_quota", REFUSED),
        ("429 insufficient_quota", REFUSED),
        ("RateLimitError: credit_balance_exhausted", REFUSED),
        ("project_spend_limit_exceeded", REFUSED),
        ("organization_usage_limit_exceeded", REFUSED),
        ("billing_error", REFUSED),
        ("slow_down", REFUSED),
        ("503 slow_down", REFUSED),
        ("billing_not_active", REFUSED),
        ("budget_exceeded", REFUSED),
        ("402", REFUSED),
        ("Openai.BudgetExceededError", REFUSED),
        ("RESOURCE_EXHAUSTED", RATE_LIMIT),
        ("google.api_core.exceptions.ResourceExhausted", RATE_LIMIT),
        ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", RATE_LIMIT),
        ("GenerateContentInputTokensPerModelPerMinute-FreeTier", RATE_LIMIT),
        ("throttling_error", RATE_LIMIT),
        ("NotEnoughCreditsError", REFUSED),
        ("403 access_terminated_error", REFUSED),
        ("429 server_is_overloaded", FAILED),
        ("503 overloaded", FAILED),
        ("403", FAILED),
        ("500", FAILED),
        ("503", FAILED),
        ("529", FAILED),
        ("4290", FAILED),
        ("server_is_overloaded", FAILED),
        ("overloaded_error", FAILED),
        ("400", FAILED),
        ("401", FAILED),
        ("context_length_exceeded", FAILED),
        ("invalid_api_key", FAILED),
        ("APITimeoutError", FAILED),
        ("_OTHER", FAILED),
        ("None", FAILED),
        ("", FAILED),
    ],
)
def test_what_a_code_means(code: str, meaning: str) -> None:
    assert is_rate_limit(code) is (meaning == RATE_LIMIT)
    assert means_refusal(code) is (meaning in (RATE_LIMIT, REFUSED))


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([], []),
        ([({}, 3.0)], [("429", 3.0)]),
        ([({"code": "insufficient_quota"}, 3.0)], [("insufficient_quota", 3.0)]),
        # Labels in which no code is: the number is all refused calls.
        ([({"model": "gpt-5.2"}, 3.0)], [("429", 3.0)]),
        ([({"instance": "a", "code": "500"}, 3.0)], [("429", 3.0)]),
        (
            [({"error_type": "a"}, 1.0), ({"exception_status": "429"}, 2.0)],
            [("a", 1.0), ("429", 2.0)],
        ),
        ([({"instance": "a"}, 1.0), ({"instance": "b"}, 2.0)], None),
        ([({"code": "429"}, 1.0), ({}, 2.0)], None),
        ([({"code": "429", "model": "a"}, 1.0), ({"code": "429", "model": "b"}, 2.0)], None),
    ],
)
def test_the_code_is_in_the_only_label(samples, expected) -> None:
    assert codes(samples) == expected


def test_only_codes_that_occur_are_reported_in_order() -> None:
    by_code = [("b", 2.0), ("a\n", 1.0), ("c", 0.0), ("a", 0.5)]
    assert refusals(by_code) == (Refusals("a", 1.5), Refusals("b", 2.0))


def test_of_too_many_codes_the_most_frequent_are_reported() -> None:
    by_code = [(f"code-{i:03}", float(i)) for i in range(1, 100)]
    reported = refusals(by_code)
    assert [one.per_minute for one in reported] == [float(i) for i in range(80, 100)]


@pytest.mark.parametrize("code", ["insufficient_quota", "slow_down", "BudgetExceededError"])
def test_a_text_as_a_code_keeps_the_word_that_tells_most(code: str) -> None:
    text = "litellm.RateLimitError: OpenAIException - Error code: 429 - {'error': {'message': 'x', "
    (reported,) = refusals([(f"{text}'code': '{code}'}}}}", 1.0)])
    assert reported == Refusals(code, 1.0)


BY_CODE = st.lists(
    st.tuples(st.text() | st.sampled_from(["429", "insufficient_quota"]), st.floats(0, 1e12))
)


@given(BY_CODE)
def test_reports_are_bounded_and_sums_do_not_depend_on_them(by_code) -> None:
    reported = refusals(by_code)
    names = [one.code for one in reported]
    assert names == sorted(set(names))
    assert len(names) <= MAX_CODES
    assert all(len(name) <= MAX_CODE_CHARACTERS and name == name.strip() for name in names)
    total = sum(value for _, value in by_code)
    limited = per_minute(by_code, is_rate_limit)
    refused = per_minute(by_code, means_refusal)
    assert 0 <= limited <= refused * (1 + 1e-9) <= total * (1 + 1e-6)
    assert sum(one.per_minute for one in reported) <= total * (1 + 1e-6)
