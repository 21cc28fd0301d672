"""scanpool: the product's own decision, on readings of the simulated world."""

from typing import NamedTuple

from scanpool.decide import after_scaling, checkpoint, decide, restore
from scanpool.models.decision import Decision
from scanpool.models.memory import Memory
from scanpool_replay.contenders import Scanpool
from scanpool_replay.controllers.keda import scale
from scanpool_replay.observer import Observer, epoch
from scanpool_replay.world import World


class Tick(NamedTuple):
    """A decision and its simulated time, in seconds."""

    seconds: float
    decision: Decision


class PoolScaler:
    """The operator with one pool. Memory is carried from tick to tick as the process does."""

    def __init__(self, settings: Scanpool) -> None:
        self._settings = settings
        self._spec = settings.spec
        self._memory = Memory()
        self._now = 0.0
        self.ticks: list[Tick] = []

    def start(self, world: World) -> None:
        """Tick every polling interval."""
        observer = Observer(world, self._spec)
        interval = float(self._spec.polling_interval_seconds)
        first = world.engine.now + world.phases.uniform(0, interval)
        world.engine.every(interval, first, lambda: self._tick(world, observer))

    def restart(self) -> None:
        """Keep what the status keeps."""
        self._memory = restore(checkpoint(self._memory), self._now)

    def ceilings(self) -> dict[str, int | None]:
        """Return what the last decision met."""
        found: dict[str, int | None] = {"max": self._spec.max_replicas}
        if not self.ticks:
            return found
        last = self.ticks[-1].decision
        named = {
            "tokens": last.token_ceiling,
            "requests": last.request_ceiling,
            "memory": last.memory_ceiling,
        }
        met = {name: one.replicas for name, one in named.items() if one is not None}
        return {**found, **met}

    def _tick(self, world: World, observer: Observer) -> None:
        observation = observer.observe()
        self._now = now = epoch(world.engine.now)
        decision, memory = decide(self._spec, observation, self._memory, now)
        if decision.desired != decision.current:
            memory = after_scaling(memory, decision.current, decision.desired, now)
            scale(world, decision.desired)
        self._memory = memory
        self.ticks.append(Tick(world.engine.now, decision))
