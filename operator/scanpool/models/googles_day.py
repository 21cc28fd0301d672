"""Google's quotas of a day: what they are called, and when the next day begins."""

import re
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

ZONE: Final = ZoneInfo("America/Los_Angeles")
"""Gemini's quotas of a day are new at midnight there, say its pages on rate limits."""
JUST_BEGUN_SECONDS: Final = 3600.0
"""So soon after midnight a quota that is used up may still be yesterday's: counters lag, clocks
differ, and rates of refused calls look back."""

QUOTA: Final = re.compile(
    # An id, such as GenerateRequestsPerDayPerProjectPerModel-FreeTier; a metric of the older kind;
    # the name of a limit, as in `limit 'Requests per day per user' of service 'x.googleapis.com'`.
    r"(?P<id>\b\w*PerDay(?![a-z])\w*(?:-\w+)*)"
    r"|\bgoogleapis\.com/(?P<metric>\w*per_day\w*)"
    r"|\blimit '(?P<limit>[^']{0,80}\bper day\b[^']{0,80})' of service '[\w.-]*googleapis\.com"
)


def day_quota(text: str) -> str | None:
    """Return the first of Google's quotas of a day that a code or an error names."""
    found = QUOTA.search(text)
    return None if found is None else found["id"] or found["metric"] or found["limit"]


def next_day(now: float) -> float:
    """Return when Google's quotas of a day are new, in seconds since the epoch like `now`."""
    return _midnight(now, days=1)


def used_up_until(now: float) -> float | None:
    """Return when a quota of a day that is used up begins anew; None if it may have just begun."""
    has_just_begun = now - _midnight(now, days=0) < JUST_BEGUN_SECONDS
    return None if has_just_begun else next_day(now)


def _midnight(now: float, days: int) -> float:
    today = datetime.fromtimestamp(now, ZONE).date()
    return datetime.combine(today + timedelta(days=days), time(), ZONE).timestamp()
