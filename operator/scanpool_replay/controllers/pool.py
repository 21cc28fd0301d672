"""scanpool: the product's own decision, on readings of the simulated world."""

from typing import NamedTuple

from scanpool.decide import (
    Memory,
    after_scaling,
    assess,
    checkpoint,
    decide,
    learn,
    probe_age,
    restore,
    schedules,
)
from scanpool.decide.decision import Decision
from scanpool_replay.contenders import Scanpool
from scanpool_replay.controllers.keda import scale
from scanpool_replay.observer import Observer
from scanpool_replay.operator import Operator, epoch
from scanpool_replay.pipeline import Pipeline


class Tick(NamedTuple):
    """A decision and its simulated time, in seconds."""

    seconds: float
    decision: Decision


class PoolScaler:
    """One pool of an operator. Memory is carried from tick to tick as the process does."""

    def __init__(self, settings: Scanpool, operator: Operator) -> None:
        self._whole = self._spec = settings.spec
        self._operator = operator
        self._memory = Memory()
        self._is_new = True
        self.ticks: list[Tick] = []

    def start(self, pipeline: Pipeline) -> None:
        """Tick every polling interval."""
        observer = Observer(pipeline, self._spec, self._operator)
        interval = float(self._spec.polling_interval_seconds)
        first = pipeline.engine.now + pipeline.phases.uniform(0, interval)
        pipeline.engine.every(interval, first, lambda: self._tick(pipeline, observer))

    def restart(self) -> None:
        """Keep what the status keeps: the next tick begins with it."""
        self._operator.forget()
        self._is_new = True

    def ceilings(self) -> dict[str, int | None]:
        """Return what the last decision met."""
        found: dict[str, int | None] = {"max": self._spec.max_replicas}
        if not self.ticks:
            return found
        last = self.ticks[-1].decision
        met = {limit.lower(): one.replicas for limit, one in last.ceilings.items()}
        return {**found, **met}

    def _tick(self, pipeline: Pipeline, observer: Observer) -> None:
        now = epoch(pipeline.engine.now)
        self._spec = schedules.under(self._whole, schedules.in_force(self._whole, now))
        memory, llm = self._memory, self._spec.llm
        if self._is_new:
            memory, self._is_new = restore(checkpoint(memory), now), False
        age = 0.0 if llm is None else probe_age(memory.llm.probing, memory.llm.breaker, llm)
        observation = observer.observe(age)
        peers = self._operator.peers(pipeline.name, now)
        signals = assess(self._spec, observation, memory, now)
        memory = learn(self._spec, signals, memory)
        decision = decide(self._spec, signals, memory, peers)
        for keys in decision.claims.values():
            for claim in keys.values():
                self._operator.publish(claim, now)
        if decision.desired != decision.current:
            memory = after_scaling(memory, decision.current, decision.desired, now)
            scale(pipeline, decision.desired)
        self._memory = memory
        self.ticks.append(Tick(pipeline.engine.now, decision))
