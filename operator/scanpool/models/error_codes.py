"""What a refused call's code means, whoever reports it: a probe or the workers' exporter."""

from typing import Final, NamedTuple

BILLING_CODES: Final = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_usage_limit_exceeded",
        "billing_error",
        "enforced_spend_limit_reached",
    }
)
"""Only a payment or a higher budget ends these: `error.code` or `error.type` of OpenAI, the last
two of Anthropic."""
BILLING_SUFFIX: Final = "_spend_limit_exceeded"
"""OpenAI has one for each kind of budget: organization, project, and so on."""

SLOW_DOWN: Final = "slow_down"
"""OpenAI's refusal of traffic that grew too fast inside the limit: a 429, but not at the limit."""


class Refusals(NamedTuple):
    """Calls refused with one code, per minute."""

    code: str
    per_minute: float


def is_billing(code: str) -> bool:
    """Return whether a provider's code or type of error means that someone must pay."""
    return code in BILLING_CODES or code.endswith(BILLING_SUFFIX)
