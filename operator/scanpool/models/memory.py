"""What one decision leaves for the next.

`Memory` lives in the process; `Checkpoint` is the part of it that the status keeps for the next
process.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from scanpool.models.base import Model
from scanpool.models.budget import Unit


class Quota(StrEnum):
    """The billing breaker.

    Open: the provider refuses every call for billing reasons. HalfOpen: it answered again, and one
    replica's worth of calls is tried.
    """

    CLOSED = "Closed"
    HALF_OPEN = "HalfOpen"
    OPEN = "Open"


class Recommendation(NamedTuple):
    """Replicas that were wanted at a time, before stabilization."""

    at: float
    replicas: int


class Scaling(NamedTuple):
    """A change of replicas that was decided at a time."""

    at: float
    change: int


class WorkingSet(NamedTuple):
    """The largest working set among the pool's pods at a time, in bytes."""

    at: float
    memory: int


class Level(NamedTuple):
    """The level of the provider's token bucket at a time, and the bucket's limit, in tokens."""

    at: float
    tokens: int
    limit: int


class KnownLimit(NamedTuple):
    """A limit per minute that is believed, since when and from whom.

    `higher` was told by one answer at `higher_at`: it counts once a later answer agrees.
    """

    value: int
    source: str
    at: float
    higher: int | None = None
    higher_at: float | None = None


class UseSample(NamedTuple):
    """Tokens per minute that the whole key used at a time."""

    at: float
    tokens: float


class LevelUse(NamedTuple):
    """Tokens per minute that the whole key used between two looks at the bucket."""

    since: float
    at: float
    tokens: float


@dataclass(frozen=True, slots=True)
class Memory:
    """State between decisions. Times are seconds since the epoch.

    No recommendations: the first tick of a process. A replica's cost is learned only while the same
    number of replicas has been busy since `busy_since`, and `learned_seconds` of such time went
    into it; before that, `least_per_replica` is the most that was seen. `limits` are those of the
    provider, by unit, and `limits_of` its name, the model and the address. `level` is the last of
    its bucket, `level_use` the use of the whole key that its change told last, and `level_others`
    what of it was not the pool's. `same_use` is the last reading of use and when it was first the
    same; `silent_since` tells since when it has shown nothing although messages were worked off.
    `uses` are those of the ramp's period. The breaker was refused `quota_refusals` times since it
    opened, last at `quota_refused_at`, and closed at `quota_closed_at`; `quota_suspected` while it
    is closed and the workers are refused for billing.
    """

    recommendations: tuple[Recommendation, ...] = ()
    scalings: tuple[Scaling, ...] = ()
    tokens_per_replica: float | None = None
    learned_at: float | None = None
    learned_seconds: float = 0.0
    least_per_replica: float | None = None
    busy_since: float | None = None
    busy_replicas: int = 0
    rate_limited_at: float | None = None
    backoff_at: float | None = None
    backoff_factor: float = 1.0
    growth_stopped_until: float | None = None
    quota: Quota = Quota.CLOSED
    quota_code: str | None = None
    quota_since: float | None = None
    quota_refusals: int = 0
    quota_refused_at: float | None = None
    quota_closed_at: float | None = None
    quota_suspected: bool = False
    limits: Mapping[Unit, KnownLimit] = field(default_factory=dict)
    limits_of: tuple[str, str, str] | None = None
    level: Level | None = None
    level_use: LevelUse | None = None
    level_others: UseSample | None = None
    same_use: UseSample | None = None
    silent_since: float | None = None
    uses: tuple[UseSample, ...] = ()
    working_sets: tuple[WorkingSet, ...] = ()
    failed_depth_readings: int = 0
    last_desired: int | None = None
    reverted_at: tuple[float, ...] = ()


class LimitCheckpoint(Model):
    """A limit of the provider that was believed."""

    unit: Unit
    value: int
    source: str


class Checkpoint(Model):
    """The part of a pool's memory that must survive the process, in the status."""

    tokens_per_replica_minute: int | None = None
    learned_seconds: int | None = None
    limits: tuple[LimitCheckpoint, ...] = ()
    others_tokens_per_minute: int | None = None
    others_at: float | None = None
    rate_limited_at: float | None = None
    backoff_at: float | None = None
    backoff_factor: float | None = None
    growth_stopped_until: float | None = None
    quota: Quota = Quota.CLOSED
    quota_code: str | None = None
    quota_since: float | None = None
    quota_refusals: int | None = None
    quota_closed_at: float | None = None
    working_set_bytes: int | None = None
