"""Runs of a scenario, and what is measured of them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil, nan
from time import perf_counter

from scanpool.decide.decision import LlmDecision
from scanpool.decide.watermarks import Level
from scanpool.models.conditions import LimitedBy
from scanpool_replay.contenders import Controller
from scanpool_replay.controllers import build
from scanpool_replay.controllers.pool import PoolScaler
from scanpool_replay.pipeline import Autoscaler
from scanpool_replay.scenario import Scenario
from scanpool_replay.world import World

SAMPLE_SECONDS = 1.0
DRAIN_STEP_SECONDS = 5.0
SECONDS_PER_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Sample:
    """A pipeline and its provider at one moment of the load test or of the drain after it."""

    seconds: float
    desired: int
    ready: int
    ceilings: dict[str, int | None]
    backlog: int
    waiting: int  # messages of the backlog that no worker has in hand
    tokens: int  # charged since the start, to everyone on the key
    own_tokens: int  # and to the Deployment's pods
    limit: int
    bucket: float
    has_quota: bool
    calls: int  # of the pipeline's workers since the start
    rate_refusals: int
    quota_refusals: int
    completed: int
    cost: float | None  # what scanpool takes one replica to use, tokens per minute
    level: Level | None  # what scanpool takes the bucket to hold, and its marks
    memory: float  # of the largest replica, MiB


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of all pipelines at one moment."""

    submitted: int
    completed: int
    failed: int
    in_flight: int
    calls: int
    rate_refusals: int
    quota_refusals: int
    tokens_charged: int
    tokens_wasted: int
    reasons: dict[str, int]

    @property
    def success(self) -> float:
        """Completed as a share of all that ended."""
        ended = self.completed + self.failed
        return self.completed / ended if ended else nan

    @property
    def refused_share(self) -> float:
        """Rate-limit 429s as a share of the workers' calls."""
        return self.rate_refusals / self.calls if self.calls else 0.0

    @property
    def wasted_share(self) -> float:
        """Tokens for calls that helped no scan, as a share of those charged."""
        return self.tokens_wasted / self.tokens_charged if self.tokens_charged else 0.0


