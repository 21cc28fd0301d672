"""When a refusal ends, where its answer tells.

Headers count first, then the `retryDelay` of Google's errors, then the sentence. For a quota of a
day Google tells a delay of seconds all the same: there its next day counts. A bucket of a day that
is empty tells its reset where nothing else does.

An end that is further away than a minute's limit can be tells of a longer one, whatever it is.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from scanpool.models.googles_day import day_quota, used_up_until
from scanpool.models.observation import ProviderState
from scanpool.sources.buckets import DAY_SECONDS, MINUTE_SECONDS, RESET_SLACK_SECONDS
from scanpool.sources.openai_headers import SECONDS, empty_day_reset, parse_duration

LONGEST_SECONDS: Final = 31 * DAY_SECONDS
"""A month's budget is the longest there is; more is a mistake, or an epoch read as a duration."""
LONG_DELAY_SECONDS: Final = 3600.0
"""A delay of more than that is meant for a quota of a day; less is the usual one of a minute's."""
LONGER_LIMIT: Final = "rate limit"
"""What is used up where an answer tells nothing but that it takes longer than a minute."""
EPOCH_MILLISECONDS: Final = 10**11
"""From here on an epoch is in milliseconds: in seconds it would be the year 5138."""

RETRY_DELAY: Final = re.compile(
    r"""["']retryDelay["']\s*:\s*["'](?P<wait>\d+(?:\.\d+)?)s["']"""
    r"|\bretry_delay\s*\{\s*seconds: (?P<text>\d+)"
)
IN: Final = r"(?:(?:try again|retry|retrying|reset|resets) (?:in|after)|please wait) "
GO_DURATION: Final = re.compile(
    IN + r"(?P<wait>(?:\d+(?:\.\d+)?(?:h|ms|m|s))+)\b", re.ASCII | re.IGNORECASE
)
IN_WORDS: Final = re.compile(
    IN + r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>millisecond|second|minute|hour|day)",
    re.ASCII | re.IGNORECASE,
)
WORD_SECONDS: Final = {
    "millisecond": 1e-3, "second": 1.0, "minute": 60.0, "hour": 3600.0, "day": DAY_SECONDS,
}  # fmt: skip
REPLENISHED: Final = re.compile(
    r"replenished in (?:(?P<days>\d{1,3})\.)?(?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d)", re.ASCII
)
"""Azure's API Management writes a time span of .NET."""
REGAIN: Final = re.compile(
    r"regain access on (?P<day>\d{4}-\d\d-\d\d)(?: at (?P<time>\d\d:\d\d))?", re.ASCII
)
"""Anthropic's spend limits of a month, in UTC."""
RESET_EPOCH: Final = re.compile(
    r"""["']x-ratelimit-reset["']\s*:\s*["']?(?P<at>\d{10,13})\b""", re.ASCII | re.IGNORECASE
)
"""OpenRouter repeats headers in the error's metadata."""


def with_end(
    state: ProviderState, headers: Mapping[str, str], text: str, now: float
) -> ProviderState:
    """Return what a refusal says, with its end in seconds since the epoch like `now`.

    None where the answer does not tell, or nothing that can be meant.
    """
    until = _refused_until(headers, text, now)
    lasts = until is not None and until - now > MINUTE_SECONDS + RESET_SLACK_SECONDS
    used_up = state.used_up_quota
    if lasts and state.rate_limited and used_up is None:
        used_up = LONGER_LIMIT
    return replace(state, refused_until=until, used_up_quota=used_up)


def _refused_until(headers: Mapping[str, str], text: str, now: float) -> float | None:
    wait = _in_headers(headers, now)
    for told in _IN_TEXT:
        wait = told(text, now) if wait is None else wait
    if day_quota(text) is not None:
        if wait is None or wait < LONG_DELAY_SECONDS:
            return used_up_until(now)
    elif wait is None:
        wait = empty_day_reset(headers)
    return now + wait if wait is not None and 0 <= wait <= LONGEST_SECONDS else None


def _in_headers(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds to wait; a point in time that has passed is none."""
    # Milliseconds are more exact.
    milliseconds = headers.get("retry-after-ms", "").strip()
    if SECONDS.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    after = headers.get("retry-after", "").strip()
    if (seconds := parse_duration(after)) is not None:
        return seconds
    try:
        return _ahead(parsedate_to_datetime(after).timestamp(), now)
    except (ValueError, OverflowError):
        return None


def _ahead(at: float, now: float) -> float | None:
    return at - now if at > now else None


def _retry_delay(text: str, _: float) -> float | None:
    found = RETRY_DELAY.search(text)
    return None if found is None else float(found["wait"] or found["text"])


def _in_words(text: str, _: float) -> float | None:
    if (found := GO_DURATION.search(text)) is not None:
        return parse_duration(found["wait"])
    if (found := IN_WORDS.search(text)) is not None:
        return float(found["number"]) * WORD_SECONDS[found["unit"].lower()]
    return None


def _replenished(text: str, _: float) -> float | None:
    if (found := REPLENISHED.search(text)) is None:
        return None
    hours = 24 * int(found["days"] or 0) + int(found["h"])
    return float(3600 * hours + 60 * int(found["m"]) + int(found["s"]))


def _regain(text: str, now: float) -> float | None:
    if (found := REGAIN.search(text)) is None:
        return None
    try:
        day = datetime.fromisoformat(f"{found['day']}T{found['time'] or '00:00'}")
    except ValueError:
        return None
    return _ahead(day.replace(tzinfo=UTC).timestamp(), now)


def _reset_epoch(text: str, now: float) -> float | None:
    if (found := RESET_EPOCH.search(text)) is None:
        return None
    at = int(found["at"])
    return _ahead(at / 1000 if at >= EPOCH_MILLISECONDS else at, now)


_IN_TEXT: Final[tuple[Callable[[str, float], float | None], ...]] = (
    _retry_delay,
    _in_words,
    _replenished,
    _regain,
    _reset_epoch,
)
