"""What Anthropic's rate-limit headers say about the limits of a minute.

Resets are points in time, to the second, and reckoned when the call began: both shorten or lengthen
what is left of them by some seconds. A reset in the past means a bucket that is full.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from fractions import Fraction
from typing import Final

from scanpool.models.observation import ProviderState
from scanpool.models.today import Today
from scanpool.sources.buckets import Bucket, day_bucket, minute_bucket

ROUNDING_SECONDS: Final = 3.0
"""Reset and Date are whole seconds, and the smallest call takes about one more in between."""
MAX_TIME_CHARACTERS: Final = 40


def limits_in_headers(headers: Mapping[str, str], at: float) -> ProviderState:
    """Return the limits, and the level of the emptiest bucket of tokens.

    The headers are those of any response, with names in lower case, or case-insensitive. It came
    `at`, in seconds since the epoch; its own Date is preferred, since it is told by the clock of
    the resets.
    """
    try:
        now = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except (ValueError, OverflowError):
        now = at
    tokens, read, written = (
        _bucket(headers, name, now) for name in ("tokens", "input-tokens", "output-tokens")
    )
    return ProviderState(
        tokens_per_minute=tokens.limit,
        requests_per_minute=_bucket(headers, "requests", now).limit,
        tokens_remaining=_level((tokens, read, written)),
        input_tokens_per_minute=read.limit,
        output_tokens_per_minute=written.limit,
        tokens_per_day=_day_bucket(headers, "tokens", now).limit,
        requests_per_day=_day_bucket(headers, "requests", now).limit,
        tokens_today=_today(headers, "tokens", now),
        requests_today=_today(headers, "requests", now),
    )


def parse_time(text: str) -> float | None:
    """Return an RFC 3339 time as seconds since the epoch; None if it is not one."""
    if len(text) > MAX_TIME_CHARACTERS:
        return None
    try:
        time = datetime.fromisoformat(text.strip())
        return None if time.tzinfo is None else time.timestamp()
    except (ValueError, OverflowError):
        return None


def _level(buckets: Sequence[Bucket]) -> int | None:
    """Return the level of the first that there is, if it were as empty as the emptiest of all.

    The one of all tokens is the sum of both others: that of the input can be empty, and refuse
    every call, while much of the output's is left.
    """
    whole = next((one.limit for one in buckets[:2] if one.limit is not None), None)
    told = [
        Fraction(one.remaining, one.limit)
        for one in buckets
        if one.limit is not None and one.remaining is not None
    ]
    return int(whole * min(told)) if whole is not None and told else None


def _bucket(headers: Mapping[str, str], name: str, now: float) -> Bucket:
    return minute_bucket(*_told(headers, name, now), rounding=ROUNDING_SECONDS)


def _day_bucket(headers: Mapping[str, str], name: str, now: float) -> Bucket:
    return day_bucket(*_told(headers, name, now), rounding=ROUNDING_SECONDS)


def _today(headers: Mapping[str, str], name: str, now: float) -> Today | None:
    left = _day_bucket(headers, name, now).remaining
    reset = parse_time(headers.get(f"anthropic-ratelimit-{name}-reset", ""))
    return None if left is None else Today(left, reset)


def _told(
    headers: Mapping[str, str], name: str, now: float
) -> tuple[str | None, str | None, float | None]:
    """Return limit, what is left, and the seconds until the reset."""
    reset = parse_time(headers.get(f"anthropic-ratelimit-{name}-reset", ""))
    return (
        headers.get(f"anthropic-ratelimit-{name}-limit"),
        headers.get(f"anthropic-ratelimit-{name}-remaining"),
        None if reset is None else max(reset - now, 0.0),
    )