@dataclass(frozen=True, slots=True)
class Track:
    """What was recorded of one pipeline, second by second.

    `limits` tell what kept a scanpool from what its queues ask for, decision by decision: time,
    rule, reason.
    """

    pipeline: str
    samples: tuple[Sample, ...]
    limits: tuple[tuple[float, LimitedBy, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What one run gave. `seen_` is what the load test saw before it ended; the rest is all."""

    scenario: str
    controller: str
    seed: int
    seen_submitted: int
    seen_completed: int
    seen_failed: int
    seen_timed_out: int
    seen_seconds: float
    e2e_p50: float
    e2e_p95: float
    at_end: Totals
    final: Totals
    first_429: float | None
    drained_at: float | None
    max_replicas: int
    max_ready: int
    oom_kills: int
    restarts: int
    simulated_seconds: float
    wall_seconds: float = field(compare=False)
    tracks: tuple[Track, ...] = field(repr=False, default=())

    @property
    def scans_per_minute(self) -> float:
        """What the load test saw completed, over its duration."""
        return self.seen_completed / self.seen_seconds * SECONDS_PER_MINUTE


def percentile(values: list[float], percent: float) -> float:
    """Return the nearest-rank percentile; NaN of nothing."""
    if not values:
        return nan
    ranked = sorted(values)
    return ranked[max(ceil(percent / 100 * len(ranked)), 1) - 1]


def run(scenario: Scenario, controller: Controller, seed: int) -> Result:
    """Run a load test to its end, and on until nothing is in flight."""
    wall = perf_counter()
    world = World(scenario, build(controller, scenario.tenants), seed)
    recorder = _Recorder(world)
    end = scenario.end_seconds
    world.engine.run(end)
    at_end = _totals(world)
    until = end + scenario.drain_limit_seconds
    while world.in_flight and world.engine.now < until:
        world.engine.run(world.engine.now + DRAIN_STEP_SECONDS)
    seen = [one.load.seen for one in world.pipelines]
    e2e = [seconds for one in seen for seconds in one.e2e_seconds]
    tracks = recorder.tracks()
    return Result(
        scenario=scenario.name,
        controller=controller.label,
        seed=seed,
        seen_submitted=sum(one.submitted for one in seen),
        seen_completed=sum(one.completed for one in seen),
        seen_failed=sum(one.failed for one in seen),
        seen_timed_out=sum(one.timed_out for one in seen),
        seen_seconds=max(one.ended_at or end for one in seen),
        e2e_p50=percentile(e2e, 50),
        e2e_p95=percentile(e2e, 95),
        at_end=at_end,
        final=_totals(world),
        first_429=world.provider.first_rate_refusal,
        drained_at=None if world.in_flight else _last_end(world),
        max_replicas=_most(tracks, lambda sample: sample.desired),
        max_ready=_most(tracks, lambda sample: sample.ready),
        oom_kills=sum(one.cluster.oom_kills for one in world.pipelines),
        restarts=sum(pod.restarts for one in world.pipelines for pod in one.cluster.pods),
        simulated_seconds=world.engine.now + scenario.lead_seconds,
        wall_seconds=perf_counter() - wall,
        tracks=tracks,
    )


def _last_end(world: World) -> float | None:
    ends = [one.book.last_end for one in world.pipelines if one.book.last_end is not None]
    return max(ends, default=None)


def _most(tracks: Sequence[Track], count: Callable[[Sample], int]) -> int:
    """Return the most that all pipelines together had at a moment."""
    return max(
        sum(map(count, moment)) for moment in zip(*(one.samples for one in tracks), strict=True)
    )


def _limits(autoscaler: Autoscaler) -> tuple[tuple[float, LimitedBy, str], ...]:
    if not isinstance(autoscaler, PoolScaler):
        return ()
    return tuple(
        (tick.seconds, tick.decision.limited_by, tick.decision.reason) for tick in autoscaler.ticks
    )


def _llm(autoscaler: Autoscaler) -> LlmDecision | None:
    """Return what a scanpool last made of the provider's limit."""
    if not isinstance(autoscaler, PoolScaler) or not autoscaler.ticks:
        return None
    return autoscaler.ticks[-1].decision.llm


class _Recorder:
    """Takes a sample of each pipeline every second from the start of the load on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._samples: list[list[Sample]] = [[] for _ in world.pipelines]
        world.engine.every(SAMPLE_SECONDS, 0.0, self._take)

    def tracks(self) -> tuple[Track, ...]:
        """Return what was recorded."""
        return tuple(
            Track(one.name, tuple(samples), _limits(one.autoscaler))
            for one, samples in zip(self._world.pipelines, self._samples, strict=True)
        )

    def _take(self) -> None:
        provider = self._world.provider
        tokens = sum(one.tokens for one in provider.accounts)
        limit, bucket = provider.limit(), provider.level()
        has_quota = not provider.limiter.quota.exhausted
        for pipeline, samples in zip(self._world.pipelines, self._samples, strict=True):
            broker, cluster, workers = pipeline.broker, pipeline.cluster, pipeline.workers
            llm = _llm(pipeline.autoscaler)
            samples.append(
                Sample(
                    seconds=self._world.engine.now,
                    desired=cluster.desired,
                    ready=cluster.ready(),
                    ceilings=pipeline.autoscaler.ceilings(),
                    backlog=broker.backlog(),
                    waiting=broker.waiting(),
                    tokens=tokens,
                    own_tokens=pipeline.pool.tokens,
                    limit=limit,
                    bucket=bucket,
                    has_quota=has_quota,
                    calls=sum(one.calls for one in workers),
                    rate_refusals=sum(one.rate_refusals for one in workers),
                    quota_refusals=sum(one.quota_refusals for one in workers),
                    completed=pipeline.book.completed,
                    cost=None if llm is None else llm.cost.tokens,
                    level=None if llm is None else llm.level,
                    memory=max((pod.memory for pod in cluster.pods), default=0.0),
                )
            )


def _totals(world: World) -> Totals:
    books = [one.book for one in world.pipelines]
    workers = [account for one in world.pipelines for account in one.workers]
    return Totals(
        submitted=sum(one.submitted for one in books),
        completed=sum(one.completed for one in books),
        failed=sum(one.failed for one in books),
        in_flight=world.in_flight,
        calls=sum(one.calls for one in workers),
        rate_refusals=sum(one.rate_refusals for one in workers),
        quota_refusals=sum(one.quota_refusals for one in workers),
        tokens_charged=sum(one.tokens for one in workers),
        tokens_wasted=sum(one.wasted_tokens for one in books),
        reasons=dict(sum((one.reasons for one in books), Counter())),
    )
