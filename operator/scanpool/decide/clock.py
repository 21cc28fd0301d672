"""A clock that was set back: what is remembered must not wait until the time comes again.

Windows, back-offs and pauses would else last as long as the clock was set back by, and the pool
with them. A clock that is set forth only lets them end early.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from scanpool.decide.memory import Memory

# What fields that are a time are called, or end with.
TIMES = frozenset({"at", "since", "until"})
# Ends of calendar days, which a clock does not move.
OF_THE_CALENDAR = frozenset({"ends_at"})


def followed(memory: Memory, now: float) -> Memory:
    """Return the memory as it is at a time, in seconds since the epoch.

    Where that is before the memory was last taken up, all of its times go back with the clock.
    """
    if memory.at is not None and now < memory.at:
        memory = _moved(memory, now - memory.at)
    return replace(memory, at=now)


def is_time(name: str) -> bool:
    """Tell whether a field of the memory is a time that moves with the clock."""
    return name.rpartition("_")[2] in TIMES and name not in OF_THE_CALENDAR


def _moved(value: Any, seconds: float) -> Any:
    """Return a part of the memory with all of its times moved."""
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **_of(value, (one.name for one in fields(value)), seconds))
    if hasattr(value, "_fields"):
        return value._replace(**_of(value, value._fields, seconds))
    match value:
        case tuple():
            return tuple(_moved(one, seconds) for one in value)
        case Mapping():
            return {key: _moved(one, seconds) for key, one in value.items()}
    return value


def _of(part: Any, names: Iterable[str], seconds: float) -> dict[str, Any]:
    return {name: _field(name, getattr(part, name), seconds) for name in names}


def _field(name: str, value: Any, seconds: float) -> Any:
    if isinstance(value, float) and is_time(name):
        return value + seconds
    return _moved(value, seconds)
