"""What the simulated world is made of: load, pipeline, provider, nodes, worker and retries.

The defaults are the one set of parameters that every published load test is replayed with.
docs/replay.md tells where each comes from and how it was fitted.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Seconds = Annotated[float, Field(ge=0, le=86_400)]
Positive = Annotated[float, Field(gt=0, le=86_400)]
PerMinute = Annotated[int, Field(ge=1, le=10**12)]
Tokens = Annotated[int, Field(ge=0, le=10**12)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]


class Part(BaseModel):
    """A part of a scenario: camelCase outside, immutable, and no field that nobody reads."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class ClosedLoad(Part):
    """Virtual users: each submits a scan, polls until it ends, and submits the next."""

    virtual_users: Annotated[int, Field(ge=1, le=20_000)]
    start_seconds: Seconds = 0.0
    ramp_up_seconds: Positive = 30.0
    hold_seconds: Seconds = 120.0
    ramp_down_seconds: Positive = 60.0
    # What the load test waits for scans under way; later ones it never hears of.
    drain_seconds: Seconds = 30.0
    poll_seconds: Positive = 2.0
    timeout_seconds: Positive = 300.0

    @property
    def stop_seconds(self) -> float:
        """When the last user submits no more."""
        work = self.ramp_up_seconds + self.hold_seconds + self.ramp_down_seconds
        return self.start_seconds + work

    @property
    def end_seconds(self) -> float:
        """When the load test ends at the latest."""
        return self.stop_seconds + self.drain_seconds


class OpenLoad(Part):
    """Scans that arrive whether or not earlier ones are done, at random times."""

    arrivals_per_minute: Annotated[float, Field(gt=0, le=1_000_000)]
    start_seconds: Seconds = 0.0
    seconds: Positive = 600.0

    @property
    def stop_seconds(self) -> float:
        """When the last scan arrives."""
        return self.start_seconds + self.seconds

    @property
    def end_seconds(self) -> float:
        """When the load ends."""
        return self.stop_seconds


class Stage(Part):
    """One task of a scan: its queue, its LLM call and its work.

    `tokens` are charged for one call, 0 where it makes none; `latency_seconds` is the median of the
    call; `cpu_seconds` are used half before and half after it.
    """

    queue: Annotated[str, Field(min_length=1, max_length=255)]
    tokens: Annotated[int, Field(ge=0, le=10**9)]
    cpu_seconds: Annotated[float, Field(ge=0, le=3600)]
    latency_seconds: Seconds = 0.0


class Tenant(Part):
    """One of several pipelines on the provider's key, with a Deployment on nodes of its own.

    What is left out is as the scenario, or its autoscaler, has it; `weight` and `priority` are the
    pool's, and `pool` a merge patch on it: a pipeline of `stages` of its own has queues of its own.
    """

    name: Name | Literal[""]
    load: ClosedLoad | OpenLoad | None = None
    stages: Annotated[tuple[Stage, ...], Field(max_length=20)] = ()
    pool: dict[str, Any] = Field(default_factory=dict)
    weight: Annotated[int, Field(ge=1, le=1_000)] | None = None
    priority: Annotated[int, Field(ge=-1_000, le=1_000)] | None = None
    min_replicas: Annotated[int, Field(ge=0, le=10_000)] | None = None
    max_replicas: Annotated[int, Field(ge=1, le=10_000)] | None = None


# The pipeline of a scenario that has only one.
ALONE = Tenant(name="")


# Tokens are those of real requests (rule: "none or little"); the split of the CPU time is fitted.
SCAN = (
    Stage(queue="scan.vision", tokens=3_873, cpu_seconds=0.076, latency_seconds=6.5),
    Stage(queue="scan.rule", tokens=250, cpu_seconds=0.126, latency_seconds=0.5),
    Stage(queue="scan.answer", tokens=1_482, cpu_seconds=0.160, latency_seconds=5.0),
    Stage(queue="scan.reward", tokens=0, cpu_seconds=0.082),
)


class Provider(Part):
    """The LLM provider's limits; no `quota_tokens`: it is paid by invoice."""

    tokens_per_minute: PerMinute = 2_000_000
    requests_per_minute: PerMinute = 10_000
    quota_tokens: Tokens | None = None
    # Spread of the logarithm of a call's latency.
    latency_sigma: Annotated[float, Field(ge=0, le=2)] = 0.3
    # From sending a call to its refusal.
    refusal_seconds: Seconds = 0.2


class Nodes(Part):
    """Nodes of one size; what is allocatable on each."""

    count: Annotated[int, Field(ge=1, le=1_000)] = 2
    cpu_millicores: Annotated[int, Field(ge=1, le=1_000_000)] = 2_000
    memory_mebibytes: Annotated[int, Field(ge=1, le=16_777_216)] = 3_826
    pods: Annotated[int, Field(ge=1, le=1_000)] = 110


class Worker(Part):
    """A worker pod. `outside_pods` consume the same queues but belong to no autoscaler (canary)."""

    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 100
    start_seconds: Seconds = 30.0
    # How long a stopping pod may finish what it has in hand; the rest is redelivered.
    grace_seconds: Seconds = 60.0
    # Before the kubelet starts a killed container again.
    restart_seconds: Seconds = 10.0
    cpu_request_millicores: Annotated[int, Field(ge=0)] = 250
    cpu_limit_millicores: Annotated[int, Field(ge=1)] = 1_000
    memory_request_mebibytes: Annotated[int, Field(ge=0)] = 512
    memory_limit_mebibytes: Annotated[int, Field(ge=1)] = 1_024
    memory_base_mebibytes: Annotated[float, Field(ge=0)] = 256.0
    memory_per_task_mebibytes: Annotated[float, Field(ge=0)] = 5.0
    # By how much each task in hand prolongs the CPU time of the next: timers, the event loop, and
    # caches that many greenlets share. Fitted.
    cpu_growth_per_task_in_hand: Annotated[float, Field(ge=0, le=1)] = 0.001
    outside_pods: Annotated[int, Field(ge=0, le=100)] = 1


class Telemetry(Part):
    """How late metrics of use show up after they were scraped, and whether they show others'."""

    usage_delay_seconds: Seconds = 0.0
    shows_others: bool = True


class Retries(Part):
    """The SDK's retries of a call inside the task queue's retries of a task: 3 x 3 calls."""

    sdk: Annotated[int, Field(ge=0, le=20)] = 2
    task_delays_seconds: Annotated[tuple[Seconds, ...], Field(max_length=20)] = (1.0, 2.0)
