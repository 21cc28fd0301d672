"""What a refusal means, for every dialect: money, growth, overload, or a limit, in this order."""

import re
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Final

import httpx

from scanpool.models.error_codes import QUOTA_ID, is_rate_limit, is_slow_down
from scanpool.models.observation import ProviderState
from scanpool.sources import day_quotas
from scanpool.sources.billing import billing_code
from scanpool.sources.error_body import Refusal

SLOW_DOWN_SENTENCE: Final = re.compile(r"(?:^|[:-] ['\"]?)slow[ _-]?down\b", re.IGNORECASE)
"""How OpenAI's begins, alone or behind a gateway's words, where the code has been dropped."""
SLOW_DOWN_STATUSES: Final = frozenset(
    {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE}
)


def refused(
    refusal: Refusal, limit_in_message: Callable[[str], ProviderState]
) -> ProviderState | None:
    """Return what a refusal says about limits or billing; None if it is about something else.

    `limit_in_message` reads the limit per minute out of a sentence of the provider's.
    """
    if (code := billing_code(refusal)) is not None:
        return ProviderState(billing_code=code)
    if _asks_to_slow_down(refusal):
        return ProviderState(slow_down=True)
    if refusal.is_overload:
        return None
    quotas = day_quotas.in_refusal(refusal.text)
    # A 429 with any other code or none is a rate limit: that is what the status means. Azure has
    # "429", "RateLimitReached" and "too_many_requests", gateways have their own.
    if (
        refusal.status == httpx.codes.TOO_MANY_REQUESTS
        or any(map(is_rate_limit, refusal.codes))
        or QUOTA_ID.search(refusal.text) is not None
        or (refusal.status == httpx.codes.FORBIDDEN and quotas.used_up_quota is not None)
    ):
        return replace(over(limit_in_message(refusal.text), quotas), rate_limited=True)
    return None


def over(told: ProviderState, better: ProviderState) -> ProviderState:
    """Return what is told, and over it what the better source tells."""
    known = {
        field.name: value
        for field in fields(better)
        if (value := getattr(better, field.name)) != field.default
    }
    return replace(told, **known)


def _asks_to_slow_down(refusal: Refusal) -> bool:
    if any(map(is_slow_down, refusal.codes)):
        return True
    begins = SLOW_DOWN_SENTENCE.search(refusal.message.strip()) is not None
    return begins and refusal.status in SLOW_DOWN_STATUSES
