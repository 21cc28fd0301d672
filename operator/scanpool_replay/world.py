"""A scenario brought to life under one autoscaler, for one seed."""

from random import Random
from typing import Protocol

from scanpool_replay.broker import Broker
from scanpool_replay.cluster import Cluster
from scanpool_replay.engine import Engine
from scanpool_replay.events import (
    Event,
    KillPod,
    LoseReading,
    Neighbor,
    RestartController,
    SetLimit,
    SetQuota,
)
from scanpool_replay.provider import Caller, LLMProvider
from scanpool_replay.scans import Book
from scanpool_replay.scenario import Scenario
from scanpool_replay.settings import ClosedLoad
from scanpool_replay.telemetry import (
    SCRAPE_SECONDS,
    STATISTICS_DELAY_SECONDS,
    STATISTICS_SECONDS,
    Snapshots,
)
from scanpool_replay.users import Load, start_arrivals, start_users
from scanpool_replay.work import Shop


class Autoscaler(Protocol):
    """Whatever sets the replicas."""

    def start(self, world: "World") -> None:
        """Begin, on an idle pipeline."""

    def restart(self) -> None:
        """Lose what only the process knew."""

    def ceilings(self) -> dict[str, int | None]:
        """Return the limits that it sees by name, in replicas; None is unknown."""


class World:
    """Everything that an autoscaler and a load test meet."""

    def __init__(
        self, scenario: Scenario, autoscaler: Autoscaler, replicas: int, seed: int
    ) -> None:
        self.scenario = scenario
        self.autoscaler = autoscaler
        # A stream of chance for each room: what one draws does not change what another meets.
        chance = {
            room: Random(f"{seed}/{room}")
            for room in ("scans", "broker", "retries", "arrivals", "neighbor", "phases")
        }
        self.engine = engine = Engine(-scenario.lead_seconds)
        self.provider = LLMProvider(engine, scenario.provider)
        self.book = Book(scenario.stages, scenario.provider, chance["scans"])
        self.broker = Broker(engine, len(scenario.stages), chance["broker"])
        self.shop = Shop(
            engine,
            self.broker,
            self.provider,
            self.book,
            scenario.stages,
            scenario.retries,
            chance["retries"],
        )
        self.cluster = Cluster(self.shop, scenario.nodes, scenario.worker, replicas)
        self.load = Load(engine, self.broker, self.book)
        self.lost_until: dict[str, float] = {}
        self.phases = chance["phases"]
        self.statistics = Snapshots(
            engine,
            STATISTICS_SECONDS,
            STATISTICS_DELAY_SECONDS,
            self.phases.uniform(0, STATISTICS_SECONDS),
            self._statistics,
        )
        self.scrapes = Snapshots(
            engine, SCRAPE_SECONDS, 0.0, self.phases.uniform(0, SCRAPE_SECONDS), self._scrape
        )
        if isinstance(scenario.load, ClosedLoad):
            start_users(self.load, engine, scenario.load)
        else:
            start_arrivals(self.load, engine, scenario.load, chance["arrivals"])
        for event in scenario.events:
            engine.at(event.at_seconds, self._happen, event, chance["neighbor"])
        autoscaler.start(self)

    def can_read(self, reading: str) -> bool:
        """Tell whether a source of the autoscaler's answers now."""
        return self.engine.now >= self.lost_until.get(reading, self.engine.now)

    def stage(self, queue: str) -> int:
        """Return the number of a queue's stage."""
        return next(number for number, one in enumerate(self.scenario.stages) if one.queue == queue)

    def _statistics(self) -> tuple[float, ...]:
        """Return per queue: messages, published and acknowledged."""
        broker = self.broker
        return tuple(
            float(value)
            for stage in range(len(self.scenario.stages))
            for value in (broker.depth(stage), broker.published[stage], broker.acked[stage])
        )

    def _scrape(self) -> tuple[float, ...]:
        """Return what exporters count: tokens and calls of all and of the pool, refused calls."""
        every = self.provider.accounts.values()
        own = self.provider.accounts[Caller.POOL]
        return (
            sum(one.answered_tokens for one in every),
            sum(one.answered_calls for one in every),
            own.answered_tokens,
            own.answered_calls,
            sum(one.rate_refusals for one in every),
        )

    def _happen(self, event: Event, rng: Random) -> None:
        now = self.engine.now
        match event:
            case SetLimit():
                self.provider.limiter.set_tokens_per_minute(event.tokens_per_minute, now)
            case SetQuota():
                self.provider.limiter.quota.set_remaining(event.tokens)
            case Neighbor():
                self._call_as_neighbor(event, rng)
            case KillPod():
                self.cluster.kill_busiest()
            case LoseReading():
                self.lost_until[event.reading] = now + event.seconds
            case RestartController():
                self.autoscaler.restart()

    def _call_as_neighbor(self, event: Neighbor, rng: Random) -> None:
        if self.engine.now >= event.at_seconds + event.seconds:
            return
        self.provider.call(Caller.NEIGHBOR, event.tokens_per_call)
        self.provider.answered(Caller.NEIGHBOR, event.tokens_per_call)
        rate = event.tokens_per_minute / event.tokens_per_call / 60
        self.engine.after(rng.expovariate(rate), self._call_as_neighbor, event, rng)
