"""How long ago, as kubectl writes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from scanpool_sandbox.kube.objects import parse_time

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86_400, 365 * 86_400


def human_duration(seconds: float) -> str:
    """Write a duration as kubectl's AGE does: two units at most, coarser as it grows."""
    whole = max(0, int(seconds))
    steps = (
        (2 * _MINUTE, lambda s: f"{s}s"),
        (10 * _MINUTE, lambda s: _two(s, _MINUTE, "m", 1, "s")),
        (3 * _HOUR, lambda s: f"{s // _MINUTE}m"),
        (8 * _HOUR, lambda s: _two(s, _HOUR, "h", _MINUTE, "m")),
        (2 * _DAY, lambda s: f"{s // _HOUR}h"),
        (8 * _DAY, lambda s: _two(s, _DAY, "d", _HOUR, "h")),
        (2 * _YEAR, lambda s: f"{s // _DAY}d"),
        (8 * _YEAR, lambda s: _two(s, _YEAR, "y", _DAY, "d")),
    )
    for below, write in steps:
        if whole < below:
            return write(whole)
    return f"{whole // _YEAR}y"


def _two(seconds: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    rest = seconds % large // small
    return f"{seconds // large}{large_unit}" + (f"{rest}{small_unit}" if rest else "")


def age(timestamp: Any) -> str:
    """Write how long ago a timestamp was."""
    if not timestamp:
        return "<unknown>"
    try:
        return human_duration((datetime.now(UTC) - parse_time(str(timestamp))).total_seconds())
    except ValueError:
        return "<invalid>"
