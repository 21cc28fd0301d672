"""OpenAI's dialect of a probe, which many gateways speak too."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from scanpool.models.observation import ProviderState
from scanpool.sources import refused as refusals
from scanpool.sources.buckets import whole_number
from scanpool.sources.dialect import PROMPT, Call, Dialect
from scanpool.sources.error_body import Refusal
from scanpool.sources.openai_headers import (
    REQUESTS_OF_A_DAY,
    TOKENS_OF_A_DAY,
    left_today,
    limit_in_message,
    limits_in_headers,
)
from scanpool.sources.ways import Way

MAX_COMPLETION_TOKENS: Final = 16
"""The least that models and the Responses API accept; reasoning counts too."""


def path_of(way: Way) -> str:
    """Return the endpoint's path."""
    return "responses" if way is Way.RESPONSES else "chat/completions"


def smallest(way: Way) -> dict[str, object]:
    """Return the body of the smallest call, but for the model."""
    prompt: dict[str, object] = {"messages": [{"role": "user", "content": PROMPT}]}
    if way is Way.RESPONSES:
        # Kept answers would fill the account's log, one a minute.
        prompt = {"input": PROMPT, "store": False}
    return {**prompt, way.value: MAX_COMPLETION_TOKENS}


def refused(refusal: Refusal) -> ProviderState | None:
    """Return what a refusal says about limits or billing."""
    return refusals.refused(refusal, limit_in_message)


def limits(headers: Mapping[str, str], at: float) -> ProviderState:
    """Return the limits in the headers; their resets count from the answer, which came `at`."""
    return replace(
        limits_in_headers(headers),
        tokens_today=left_today(headers, TOKENS_OF_A_DAY, at),
        requests_today=left_today(headers, REQUESTS_OF_A_DAY, at),
    )


def spent(usage: Mapping[str, object]) -> int | None:
    """Return the tokens of prompt and answer."""
    return whole_number(usage.get("total_tokens"))


def _usual(_: str | None) -> Way:
    return Way.COMPLETION_TOKENS


def _call(base: str, _: str | None, api_key: str, model: str, way: Way | None = None) -> Call:
    way = way or _usual(None)
    return Call(
        url=f"{base}/{path_of(way)}",
        headers={"Authorization": f"Bearer {api_key}"},
        body={"model": model, **smallest(way)},
    )


OPENAI: Final = Dialect(call=_call, usual=_usual, limits=limits, refused=refused, spent=spent)
