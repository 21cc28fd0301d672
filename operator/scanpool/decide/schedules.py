"""Schedules: which of them is in force, and the bounds that hold under it.

last start | last end      | in force
never      | any           | no
some       | never, before | yes; of several the one whose start is the last
some       | at it, later  | no
"""

from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim

from scanpool.models.schedule import Schedule
from scanpool.models.spec import PoolSpec
from scanpool.models.units import SECONDS_PER_MINUTE

# Pools times their schedules; each answer holds for a minute.
REMEMBERED_ANSWERS = 1_024


def in_force(spec: PoolSpec, now: float) -> str | None:
    """Return the name of the schedule that is in force at `now`, in seconds since the epoch."""
    if not spec.schedules:
        return None
    begun = {one.name: at for one in spec.schedules if (at := _begun_at(one, now)) is not None}
    # Of those that began in the same minute the last of the spec counts.
    return max(reversed(begun), key=lambda name: begun[name], default=None)


def under(spec: PoolSpec, name: str | None) -> PoolSpec:
    """Return the spec with the bounds of one of its schedules; without such a one as it is."""
    for one in spec.schedules:
        if one.name == name:
            own = {"min_replicas": one.min_replicas, "max_replicas": one.max_replicas}
            told = {field: value for field, value in own.items() if value is not None}
            return spec.model_copy(update=told)
    return spec


def _begun_at(schedule: Schedule, now: float) -> float | None:
    """Return when it began, if it has and has not ended since."""
    minute = int(now // SECONDS_PER_MINUTE)
    start = _last(schedule.start, schedule.time_zone, minute)
    end = _last(schedule.end, schedule.time_zone, minute)
    return start if start is not None and (end is None or end < start) else None


@lru_cache(REMEMBERED_ANSWERS)
def _last(cron: str, zone: str, minute: int) -> float | None:
    """Return the last time of a cron expression up to a minute since the epoch, that one included.

    What falls into an hour that the clock skips happens right after it; what falls into one that it
    repeats happens once, but for expressions of every hour (as Debian's cron, by cronsim).
    """
    after = datetime.fromtimestamp((minute + 1) * SECONDS_PER_MINUTE, ZoneInfo(zone))
    last = next(CronSim(cron, after, reverse=True), None)
    return None if last is None else last.timestamp()
