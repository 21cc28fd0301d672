"""Times in which other bounds hold, again and again."""

from datetime import datetime
from functools import lru_cache
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field

from scanpool.models.base import Model, Rule
from scanpool.models.fields import MOST_REPLICAS, Replicas, whole

# Longer than any list of minutes that a person writes.
MAX_CRON_CHARACTERS = 100
MAX_NAME_CHARACTERS = 63
MAX_ZONE_CHARACTERS = 64
MAX_SCHEDULES = 50
UTC = "UTC"


def _cron(text: str) -> str:
    try:
        CronSim(text, datetime.fromtimestamp(0, ZoneInfo(UTC)))
    except CronSimError as error:
        message = f"{text!r} is no cron expression of five fields, as 0 8 * * 1-5: {error}"
        raise ValueError(message) from error
    return text


def _zone(name: str) -> str:
    if name not in _zones():
        message = f"{name!r} is no IANA time zone, as Europe/Berlin or UTC"
        raise ValueError(message)
    return name


@lru_cache(1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


TimeZone = Annotated[str, Field(max_length=MAX_ZONE_CHARACTERS), AfterValidator(_zone)]
Cron = Annotated[
    str,
    Field(max_length=MAX_CRON_CHARACTERS, pattern=r"^\S+( +\S+){4}$"),
    AfterValidator(_cron),
]


class Schedule(Model):
    """Bounds for a time that begins and ends by the clock. The last that began counts."""

    name: Annotated[
        str, Field(max_length=MAX_NAME_CHARACTERS, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    ]
    start: Cron
    """When it begins: a cron expression of five fields."""
    end: Cron
    """When it ends."""
    time_zone: TimeZone = UTC
    """IANA time zone of both, with its changes of the clock."""
    min_replicas: Replicas | None = None
    """Replicas to have at least meanwhile; without it the pool's own minReplicas."""
    max_replicas: Annotated[int, whole(1, MOST_REPLICAS)] | None = None
    """The most replicas to have meanwhile; without it the pool's own maxReplicas."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.start != self.end",
            "a schedule must not end when it starts",
            lambda m: m.start != m.end,
        ),
        Rule(
            "has(self.minReplicas) || has(self.maxReplicas)",
            "a schedule sets minReplicas, maxReplicas, or both",
            lambda m: m.min_replicas is not None or m.max_replicas is not None,
        ),
    )
