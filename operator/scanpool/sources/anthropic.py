"""Anthropic's dialect of a probe."""

import re
from collections.abc import Mapping
from typing import Any, Final

from scanpool.models.observation import ProviderState
from scanpool.sources.anthropic_headers import limits_in_headers
from scanpool.sources.buckets import plausible_limit, whole_number
from scanpool.sources.dialect import PROMPT, Call, Dialect
from scanpool.sources.error_body import Refusal
from scanpool.sources.refused import refused
from scanpool.sources.ways import Way

API_VERSION: Final = "2023-06-01"
"""The only one there is; what is new is asked for by other headers."""
MAX_TOKENS: Final = 1

MESSAGE_LIMIT: Final = re.compile(
    r"\bof (?P<limit>\d[\d,]{0,19}) (?P<kind>(?:input |output )?tokens|requests) per minute",
    re.ASCII,
)


def _call(
    base: str,
    _: str | None,
    api_key: str,
    model: str,
    way: Way | None = None,  # noqa: ARG001 - there is one way only
) -> Call:
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
    # Growing too fast is refused like any other excess, and has to be backed off from alike.
    return refused(refusal, _limit_in_message)


def _limit_in_message(message: str) -> ProviderState:
    found = MESSAGE_LIMIT.search(message)
    if found is None:
        return ProviderState()
    # What a message calls "input tokens" is here input_tokens_per_minute, and so on.
    name = f"{found['kind'].replace(' ', '_')}_per_minute"
    told: dict[str, Any] = {name: plausible_limit(found["limit"].replace(",", ""))}
    return ProviderState(**told)


def _usual(_: str | None) -> None:
    """Return that there is one way only."""


def _spent(usage: Mapping[str, object]) -> int | None:
    counted = whole_number(usage.get("input_tokens")), whole_number(usage.get("output_tokens"))
    return None if None in counted else sum(each or 0 for each in counted)


ANTHROPIC: Final = Dialect(
    call=_call, usual=_usual, limits=limits_in_headers, refused=_refused, spent=_spent
)
