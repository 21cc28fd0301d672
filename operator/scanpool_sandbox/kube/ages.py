"""How long ago, as kubectl writes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from scanpool_sandbox.kube.objects import parse_time

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86_400, 365 * 86_400


_UNITS = {"s": 1, "m": _MINUTE, "h": _HOUR, "d": _DAY, "y": _YEAR}
_STEPS = (
    (2 * _MINUTE, "s", ""),
    (10 * _MINUTE, "m", "s"),
    (3 * _HOUR, "m", ""),
    (8 * _HOUR, "h", "m"),
    (2 * _DAY, "h", ""),
    (8 * _DAY, "d", "h"),
    (2 * _YEAR, "d", ""),
    (8 * _YEAR, "y", "d"),
)
"""(below so many seconds, the unit, the smaller unit for the rest)"""


def human_duration(seconds: float) -> str:
    """Write a duration as kubectl's AGE does: two units at most, coarser as it grows."""
    whole = max(0, int(seconds))
    steps = ((unit, smaller) for below, unit, smaller in _STEPS if whole < below)
    unit, smaller = next(steps, ("y", ""))
    text = f"{whole // _UNITS[unit]}{unit}"
    rest = whole % _UNITS[unit] // _UNITS[smaller] if smaller else 0
    return text + (f"{rest}{smaller}" if rest else "")


def age(timestamp: Any) -> str:
    """Write how long ago a timestamp was."""
    if not timestamp:
        return "<unknown>"
    try:
        return human_duration((datetime.now(UTC) - parse_time(str(timestamp))).total_seconds())
    except ValueError:
        return "<invalid>"
