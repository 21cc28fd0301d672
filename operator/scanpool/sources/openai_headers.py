"""What the rate-limit headers and 429 messages of OpenAI's API say about the limits of a minute.

Azure and most gateways send the same headers, with resets in plain seconds. Azure adds the length
of the period that a limit is for, which gateways in front of it pass on: where it is told, nothing
needs to be inferred from the reset.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from scanpool.models.observation import ProviderState
from scanpool.models.today import Today
from scanpool.sources.buckets import (
    DAY_SECONDS,
    MINUTE_SECONDS,
    Bucket,
    day_bucket,
    minute_bucket,
    plausible_limit,
)

UNIT_SECONDS: Final = {
    "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9,
}  # fmt: skip
DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(h|ms|us|µs|μs|ns|m|s)", re.ASCII)
SECONDS: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
MAX_DURATION_CHARACTERS: Final = 40

TOKEN_BUCKETS: Final = ("tokens", "project-tokens", "tokens-minute")
"""The organization's and the project's share of it: a call must fit into both. Cerebras says in the
name which period it means."""
REQUEST_BUCKETS: Final = ("requests", "requests-minute")
DAY_SUFFIX: Final = "-day"
TOKENS_OF_A_DAY: Final = ("tokens", "project-tokens", "tokens-day")
REQUESTS_OF_A_DAY: Final = ("requests", "requests-day")

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
        requests_per_minute=_least(_bucket(headers, name).limit for name in REQUEST_BUCKETS),
        tokens_remaining=_least(bucket.remaining for bucket in tokens),
        tokens_per_day=_least(_day_bucket(headers, name).limit for name in TOKENS_OF_A_DAY),
        requests_per_day=_least(_day_bucket(headers, name).limit for name in REQUESTS_OF_A_DAY),
    )


def left_today(headers: Mapping[str, str], names: Iterable[str], at: float) -> Today | None:
    """Return what is left of the emptiest of these buckets of a day, by headers that came `at`."""
    told = [
        Today(left, None if (reset := _reset(headers, name, str(left))) is None else at + reset)
        for name in names
        if (left := _day_bucket(headers, name).remaining) is not None
    ]
    return min(told, key=lambda one: one.left, default=None)


def empty_day_reset(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until the bucket of a day that is empty has something again.

    None if no bucket is one; the last of several counts.
    """
    names = TOKENS_OF_A_DAY + REQUESTS_OF_A_DAY
    empty = (name for name in names if _day_bucket(headers, name).remaining == 0)
    resets = (_reset(headers, name, "0") for name in empty)
    return max((one for one in resets if one is not None), default=None)


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
    limit, remaining = _told(headers, name)
    # Azure says 10 for requests whose limit is a minute's all the same: it spreads them.
    period = _period(headers, name)
    if period is not None:
        return minute_bucket(limit, remaining, None) if period <= MINUTE_SECONDS else Bucket()
    return minute_bucket(limit, remaining, _reset(headers, name, remaining))


def _day_bucket(headers: Mapping[str, str], name: str) -> Bucket:
    limit, remaining = _told(headers, name)
    period = DAY_SECONDS if name.endswith(DAY_SUFFIX) else _period(headers, name)
    if period is not None:
        return minute_bucket(limit, remaining, None) if period == DAY_SECONDS else Bucket()
    return day_bucket(limit, remaining, _reset(headers, name, remaining))


def _told(headers: Mapping[str, str], name: str) -> tuple[str | None, str | None]:
    limit = headers.get(f"x-ratelimit-limit-{name}")
    return limit, headers.get(f"x-ratelimit-remaining-{name}")


def _period(headers: Mapping[str, str], name: str) -> float | None:
    return parse_duration(headers.get(f"x-ratelimit-renewalperiod-{name}", ""))


def _reset(headers: Mapping[str, str], name: str, remaining: str | None) -> float | None:
    reset = parse_duration(headers.get(f"x-ratelimit-reset-{name}", ""))
    if reset is None and (remaining or "").strip() == "0":
        # Nothing else says when an empty bucket has something again; milliseconds are more exact.
        milliseconds = headers.get("retry-after-ms", "").strip()
        if SECONDS.fullmatch(milliseconds):
            return float(milliseconds) / 1000
        return parse_duration(headers.get("retry-after", ""))
    return reset
