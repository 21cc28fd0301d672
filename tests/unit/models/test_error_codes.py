import pytest

from scanpool.models.error_codes import is_billing


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
