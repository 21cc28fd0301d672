"""A scenario brought to life under one kind of autoscaler, for one seed."""

from collections.abc import Sequence
from math import ceil
from random import Random

from scanpool_replay.engine import Engine
from scanpool_replay.events import (
    Event,
    JumpCounters,
    KillPod,
    LoseReading,
    Neighbor,
    NeighborBursts,
    RestartController,
    SetLimit,
    SetMix,
    SetQuota,
    SetReplicas,
)
from scanpool_replay.pipeline import Autoscaler, Chance, Pipeline
from scanpool_replay.provider import Caller, LLMProvider
from scanpool_replay.scenario import Scenario
from scanpool_replay.telemetry import Outages
from scanpool_sandbox.limiter import Admitted


class World:
    """One clock and one provider, the pipelines on its key, and what happens to them all."""

    def __init__(
        self, scenario: Scenario, autoscalers: Sequence[tuple[Autoscaler, int]], seed: int
    ) -> None:
        """Begin with an autoscaler and its first replicas for each of the scenario's tenants."""
        self.scenario = scenario
        self.engine = engine = Engine(-scenario.lead_seconds)
        self.provider = LLMProvider(engine, scenario.provider)
        self.outages = Outages(engine)
        self.neighbors = self.provider.open(Caller.NEIGHBOR)
        self.pipelines = tuple(
            Pipeline(
                scenario,
                tenant,
                autoscaler,
                replicas,
                engine,
                self.provider,
                self.outages,
                _chance(seed, tenant.name),
            )
            for tenant, (autoscaler, replicas) in zip(scenario.tenants, autoscalers, strict=True)
        )
        neighbor = Random(f"{seed}/neighbor")
        for event in scenario.events:
            engine.at(event.at_seconds, self._happen, event, neighbor)
        for pipeline in self.pipelines:
            pipeline.autoscaler.start(pipeline)

    @property
    def in_flight(self) -> int:
        """Scans that have not ended, of all pipelines."""
        return sum(one.book.in_flight for one in self.pipelines)

    def _happen(self, event: Event, rng: Random) -> None:
        match event:
            case SetLimit() | SetQuota() | Neighbor() | NeighborBursts():
                self._happen_at_provider(event, rng)
            case LoseReading():
                self.outages.lose(event.reading, event.seconds)
            case JumpCounters():
                self._miscount(event)
            case RestartController():
                for pipeline in self.pipelines:
                    pipeline.autoscaler.restart()
            case KillPod() | SetReplicas() | SetMix():
                for pipeline in self.pipelines:
                    if event.pipeline in (None, pipeline.name):
                        pipeline.happen(event)

    def _happen_at_provider(
        self, event: SetLimit | SetQuota | Neighbor | NeighborBursts, rng: Random
    ) -> None:
        match event:
            case SetLimit():
                limiter = self.provider.limiter
                limiter.set_tokens_per_minute(event.tokens_per_minute, self.engine.now)
            case SetQuota():
                self.provider.limiter.quota.set_remaining(event.tokens)
            case Neighbor():
                self._call_as_neighbor(event, rng)
            case NeighborBursts():
                self._burst(event)

    def _call_as_neighbor(self, event: Neighbor, rng: Random) -> None:
        if self.engine.now >= event.at_seconds + event.seconds:
            return
        self._take(event.tokens_per_call)
        rate = event.tokens_per_minute / event.tokens_per_call / 60
        self.engine.after(rng.expovariate(rate), self._call_as_neighbor, event, rng)

    def _burst(self, event: NeighborBursts) -> None:
        if self.engine.now >= event.at_seconds + event.seconds:
            return
        calls = ceil(event.share * self.provider.limit() / event.tokens_per_call)
        for number in range(calls):
            self.engine.after(
                number * event.within_seconds / calls, self._take, event.tokens_per_call
            )
        self.engine.after(event.every_seconds, self._burst, event)

    def _take(self, tokens: int) -> None:
        if isinstance(self.provider.call(self.neighbors, tokens), Admitted):
            self.provider.answered(self.neighbors, tokens)

    def _miscount(self, event: JumpCounters) -> None:
        if self.engine.now >= event.at_seconds + event.seconds:
            return
        own = [one.pool for one in self.pipelines]
        for account in own if event.whose == "own" else [self.neighbors]:
            self.provider.miscounted(account, event.tokens)
        self.engine.after(event.every_seconds, self._miscount, event)


def _chance(seed: int, tenant: str) -> Chance:
    """Return the streams of chance of a pipeline: each meets its own."""
    place = f"{seed}/{tenant}" if tenant else f"{seed}"
    return lambda room: Random(f"{place}/{room}")
