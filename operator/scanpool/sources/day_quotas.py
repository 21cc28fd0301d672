"""What a refusal says about quotas of a day, and Google's about those of a minute, too.

Headers tell them seldom: OpenAI and those who speak like it name them in the sentence, Google in
the `details` of RESOURCE_EXHAUSTED, by the quota's id and value.
"""

import re
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from scanpool.models.observation import ProviderState
from scanpool.sources.buckets import plausible_limit
from scanpool.sources.text import quoted

GOOGLES_DAY: Final = ZoneInfo("America/Los_Angeles")
"""Gemini's quotas of a day are new at midnight there, say its pages on rate limits."""
GOOGLE_QUOTA: Final = re.compile(r"""["']quotaId["']\s*:\s*["'](?P<id>[\w-]{1,120})["']""")
GOOGLE_VALUE: Final = re.compile(r"""["']quotaValue["']\s*:\s*["'](?P<limit>\d{1,20})["']""")
GOOGLE_LIMITS: Final = (
    (re.compile(r"Requests\w*PerDay"), "requests_per_day"),
    (re.compile(r"Requests\w*PerMinute"), "requests_per_minute"),
    (re.compile(r"InputTokens\w*PerDay"), "tokens_per_day"),
    (re.compile(r"InputTokens\w*PerMinute"), "input_tokens_per_minute"),
)
"""What a quota's id counts; Gemini limits no output tokens."""
GOOGLE_ID_OF_A_DAY: Final = re.compile(r"\w*PerDay[\w-]*")

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
    for found in GOOGLE_QUOTA.finditer(text):
        # A violation's value stands before the next one's id.
        following = GOOGLE_QUOTA.search(text, found.end())
        end = len(text) if following is None else following.start()
        value = GOOGLE_VALUE.search(text, found.end(), end)
        for names, field in GOOGLE_LIMITS:
            if value is not None and names.search(found["id"]):
                limits[field] = plausible_limit(value["limit"])
    sentence = IN_A_SENTENCE.search(text)
    if sentence is not None and sentence["limit"]:
        # What a sentence calls "tokens per day" is here tokens_per_day.
        limits[sentence["kind"].lower().replace(" ", "_")] = plausible_limit(sentence["limit"])
    return replace(state, **limits)


def is_googles(used_up_quota: str) -> bool:
    """Return whether it is Google's id of a quota of a day."""
    return GOOGLE_ID_OF_A_DAY.fullmatch(used_up_quota) is not None


def googles_next_day(now: float) -> float:
    """Return when Google's quotas of a day are new, in seconds since the epoch like `now`."""
    here = datetime.fromtimestamp(now, GOOGLES_DAY)
    midnight = datetime.combine(here.date() + timedelta(days=1), time(), GOOGLES_DAY)
    return midnight.timestamp()


def _used_up(text: str) -> str | None:
    ids = (found["id"] for found in GOOGLE_QUOTA.finditer(text))
    of_a_day = next((one for one in ids if is_googles(one)), None)
    if of_a_day is not None:
        return of_a_day
    sentence = IN_A_SENTENCE.search(text)
    if sentence is None:
        return None
    return quoted(next(sentence[name] for name in SENTENCE_NAMES if sentence[name]))
