"""Tell the bucket of a minute from everything else that a provider's figures may mean."""

import math
import re
from dataclasses import dataclass
from typing import Final

MAX_PLAUSIBLE_LIMIT: Final = 10**12
"""Per minute. The largest tier has 4e7 tokens; gateways without a limit send 9.2e18, 0 or -1."""
MINUTE_SECONDS: Final = 60.0
HOUR_SECONDS: Final = 3600.0
DAY_SECONDS: Final = 86_400.0
RESET_SLACK_SECONDS: Final = 1.0
"""For rounding and for calls in flight, on top of the time that a minute's bucket can take."""
DAY_TOLERANCE: Final = 0.02
"""Relative: resets are rounded to milliseconds or seconds, remaining to whole numbers."""

WHOLE_NUMBER: Final = re.compile(r"\d{1,20}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A limit per minute or day, and what is left of it now; None where that is not told."""

    limit: int | None = None
    remaining: int | None = None


def minute_bucket(
    limit: str | None, remaining: str | None, reset_seconds: float | None, *, rounding: float = 0.0
) -> Bucket:
    """Return what three headers say, if they tell a plausible limit of a minute.

    `reset_seconds` are until the bucket is full, and may be off by `rounding` seconds.
    """
    size, level = plausible_limit(limit), whole_number(remaining)
    if size is None:
        return Bucket()
    if reset_seconds is not None and _is_longer(size, level, reset_seconds, rounding):
        return Bucket()
    return Bucket(size, level if level is not None and level <= size else None)


def day_bucket(
    limit: str | None, remaining: str | None, reset_seconds: float | None, *, rounding: float = 0.0
) -> Bucket:
    """Return what three headers say, as `minute_bucket` does, if they tell a limit of a day.

    A reset tells it: by its rate of refill, or by being further away than an hour's could be.
    """
    size, level = plausible_limit(limit), whole_number(remaining)
    if size is None or reset_seconds is None:
        return Bucket()
    if not _is_longer(size, level, reset_seconds, rounding):
        return Bucket()
    slack = RESET_SLACK_SECONDS + rounding
    beyond_an_hour = HOUR_SECONDS + slack < reset_seconds <= DAY_SECONDS + slack
    if not beyond_an_hour and not _is_a_days(_missing(size, level), reset_seconds, rounding):
        return Bucket()
    return Bucket(size, level if level is not None and level <= size else None)


def plausible_limit(value: object) -> int | None:
    """Return a limit as a number, unless it is no number or none that a provider would mean."""
    limit = whole_number(value)
    return limit if limit is not None and 0 < limit <= MAX_PLAUSIBLE_LIMIT else None


def whole_number(value: object) -> int | None:
    """Return the text of a header or a number of JSON as an integer that is not negative."""
    if isinstance(value, str):
        return int(value) if WHOLE_NUMBER.fullmatch(value := value.strip()) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value) if math.isfinite(value) and value >= 0 and value == int(value) else None
    return None


def _is_longer(limit: int, remaining: int | None, reset: float, rounding: float) -> bool:
    """Tell buckets of an hour or a day by the time that they take to fill.

    A day's nearly full bucket resets within a minute too: it shows by its rate of refill. A bucket
    that refills continuously has its missing share back after that share of its period. Gateways
    that count in fixed minutes show any reset of up to a minute, whatever is missing.
    """
    slack = RESET_SLACK_SECONDS + rounding
    missing = _missing(limit, remaining)
    if reset <= MINUTE_SECONDS * missing + slack:
        return False
    return _is_a_days(missing, reset, rounding) or reset > MINUTE_SECONDS + slack


def _missing(limit: int, remaining: int | None) -> float:
    return 1.0 if remaining is None else max(limit - remaining, 0) / limit


def _is_a_days(missing: float, reset: float, rounding: float) -> bool:
    return math.isclose(reset, DAY_SECONDS * missing, rel_tol=DAY_TOLERANCE, abs_tol=rounding)
