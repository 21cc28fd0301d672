"""What happens to the world at a time: the fault time line of a scenario. Times from load start."""

from typing import Annotated, Literal

from pydantic import Field

from scanpool_replay.settings import Name, Part, PerMinute, Positive, Seconds, Tokens


class SetLimit(Part):
    """The provider changes the limits of the key: a tier upgrade, or the opposite."""

    kind: Literal["setLimit"]
    at_seconds: Seconds
    tokens_per_minute: PerMinute


class SetQuota(Part):
    """The prepaid quota is left with this many tokens; without a number it is without end."""

    kind: Literal["setQuota"]
    at_seconds: Seconds
    tokens: Tokens | None = None


class Neighbor(Part):
    """Someone else calls the provider with the same key for a while."""

    kind: Literal["neighbor"]
    at_seconds: Seconds
    seconds: Positive
    tokens_per_minute: PerMinute
    tokens_per_call: Annotated[int, Field(ge=1, le=10**6)] = 1_500


class NeighborBursts(Part):
    """Someone else on the key takes a share of a full bucket within seconds, and again each period.

    What is refused is not sent again.
    """

    kind: Literal["neighborBursts"]
    at_seconds: Seconds
    seconds: Positive
    every_seconds: Positive = 60.0
    within_seconds: Positive = 5.0
    share: Annotated[float, Field(gt=0, le=1)]
    tokens_per_call: Annotated[int, Field(ge=1, le=10**6)] = 1_500


class JumpCounters(Part):
    """Exporters count too much for a while: so many tokens more at once, and again each period.

    They are the workers' own (of every pipeline), or others' on the key. Nobody uses any of them,
    and no call is refused for them.
    """

    kind: Literal["jumpCounters"]
    at_seconds: Seconds
    seconds: Positive
    every_seconds: Positive = 15.0
    tokens: Annotated[int, Field(ge=1, le=10**12)]
    whose: Literal["own", "others"]


class KillPod(Part):
    """A busy worker's container is killed, as a failed liveness probe does, and starts again.

    Without the name of a pipeline it happens in each: so it is with all events of a pipeline.
    """

    kind: Literal["killPod"]
    at_seconds: Seconds
    pipeline: Name | None = None


class SetReplicas(Part):
    """A person scales the Deployment by hand."""

    kind: Literal["setReplicas"]
    at_seconds: Seconds
    replicas: Annotated[int, Field(ge=0, le=10_000)]
    pipeline: Name | None = None


class SetMix(Part):
    """From now on a share of the scans enters at a later queue, such as questions without image."""

    kind: Literal["setMix"]
    at_seconds: Seconds
    queue: str
    share: Annotated[float, Field(ge=0, le=1)]
    pipeline: Name | None = None


class LoseReading(Part):
    """A source of the autoscaler's answers nothing for a while."""

    kind: Literal["loseReading"]
    at_seconds: Seconds
    seconds: Positive
    reading: Literal["queues", "rates", "provider", "usage", "nodes"]


class RestartController(Part):
    """The autoscaler's process ends and starts again; what it kept only in its memory is gone."""

    kind: Literal["restartController"]
    at_seconds: Seconds


# What happens to one pipeline; the rest happens to all.
PipelineEvent = KillPod | SetReplicas | SetMix
Event = Annotated[
    SetLimit
    | SetQuota
    | Neighbor
    | NeighborBursts
    | JumpCounters
    | LoseReading
    | RestartController
    | PipelineEvent,
    Field(discriminator="kind"),
]
