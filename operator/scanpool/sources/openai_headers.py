"""What the rate-limit headers and 429 messages of OpenAI's API say about the limits of a minute.

Azure and most gateways send the same headers, with resets in plain seconds. Azure adds the length
of the period that a limit is for, which gateways in front of it pass on: where it is told, nothing
needs to be inferred from the reset.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from scanpool.models.observation import ProviderState
from scanpool.sources.buckets import MINUTE_SECONDS, Bucket, minute_bucket, plausible_limit

UNIT_SECONDS: Final = {
    "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9,
}  # fmt: skip
DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(h|ms|us|µs|μs|ns|m|s)", re.ASCII)
SECONDS: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
MAX_DURATION_CHARACTERS: Final = 40

TOKEN_BUCKETS: Final = ("tokens", "project-tokens")
"""The organization's and the project's share of it: a call must fit into both."""

MESSAGE_LIMIT: Final = re.compile(
    r"on (?P<kind>tokens|requests) per (?P<period>\w+).{0,40}?Limit:? (?P<limit>\d{1,20})\b",
    re.ASCII,
)


def limits_in_headers(headers: Mapping[str, str]) -> ProviderState:
    """Return the limits per minute, and the level of the emptiest token bucket.

    The headers are those of any response, with names in lower case, or case-insensitive.
    """
    tokens = [_bucket(headers, name) for name in TOKEN_BUCKETS]
    return ProviderState(
        tokens_per_minute=_least(bucket.limit for bucket in tokens),
        requests_per_minute=_bucket(headers, "requests").limit,
        tokens_remaining=_least(bucket.remaining for bucket in tokens),
    )


def limit_in_message(message: str) -> ProviderState:
    """Return the limit per minute that a 429 message says was exceeded, if it names one."""
    found = MESSAGE_LIMIT.search(message)
    if found is None or found["period"] != "min":
        return ProviderState()
    limit = plausible_limit(found["limit"])
    if found["kind"] == "tokens":
        return ProviderState(tokens_per_minute=limit)
    return ProviderState(requests_per_minute=limit)


def parse_duration(text: str) -> float | None:
    """Return the seconds of a Go duration (`1h2m3.5s`, `9ms`) or of plain seconds; else None."""
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


def _least(told: Iterable[int | None]) -> int | None:
    return min((number for number in told if number is not None), default=None)


def _bucket(headers: Mapping[str, str], name: str) -> Bucket:
    limit = headers.get(f"x-ratelimit-limit-{name}")
    remaining = headers.get(f"x-ratelimit-remaining-{name}")
    # Azure says 10 for requests whose limit is a minute's all the same: it spreads them.
    period = parse_duration(headers.get(f"x-ratelimit-renewalperiod-{name}", ""))
    if period is not None:
        return minute_bucket(limit, remaining, None) if period <= MINUTE_SECONDS else Bucket()
    reset = parse_duration(headers.get(f"x-ratelimit-reset-{name}", ""))
    if reset is None and (remaining or "").strip() == "0":
        # Nothing else says when an empty bucket has something again; milliseconds are more exact.
        milliseconds = headers.get("retry-after-ms", "").strip()
        if SECONDS.fullmatch(milliseconds):
            reset = float(milliseconds) / 1000
        else:
            reset = parse_duration(headers.get("retry-after", ""))
    return minute_bucket(limit, remaining, reset)
