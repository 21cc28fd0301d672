"""What one decision leaves for the next.

`Memory` lives in the process; `Checkpoint` is the part of it that the status keeps for the next
process.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from scanpool.models.base import Model


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


@dataclass(frozen=True, slots=True)
class Memory:
    """State between decisions. Times are seconds since the epoch.

    No recommendations: the first tick of a process. A replica's cost is learned only while
    the same number of replicas has been busy since `busy_since`.
    """

    recommendations: tuple[Recommendation, ...] = ()
    scalings: tuple[Scaling, ...] = ()
    tokens_per_replica: float | None = None
    learned_at: float | None = None
    busy_since: float | None = None
    busy_replicas: int = 0
    rate_limited_at: float | None = None
    backoff_at: float | None = None
    backoff_factor: float = 1.0
    growth_stopped_until: float | None = None
    quota: Quota = Quota.CLOSED
    quota_code: str | None = None
    quota_since: float | None = None
    working_sets: tuple[WorkingSet, ...] = ()
    failed_depth_readings: int = 0
    last_desired: int | None = None
    reverted_at: tuple[float, ...] = ()


class Checkpoint(Model):
    """The part of a pool's memory that must survive the process, in the status."""

    tokens_per_replica_minute: int | None = None
    rate_limited_at: float | None = None
    backoff_at: float | None = None
    backoff_factor: float | None = None
    growth_stopped_until: float | None = None
    quota: Quota = Quota.CLOSED
    quota_code: str | None = None
    quota_since: float | None = None
    working_set_bytes: int | None = None
