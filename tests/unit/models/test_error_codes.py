import pytest

from scanpool.models.error_codes import (
    billing_codes_in,
    is_billing,
    is_day_limit,
    is_overload,
    is_rate_limit,
    is_slow_down,
)


@pytest.mark.parametrize(
    ("code", "billing"),
    [
        ("insufficient_quota", True),
        ("credit_balance_exhausted", True),
        ("organization_usage_limit_exceeded", True),
        ("project_spend_limit_exceeded", True),
        ("organization_spend_limit_exceeded", True),
        ("billing_error", True),
        ("enforced_spend_limit_reached", True),
        ("billing_not_active", True),
        ("billing_hard_limit_reached", True),
        ("BILLING_DISABLED", True),
        ("exceeded_current_quota_error", True),
        ("insufficient_user_quota", True),
        ("pre_consume_insufficient_balance", True),
        ("budget_exceeded", True),
        ("BudgetExceededError", True),
        ("Arrearage", True),
        ("AccountOverdueError", True),
        ("PaymentRequired", True),
        ("prepayment_required", True),
        ("payment_method_required", True),
        ("SubscriptionExpired", True),
        ("trial_ended", True),
        ("402", True),
        ("HTTP 402", True),
        ("402 Payment Required", True),
        ("429 insufficient_quota", True),
        ("Error code: 429 - {'code': 'insufficient_quota'}", True),
        ("access_terminated_error", True),
        ("account_deactivated", True),
        ("out_of_credits", True),
        ("NotEnoughCredits", True),
        ("account_unpaid", True),
        ("SubscriptionSuspended", True),
        ("free_tier_exhausted", True),
        ("free_tier_rate_limit", False),
        ("no_healthy_upstream", False),
        ("4020", False),
        ("429 after 402 ms", False),
        ("403", False),
        ("quota_exceeded", False),
        ("RESOURCE_EXHAUSTED", False),
        ("context_length_exceeded", False),
        ("retry_budget_exceeded", False),
        ("token_budget_exceeded", False),
        ("no_balanced_upstream_reached", False),
        ("429 see your billing page", False),
        ("https://example.com/account/billing", False),
        ("billing_details", False),
        ("payment_method", False),
        ("InvalidSubscriptionKey", False),
        ("subscription_not_found", False),
        ("trial_rate_limit", False),
        ("rate_limit_exceeded", False),
        ("rate_limit_error", False),
        ("slow_down", False),
        ("server_is_overloaded", False),
        ("429", False),
        ("", False),
    ],
)
def test_only_what_a_payment_ends_is_billing(code: str, billing: bool) -> None:
    assert is_billing(code) is billing


@pytest.mark.parametrize(
    ("code", "slow"),
    [
        ("slow_down", True),
        ("503 slow_down", True),
        ("SlowDown", True),
        ("openai.SlowDownError", True),
        ("slow", False),
        ("503", False),
        ("server_is_overloaded", False),
        ("", False),
    ],
)
def test_how_growth_that_is_too_fast_is_spelled(code: str, slow: bool) -> None:
    assert is_slow_down(code) is slow


@pytest.mark.parametrize(
    ("code", "overload"),
    [
        ("server_is_overloaded", True),
        ("overloaded_error", True),
        ("engine_overloaded_error", True),
        ("429 Overloaded", True),
        ("UNAVAILABLE", True),
        ("ServiceUnavailableException", True),
        ("upstream unavailable", False),
        ("slow_down", False),
        ("load", False),
        ("", False),
    ],
)
def test_an_overload_is_nobodys_limit(code: str, overload: bool) -> None:
    assert is_overload(code) is overload
    assert not is_rate_limit(f"{code} 429") or not overload


def test_in_a_sentence_only_known_codes_count() -> None:
    said = "see billing_details or payment_method; project_spend_limit_exceeded, insufficient_quota"
    assert list(billing_codes_in(said)) == ["project_spend_limit_exceeded", "insufficient_quota"]


@pytest.mark.parametrize(
    ("code", "of_a_day"),
    [
        ("requests per day", True),
        ("free-models-per-day", True),
        ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", True),
        ("GenerateContentInputTokensPerModelPerDay", True),
        ("generate_requests_per_model_per_day", True),
        ("daily_limit_exceeded", True),
        ("DAILY_QUOTA", True),
        ("daily token limit", True),
        ("rate_limit_exceeded_tpd", True),
        ("RPD", True),
        ("GenerateRequestsPerMinutePerProjectPerModel", False),
        ("requests per minute", False),
        ("rpdx", False),
        ("429", False),
    ],
)
def test_codes_of_a_limit_of_a_day_are_rate_limits_that_last(code: str, *, of_a_day: bool) -> None:
    assert is_day_limit(code) is of_a_day
    assert is_rate_limit(code) or not of_a_day
    assert not is_billing(code)
