"""Units that several rooms convert, and times as the API writes them."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

Clock = Callable[[], float]

SECONDS_PER_MINUTE = 60
WHOLE_PERCENT = 100
MEBIBYTE = 1024 * 1024
# Times that are kept as written: a status tells that of one reading several times, and many pools
# tell of the same.
KEPT_TIMES = 1024


@lru_cache(KEPT_TIMES)
def timestamp(at: float) -> str:
    """Return seconds since the epoch as the API writes times: RFC 3339, whole seconds, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch(time: str) -> float:
    """Return a time of the API in seconds since the epoch; raise ValueError if it is none."""
    return datetime.fromisoformat(time).timestamp()


def seconds(time: str | None) -> float | None:
    """Return a time that anyone may have written in seconds since the epoch; None if it is none."""
    try:
        return None if time is None else epoch(time)
    except ValueError:
        return None


def rounded(value: float) -> int:
    """Round to what a checkpoint keeps, so that noise costs no write: 548,321 becomes 550,000.

    Less than one is one: what was seen is not to be kept as nothing.
    """
    return max(int(float(f"{value:.1e}")), 1)
