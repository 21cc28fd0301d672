"""What a tick decided, with every number that a person needs to follow it."""

from dataclasses import dataclass
from enum import StrEnum

from scanpool.models.budget import BudgetReport, Claim
from scanpool.models.memory import Quota
from scanpool.models.observation import Refusals
from scanpool.models.reading import Unavailable


class LimitedBy(StrEnum):
    """The rule that kept the pool from what its queues ask for."""

    NONE = "None"
    HOLD = "Hold"
    STABILIZATION = "Stabilization"
    SCALING_POLICY = "ScalingPolicy"
    MIN_REPLICAS = "MinReplicas"
    MAX_REPLICAS = "MaxReplicas"
    TOKENS = "Tokens"
    REQUESTS = "Requests"
    MEMORY = "Memory"
    QUOTA = "Quota"
    FALLBACK = "Fallback"


class Zone(StrEnum):
    """Share of the token limit in use: up to 50%, 75%, 90%, above, and once calls are refused."""

    GREEN = "Green"
    YELLOW = "Yellow"
    ORANGE = "Orange"
    RED = "Red"
    EXCEEDED = "Exceeded"


class CostSource(StrEnum):
    """Where the tokens per replica-minute come from.

    Seen: the spec's figure is less than what replicas are seen to use already.
    """

    LEARNED = "Learned"
    SEEN = "Seen"
    SPEC = "Spec"


@dataclass(frozen=True, slots=True)
class Step:
    """One rung of the ladder: what it made of the replicas, and why, in words."""

    step: str
    before: int
    after: int
    reason: str


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most replicas that a limit allows, and why. None: unknown, so no growth.

    A pool may grow up to `replicas`; one that is already larger is left alone up to `keeps`.
    """

    replicas: int | None
    keeps: int | None
    reason: str

    def allows(self, current: int) -> int:
        """Return the most replicas that a pool of `current` replicas may have."""
        if self.replicas is None or self.keeps is None:
            return current
        return self.replicas if current > self.keeps else max(self.replicas, current)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of the report by name: who told it, and when, in seconds since the epoch."""

    name: str
    source: str
    at: float


@dataclass(frozen=True, slots=True)
class TokenReport:
    """The provider's limit and its use, in tokens per minute; None is unknown.

    `cost_confidence` is the share, 0 to 1, of the cost per replica that rests on what was measured.
    `probe` is what the operator's own probe uses, and `calls_per_task` how many calls the workers
    make for one message: more than one are retries.
    """

    limit: int | None
    limit_source: str | None
    used: float | None
    used_source: str | None
    own: float | None
    others: float | None
    tokens_per_replica: float | None
    cost_source: CostSource | None
    requests_limit: int | None
    requests_used: float | None
    rate_limited_per_minute: float | None
    backoff_factor: float
    zone: Zone | None
    cost_confidence: float = 0.0
    input_limit: int | None = None
    output_limit: int | None = None
    probe: float | None = None
    calls_per_task: float | None = None
    refusals: tuple[Refusals, ...] = ()
    budget: BudgetReport | None = None
    figures: tuple[Figure, ...] = ()

    @property
    def headroom(self) -> float | None:
        """Limit less use, in tokens per minute; negative while the burst is being spent."""
        if self.limit is None or self.used is None:
            return None
        return self.limit - self.used


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """What one replica takes and what the nodes still hold."""

    per_replica: int
    per_replica_source: str
    fits: int | None
    nodes: int


@dataclass(frozen=True, slots=True)
class Expiry:
    """How long messages may wait in a queue, in seconds, before the broker drops them."""

    queue: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one tick.

    `gaps` are the readings that failed: while there are any, the pool holds. `current` is what the
    Deployment asked for when it was observed. `first_expiry` is the pool's shortest message TTL.
    `claim` is what the pool asks of the limits that it shares with others. `quota_cap` is the most
    replicas that the billing breaker allows, None if it limits nothing; while it is open, the next
    probe comes `next_probe_seconds` after the last one at the latest.
    """

    current: int
    demand: int | None
    desired: int
    limited_by: LimitedBy
    steps: tuple[Step, ...]
    gaps: tuple[Unavailable, ...]
    quota: Quota
    quota_code: str | None
    quota_cap: int | None = None
    next_probe_seconds: float | None = None
    provider_answered: bool = False
    first_expiry: Expiry | None = None
    token_ceiling: Ceiling | None = None
    request_ceiling: Ceiling | None = None
    memory_ceiling: Ceiling | None = None
    tokens: TokenReport | None = None
    memory: MemoryReport | None = None
    reverts: int = 0
    claim: Claim | None = None

    @property
    def reason(self) -> str:
        """Why the replicas are what they are: the last rung that changed them, else the last."""
        changed = [step for step in self.steps if step.before != step.after]
        return (changed or list(self.steps))[-1].reason
