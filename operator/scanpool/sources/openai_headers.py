"""What OpenAI's rate-limit headers and 429 messages say about the limits of a minute."""

import math
import re
from collections.abc import Mapping
from typing import Final

MAX_PLAUSIBLE_LIMIT: Final = 10**12
"""Per minute. The largest tier has 4e7 tokens; gateways without a limit send 9.2e18, 0 or -1."""
MINUTE_SECONDS: Final = 60.0
DAY_SECONDS: Final = 86_400.0
RESET_SLACK_SECONDS: Final = 1.0
"""For rounding and for calls in flight, on top of the time that a minute's bucket can take."""
DAY_TOLERANCE: Final = 0.02
"""Relative: resets are rounded to milliseconds or seconds, remaining to whole numbers."""

UNIT_SECONDS: Final = {
    "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9,
}  # fmt: skip
DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(h|ms|us|µs|μs|ns|m|s)", re.ASCII)
SECONDS: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
MAX_DURATION_CHARACTERS: Final = 40
WHOLE_NUMBER: Final = re.compile(r"\d{1,20}", re.ASCII)

TOKEN_BUCKETS: Final = ("tokens", "project-tokens")
"""The organization's and the project's share of it: a call must fit into both."""
REQUEST_BUCKETS: Final = ("requests",)

MESSAGE_LIMIT: Final = re.compile(
    r"on (?P<kind>tokens|requests) per (?P<period>\w+).{0,40}?Limit:? (?P<limit>\d{1,20})\b",
    re.ASCII,
)


def parse_duration(text: str) -> float | None:
    """Return the seconds of a duration as Go writes them (`1h2m3.5s`, `9ms`) or plain seconds.

    None if it is not one.
    """
    text = text.strip()
    if not text or len(text) > MAX_DURATION_CHARACTERS:
        return None
    if SECONDS.fullmatch(text):
        return float(text)
    seconds, end = 0.0, 0
    for part in DURATION_PART.finditer(text):
        if part.start() != end:
            return None
        seconds += float(part[1]) * UNIT_SECONDS[part[2]]
        end = part.end()
    return seconds if end == len(text) else None


def tokens_per_minute(headers: Mapping[str, str]) -> int | None:
    """Return the token limit of a minute that binds; None if no header tells a plausible one.

    Args:
        headers: of any response; names in lower case, or case-insensitive.

    """
    return _smallest(headers, TOKEN_BUCKETS)


def requests_per_minute(headers: Mapping[str, str]) -> int | None:
    """Return the request limit of a minute; None if no header tells a plausible one."""
    return _smallest(headers, REQUEST_BUCKETS)


def tokens_remaining(headers: Mapping[str, str]) -> int | None:
    """Return the level of the emptiest token bucket of a minute, in tokens; None if not told."""
    levels = []
    for bucket in TOKEN_BUCKETS:
        limit = _minute_limit(headers, bucket)
        told = headers.get(f"x-ratelimit-remaining-{bucket}", "").strip()
        if limit is not None and WHOLE_NUMBER.fullmatch(told) and 0 <= int(told) <= limit:
            levels.append(int(told))
    return min(levels, default=None)


def limit_in_message(message: str) -> tuple[str, int] | None:
    """Return what a 429 message says was exceeded: ("tokens" or "requests", limit per minute).

    None if it names no limit, or that of a day.
    """
    found = MESSAGE_LIMIT.search(message)
    if found is None or found["period"] != "min":
        return None
    limit = plausible_limit(found["limit"])
    return None if limit is None else (found["kind"], limit)


def plausible_limit(text: str | None) -> int | None:
    """Return a limit as a number, unless it is no number or none that a provider would mean."""
    if text is None or not WHOLE_NUMBER.fullmatch(text.strip()):
        return None
    limit = int(text)
    return limit if 0 < limit <= MAX_PLAUSIBLE_LIMIT else None


def _smallest(headers: Mapping[str, str], buckets: tuple[str, ...]) -> int | None:
    limits = [limit for name in buckets if (limit := _minute_limit(headers, name)) is not None]
    return min(limits, default=None)


def _minute_limit(headers: Mapping[str, str], bucket: str) -> int | None:
    """Return the limit of `bucket` unless its reset shows that it is not a minute's."""
    limit = plausible_limit(headers.get(f"x-ratelimit-limit-{bucket}"))
    reset = parse_duration(headers.get(f"x-ratelimit-reset-{bucket}", ""))
    if limit is None or reset is None:
        return limit
    if reset > MINUTE_SECONDS + RESET_SLACK_SECONDS:
        return None
    remaining = headers.get(f"x-ratelimit-remaining-{bucket}", "").strip()
    if WHOLE_NUMBER.fullmatch(remaining):
        missing = max(limit - int(remaining), 0) / limit
        if _refills_within_a_day(reset, missing):
            return None
    return limit


def _refills_within_a_day(reset: float, missing: float) -> bool:
    """Tell a day's nearly full bucket, which resets within a minute too, by its rate of refill.

    A bucket that refills continuously has its missing share back after that share of its period.
    Gateways that count in fixed minutes show any reset of up to a minute, whatever is missing.

    Args:
        reset: seconds until the bucket is full.
        missing: share of the limit, 0 to 1.

    """
    if reset <= MINUTE_SECONDS * missing + RESET_SLACK_SECONDS:
        return False
    return math.isclose(reset, DAY_SECONDS * missing, rel_tol=DAY_TOLERANCE)
