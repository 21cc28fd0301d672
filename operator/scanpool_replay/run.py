"""Runs of a scenario, and what is measured of them."""

from dataclasses import dataclass, field
from math import ceil, nan
from time import perf_counter

from scanpool.models.decision import LimitedBy
from scanpool_replay.contenders import Controller
from scanpool_replay.controllers import build
from scanpool_replay.controllers.pool import PoolScaler
from scanpool_replay.provider import WORKERS
from scanpool_replay.scenario import Scenario
from scanpool_replay.world import Autoscaler, World

SAMPLE_SECONDS = 1.0
DRAIN_STEP_SECONDS = 5.0
SECONDS_PER_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Sample:
    """The world at one moment of the load test or of the drain after it."""

    seconds: float
    desired: int
    ready: int
    ceilings: dict[str, int | None]
    backlog: int
    tokens: int  # charged since the start, to everyone
    limit: int
    bucket: float
    refusals: int  # 429s of workers since the start
    completed: int
    memory: float  # of the largest replica, MiB


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of the whole pipeline at one moment."""

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
    samples: tuple[Sample, ...] = field(repr=False, default=())
    # What kept a scanpool from what its queues ask for, decision by decision: time, rule, reason.
    limits: tuple[tuple[float, LimitedBy, str], ...] = field(repr=False, default=())

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
    autoscaler, replicas = build(controller)
    world = World(scenario, autoscaler, replicas, seed)
    recorder = _Recorder(world)
    end = scenario.load.end_seconds
    world.engine.run(end)
    at_end = _totals(world)
    until = end + scenario.drain_limit_seconds
    while world.book.in_flight and world.engine.now < until:
        world.engine.run(world.engine.now + DRAIN_STEP_SECONDS)
    seen = world.load.seen
    return Result(
        scenario=scenario.name,
        controller=controller.label,
        seed=seed,
        seen_submitted=seen.submitted,
        seen_completed=seen.completed,
        seen_failed=seen.failed,
        seen_timed_out=seen.timed_out,
        seen_seconds=seen.ended_at or end,
        e2e_p50=percentile(seen.e2e_seconds, 50),
        e2e_p95=percentile(seen.e2e_seconds, 95),
        at_end=at_end,
        final=_totals(world),
        first_429=world.provider.first_rate_refusal,
        drained_at=None if world.book.in_flight else world.book.last_end,
        max_replicas=max(sample.desired for sample in recorder.samples),
        max_ready=max(sample.ready for sample in recorder.samples),
        oom_kills=world.cluster.oom_kills,
        restarts=sum(pod.restarts for pod in world.cluster.pods),
        simulated_seconds=world.engine.now + scenario.lead_seconds,
        wall_seconds=perf_counter() - wall,
        samples=tuple(recorder.samples),
        limits=_limits(autoscaler),
    )


def _limits(autoscaler: Autoscaler) -> tuple[tuple[float, LimitedBy, str], ...]:
    if not isinstance(autoscaler, PoolScaler):
        return ()
    return tuple(
        (tick.seconds, tick.decision.limited_by, tick.decision.reason) for tick in autoscaler.ticks
    )


class _Recorder:
    """Takes a sample every second from the start of the load on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.samples: list[Sample] = []
        world.engine.every(SAMPLE_SECONDS, 0.0, self._take)

    def _take(self) -> None:
        world = self._world
        provider = world.provider
        workers = [provider.accounts[caller] for caller in WORKERS]
        self.samples.append(
            Sample(
                seconds=world.engine.now,
                desired=world.cluster.desired,
                ready=world.cluster.ready(),
                ceilings=world.autoscaler.ceilings(),
                backlog=world.broker.backlog(),
                tokens=sum(one.tokens for one in provider.accounts.values()),
                limit=provider.limit(),
                bucket=provider.level(),
                refusals=sum(one.rate_refusals + one.quota_refusals for one in workers),
                completed=world.book.completed,
                memory=max((pod.memory for pod in world.cluster.pods), default=0.0),
            )
        )


def _totals(world: World) -> Totals:
    book = world.book
    workers = [world.provider.accounts[caller] for caller in WORKERS]
    return Totals(
        submitted=book.submitted,
        completed=book.completed,
        failed=book.failed,
        in_flight=book.in_flight,
        calls=sum(one.calls for one in workers),
        rate_refusals=sum(one.rate_refusals for one in workers),
        quota_refusals=sum(one.quota_refusals for one in workers),
        tokens_charged=sum(one.tokens for one in workers),
        tokens_wasted=book.wasted_tokens,
        reasons=dict(book.reasons),
    )
