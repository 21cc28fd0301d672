"""One pipeline: its queues, scans, load, workers and figures, and the autoscaler that scales it."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple, Protocol

from scanpool_replay.broker import Broker
from scanpool_replay.cluster import Cluster
from scanpool_replay.engine import Engine
from scanpool_replay.events import KillPod, PipelineEvent, SetMix, SetReplicas
from scanpool_replay.provider import Caller, LLMProvider
from scanpool_replay.scans import Book
from scanpool_replay.scenario import Scenario
from scanpool_replay.settings import ClosedLoad, Tenant
from scanpool_replay.telemetry import (
    SCRAPE_SECONDS,
    STATISTICS_DELAY_SECONDS,
    STATISTICS_SECONDS,
    Outages,
    Snapshots,
)
from scanpool_replay.users import Load, start_arrivals, start_users
from scanpool_replay.work import Shop

SECONDS_PER_MINUTE = 60
# A stream of chance by name: what one room draws does not change what another meets.
Chance = Callable[[str], Random]


class Scraped(NamedTuple):
    """What exporters count of all who call with the key, and of the pool: counters, or rates."""

    tokens: float
    calls: float
    own_tokens: float
    own_calls: float
    rate_refusals: float
    quota_refusals: float
    own_refusals: float


class Autoscaler(Protocol):
    """Whatever sets the replicas of one pipeline."""

    def start(self, pipeline: "Pipeline") -> None:
        """Begin, on an idle pipeline."""

    def restart(self) -> None:
        """Lose what only the process knew."""

    def ceilings(self) -> dict[str, int | None]:
        """Return the limits that it sees by name, in replicas; None is unknown."""


class Pipeline:
    """Everything that an autoscaler and a load test meet, but for what the key's users share."""

    def __init__(
        self,
        scenario: Scenario,
        tenant: Tenant,
        autoscaler: Autoscaler,
        replicas: int,
        engine: Engine,
        provider: LLMProvider,
        outages: Outages,
        chance: Chance,
    ) -> None:
        self.scenario = scenario
        self.name = tenant.name
        self.autoscaler = autoscaler
        self.engine = engine
        self.provider = provider
        self.outages = outages
        self.stages = tenant.stages or scenario.stages
        self.book = Book(self.stages, scenario.provider, chance("scans"))
        self.broker = Broker(engine, len(self.stages), chance("broker"))
        self.pool = provider.open(Caller.POOL)
        self.workers = (self.pool, provider.open(Caller.CANARY))
        shop = Shop(
            engine,
            self.broker,
            provider,
            self.book,
            self.stages,
            scenario.retries,
            chance("retries"),
            *self.workers,
        )
        self.cluster = Cluster(shop, scenario.nodes, scenario.worker, replicas)
        self.load = Load(engine, self.broker, self.book, chance("mix"))
        self.phases = chance("phases")
        self.statistics = Snapshots(
            engine,
            STATISTICS_SECONDS,
            STATISTICS_DELAY_SECONDS,
            self.phases.uniform(0, STATISTICS_SECONDS),
            self._statistics,
        )
        self.scrapes = Snapshots(
            engine,
            SCRAPE_SECONDS,
            scenario.telemetry.usage_delay_seconds,
            self.phases.uniform(0, SCRAPE_SECONDS),
            self._scrape,
        )
        load = tenant.load or scenario.load
        if isinstance(load, ClosedLoad):
            start_users(self.load, engine, load)
        else:
            start_arrivals(self.load, engine, load, chance("arrivals"))

    def used_per_minute(self, window: float) -> tuple[float, Scraped] | None:
        """Return what exporters counted a minute over the window, and the newest sample's time."""
        found = self.scrapes.per_second(window)
        if found is None:
            return None
        at, rates = found
        return at, Scraped(*(rate * SECONDS_PER_MINUTE for rate in rates))

    def happen(self, event: PipelineEvent) -> None:
        """Let an event happen to this pipeline, now."""
        match event:
            case KillPod():
                self.cluster.kill_busiest()
            case SetReplicas():
                self.cluster.scale(event.replicas)
            case SetMix():
                self.load.enter_at(self.stage(event.queue), event.share)

    def stage(self, queue: str) -> int:
        """Return the number of a queue's stage."""
        return next(number for number, one in enumerate(self.stages) if one.queue == queue)

    def _statistics(self) -> tuple[float, ...]:
        """Return per queue: messages, published and acknowledged."""
        broker = self.broker
        return tuple(
            float(value)
            for stage in range(len(self.stages))
            for value in (broker.depth(stage), broker.published[stage], broker.acked[stage])
        )

    def _scrape(self) -> tuple[float, ...]:
        """Return what exporters count, as `Scraped` names it."""
        own = self.pool
        every = self.provider.accounts if self.scenario.telemetry.shows_others else self.workers
        return Scraped(
            tokens=sum(one.answered_tokens for one in every),
            calls=sum(one.answered_calls for one in every),
            own_tokens=own.answered_tokens,
            own_calls=own.answered_calls,
            rate_refusals=sum(one.rate_refusals for one in every),
            quota_refusals=sum(one.quota_refusals for one in every),
            own_refusals=own.refusals,
        )
