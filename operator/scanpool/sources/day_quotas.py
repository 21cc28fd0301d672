"""What a refusal says about quotas of a day, and Google's about those of a minute, too.

Headers tell them seldom: OpenAI and those who speak like it name them in the sentence, Google in
the `details` of RESOURCE_EXHAUSTED: in a QuotaFailure by the quota's id and value, in an ErrorInfo
by the name of the limit. Client libraries print the same as text of a protocol buffer.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from scanpool.models.googles_day import day_quota
from scanpool.models.observation import ProviderState
from scanpool.sources.buckets import plausible_limit
from scanpool.sources.text import quoted

GOOGLE_QUOTA: Final = re.compile(
    r"""\bquota(?:_?id|_limit)["']?\s*:\s*["'](?P<id>[\w-]{1,120})["']""", re.IGNORECASE
)
GOOGLE_VALUE: Final = re.compile(
    r"""\bquota(?:_limit)?_?value["']?\s*:\s*["']?(?P<limit>\d{1,20})\b""", re.IGNORECASE
)
GOOGLE_LIMITS: Final = (
    (re.compile(r"Requests\w*PerDay"), "requests_per_day"),
    (re.compile(r"Requests\w*PerMinute"), "requests_per_minute"),
    (re.compile(r"InputTokens\w*PerDay"), "tokens_per_day"),
    (re.compile(r"InputTokens\w*PerMinute"), "input_tokens_per_minute"),
)
"""What a quota's id counts; Gemini limits no output tokens."""

IN_A_SENTENCE: Final = re.compile(
    # OpenAI, Groq: `on requests per day (RPD): Limit 200, Used 200`
    r"\bon (?P<kind>(?:tokens|requests) per day)\b(?:.{0,40}?Limit:? (?P<limit>\d{1,20})\b)?"
    # OpenRouter: `free-models-per-day`, `limit_rpd/MODEL`
    r"|(?P<slug>\b[a-z]+(?:-[a-z]+)*-per-day\b|\blimit_rpd\b)"
    # Anthropic, Mistral, gateways
    r"|(?P<daily>\bdaily (?:\w+ )?(?:quota|limit)\b)"
    # Azure's API Management: calls or bytes of a period, or tokens
    r"|\bout of (?P<volume>(?:call volume|bandwidth) quota)\b"
    r"|(?P<tokens>\btoken quota) is exceeded",
    re.ASCII | re.IGNORECASE,
)
SENTENCE_NAMES: Final = ("kind", "slug", "daily", "volume", "tokens")


def in_refusal(text: str) -> ProviderState:
    """Return the limits that a refusal tells by Google's ids or of a day, and what is used up."""
    state = ProviderState(used_up_quota=_used_up(text))
    limits: dict[str, Any] = {}
    for quota, value in _googles(text):
        for names, field in GOOGLE_LIMITS:
            if names.search(quota):
                limits[field] = plausible_limit(value)
    sentence = IN_A_SENTENCE.search(text)
    if sentence is not None and sentence["limit"]:
        # What a sentence calls "tokens per day" is here tokens_per_day.
        limits[sentence["kind"].lower().replace(" ", "_")] = plausible_limit(sentence["limit"])
    return replace(state, **limits)


def _googles(text: str) -> Iterator[tuple[str, str]]:
    """Yield the ids of Google's quotas, each with its value, where that is told.

    A violation's value stands between its id and the next one's; that of an ErrorInfo, which has
    one quota only, anywhere.
    """
    quotas = list(GOOGLE_QUOTA.finditer(text))
    ends = [*(quota.start() for quota in quotas[1:]), len(text)]
    for quota, end in zip(quotas, ends, strict=False):
        value = GOOGLE_VALUE.search(text, 0 if len(quotas) == 1 else quota.end(), end)
        if value is not None:
            yield quota["id"], value["limit"]


def _used_up(text: str) -> str | None:
    if (googles := day_quota(text)) is not None:
        return quoted(googles)
    sentence = IN_A_SENTENCE.search(text)
    if sentence is None:
        return None
    return quoted(next(sentence[name] for name in SENTENCE_NAMES if sentence[name]))
