"""What a user reads: the `status` of a ScanWorkerPool."""

from typing import Annotated

from pydantic import Field

from scanpool.models.base import Model
from scanpool.models.conditions import Condition
from scanpool.models.decision import CostSource, LimitedBy, Zone
from scanpool.models.memory import Checkpoint, Quota

Tokens = Annotated[int, Field(json_schema_extra={"format": "int64"})]
Count = Annotated[int, Field(json_schema_extra={"format": "int32"})]


class CeilingsStatus(Model):
    """The most replicas that each limit allows; an absent one is unknown or not asked for."""

    tokens: Count | None = None
    requests: Count | None = None
    memory: Count | None = None


class RefusalStatus(Model):
    """Calls that were refused with one code."""

    code: str
    per_minute: Tokens


class ClaimantStatus(Model):
    """A pool's part of a shared limit."""

    pool: str
    weight: Count
    claim_tokens_per_minute: Tokens
    grant_tokens_per_minute: Tokens


class BudgetStatus(Model):
    """What there is for all pools on the key, this pool's part, and the other claimants."""

    tokens_per_minute: Tokens
    claim_tokens_per_minute: Tokens
    grant_tokens_per_minute: Tokens
    others: tuple[ClaimantStatus, ...] = ()


class FigureStatus(Model):
    """Who told one of the numbers above, and when."""

    name: str
    source: str
    at: str


class LlmStatus(Model):
    """The provider's limit, its use and what is left, in tokens per minute."""

    limit_tokens_per_minute: Tokens | None = None
    limit_source: str | None = None
    used_tokens_per_minute: Tokens | None = None
    used_source: str | None = None
    own_tokens_per_minute: Tokens | None = None
    others_tokens_per_minute: Tokens | None = None
    headroom_tokens_per_minute: Tokens | None = None
    headroom_percent: Count | None = None
    zone: Zone | None = None
    tokens_per_replica_minute: Tokens | None = None
    tokens_per_replica_source: CostSource | None = None
    requests_per_minute_limit: Tokens | None = None
    requests_per_minute_used: Tokens | None = None
    rate_limited_per_minute: Tokens | None = None
    backoff_percent: Count | None = Field(
        None, description="Share of the ceiling in force after rate-limit 429s; 100 is all of it."
    )
    tokens_per_replica_confidence_percent: Count | None = Field(
        None,
        description="How much of the cost per replica rests on what was measured; 0 is a guess.",
    )
    input_tokens_per_minute_limit: Tokens | None = None
    output_tokens_per_minute_limit: Tokens | None = None
    probe_tokens_per_minute: Tokens | None = Field(
        None, description="What the operator's own probe uses, for all pools of the key together."
    )
    calls_per_task: float | None = Field(
        None, description="LLM calls that the workers make for one message; more are retries."
    )
    refusals: tuple[RefusalStatus, ...] = Field(
        (), description="Calls on the key that were refused, by the provider's code."
    )
    budget: BudgetStatus | None = Field(
        None, description="How the limit is shared with other pools of the same key and model."
    )
    figures: tuple[FigureStatus, ...] = Field(
        (), description="Where each of these numbers came from, and when it was read."
    )
    quota: Quota | None = None
    observed_at: str | None = Field(
        None, description="When these numbers were read; they are written only when they change."
    )


class QueueStatus(Model):
    """One queue's messages; an absent `unacked` is not visible to the source."""

    name: str
    ready: Tokens
    unacked: Tokens | None = None
    tokens_waiting: Tokens = 0


class MemoryStatus(Model):
    """What one replica takes, and how many more the nodes hold."""

    per_replica: str
    per_replica_source: str
    fits: Count | None = None
    nodes: Count = 0


class StepStatus(Model):
    """One rung of the ladder, in words."""

    step: str
    before: Count
    after: Count
    reason: str


class ScalingStatus(Model):
    """A change of replicas that the operator made."""

    time: str
    from_replicas: Count
    to_replicas: Count
    limited_by: LimitedBy
    reason: str


class PoolStatus(Model):
    """How the pool stands. Written only when something in it has changed."""

    observed_generation: Annotated[int, Field(json_schema_extra={"format": "int64"})] | None = None
    selector: str | None = None
    replicas: Count | None = None
    ready_replicas: Count | None = None
    desired_replicas: Count | None = None
    limited_by: LimitedBy | None = None
    backlog: Tokens | None = Field(None, description="Messages, ready and unacked, in all queues.")
    backlog_source: str | None = None
    ceilings: CeilingsStatus | None = None
    llm: LlmStatus | None = None
    queues: tuple[QueueStatus, ...] = ()
    memory: MemoryStatus | None = None
    steps: tuple[StepStatus, ...] = ()
    last_scale_time: str | None = None
    scalings: tuple[ScalingStatus, ...] = ()
    conditions: tuple[Condition, ...] = ()
    checkpoint: Checkpoint | None = Field(
        None, description="What the operator's next process needs to go on; not for people."
    )
