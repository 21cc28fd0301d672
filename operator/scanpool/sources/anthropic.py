"""Anthropic's dialect of a probe."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import httpx

from scanpool.models.error_codes import is_billing
from scanpool.models.observation import ProviderState
from scanpool.sources.anthropic_headers import limits_in_headers
from scanpool.sources.buckets import plausible_limit, whole_number
from scanpool.sources.dialect import PROMPT, Call, Dialect, Refusal
from scanpool.sources.text import quoted

API_VERSION: Final = "2023-06-01"
"""The only one there is; what is new is asked for by other headers."""
MAX_TOKENS: Final = 1

BILLING_WORDS: Final = {
    "credit balance is too low": "credit_balance_too_low",
    "api usage limits": "usage_limit_reached",
}
"""What a message says where it means money (a prepaid balance; a spend limit of the organization or
workspace), and a code of ours for each: the type, of a 400, says that the request is invalid."""

MESSAGE_LIMIT: Final = re.compile(
    r"\bof (?P<limit>\d[\d,]{0,19}) (?P<kind>(?:input |output )?tokens|requests) per minute",
    re.ASCII,
)


def _call(base: str, _: str | None, api_key: str, model: str) -> Call:
    return Call(
        url=f"{base}/messages",
        headers={"x-api-key": api_key, "anthropic-version": API_VERSION},
        body={
            "model": model,
            "messages": [{"role": "user", "content": PROMPT}],
            "max_tokens": MAX_TOKENS,
        },
    )


def _refused(refusal: Refusal) -> ProviderState | None:
    if (code := _billing_code(refusal)) is not None:
        return ProviderState(billing_code=code)
    if refusal.status != httpx.codes.TOO_MANY_REQUESTS:
        # Overload has a status of its own, 529, and is nobody's limit.
        return None
    # Growing too fast is refused like any other excess, and has to be backed off from alike.
    return replace(_limit_in_message(refusal.message), rate_limited=True)


def _billing_code(refusal: Refusal) -> str | None:
    for word in (refusal.code, refusal.type):
        if is_billing(word):
            return quoted(word)
    if refusal.status == httpx.codes.PAYMENT_REQUIRED:
        return "billing_error"
    if refusal.status in {httpx.codes.BAD_REQUEST, httpx.codes.TOO_MANY_REQUESTS}:
        message = refusal.message.lower()
        return next((code for said, code in BILLING_WORDS.items() if said in message), None)
    return None


def _limit_in_message(message: str) -> ProviderState:
    found = MESSAGE_LIMIT.search(message)
    if found is None:
        return ProviderState()
    # What a message calls "input tokens" is here input_tokens_per_minute, and so on.
    name = f"{found['kind'].replace(' ', '_')}_per_minute"
    told: dict[str, Any] = {name: plausible_limit(found["limit"].replace(",", ""))}
    return ProviderState(**told)


def _spent(usage: Mapping[str, object]) -> int | None:
    counted = whole_number(usage.get("input_tokens")), whole_number(usage.get("output_tokens"))
    return None if None in counted else sum(each or 0 for each in counted)


ANTHROPIC: Final = Dialect(call=_call, limits=limits_in_headers, refused=_refused, spent=_spent)
