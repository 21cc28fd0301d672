"""OpenAI's dialect of a probe, which many gateways speak too."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import httpx

from scanpool.models.error_codes import SLOW_DOWN, is_billing
from scanpool.models.observation import ProviderState
from scanpool.sources.buckets import whole_number
from scanpool.sources.dialect import PROMPT, Call, Dialect, Refusal
from scanpool.sources.openai_headers import limit_in_message, limits_in_headers
from scanpool.sources.text import quoted

MAX_COMPLETION_TOKENS: Final = 16
"""The least that models accept; reasoning counts too."""


def completion(output_limit: str) -> dict[str, object]:
    """Return the smallest completion; `output_limit` names the field that bounds its answer."""
    return {
        "messages": [{"role": "user", "content": PROMPT}],
        output_limit: MAX_COMPLETION_TOKENS,
    }


def refused(refusal: Refusal) -> ProviderState | None:
    """Return what a 429 says; other refusals are not about limits."""
    if refusal.status != httpx.codes.TOO_MANY_REQUESTS:
        return None
    for word in (refusal.code, refusal.type):
        if is_billing(word):
            return ProviderState(billing_code=quoted(word))
    if refusal.code == SLOW_DOWN:
        return ProviderState(slow_down=True)
    # A 429 with any other code or none is a rate limit: that is what the status means. Azure has
    # "429", "RateLimitReached" and "too_many_requests", gateways have their own.
    return replace(limit_in_message(refusal.message), rate_limited=True)


def limits(headers: Mapping[str, str], _: float) -> ProviderState:
    """Return the limits in the headers, whose resets count from the answer, not from a clock."""
    return limits_in_headers(headers)


def spent(usage: Mapping[str, object]) -> int | None:
    """Return the tokens of prompt and answer."""
    return whole_number(usage.get("total_tokens"))


def _call(base: str, _: str | None, api_key: str, model: str) -> Call:
    return Call(
        url=f"{base}/chat/completions",
        headers={"Authorization": f"Bearer {api_key}"},
        body={"model": model, **completion("max_completion_tokens")},
    )


OPENAI: Final = Dialect(call=_call, limits=limits, refused=refused, spent=spent)
