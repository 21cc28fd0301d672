"""KEDA's scalingModifiers: one formula over the metrics of several triggers.

    min(queue / messages per replica, headroom / tokens per replica)

It fails as a whole when one trigger fails.
"""

from scanpool_replay.contenders import Formula
from scanpool_replay.controllers.hpa import SYNC_SECONDS, Hpa, Metric
from scanpool_replay.controllers.keda import queue_depths, scale
from scanpool_replay.world import World

SECONDS_PER_MINUTE = 60
# The window that the trigger's query averages use over.
WINDOW_SECONDS = 60.0


class FormulaScaler:
    """A ScaledObject whose HPA gets the formula's value, with a target of 1."""

    def __init__(self, settings: Formula) -> None:
        self._settings = settings
        self._hpa = Hpa(settings.min_replicas, settings.max_replicas)
        self._headroom: int | None = None

    def start(self, world: World) -> None:
        """Let the HPA sync."""
        first = world.engine.now + world.phases.uniform(0, SYNC_SECONDS)
        world.engine.every(SYNC_SECONDS, first, lambda: self._sync(world))

    def restart(self) -> None:
        """Forget the recommendations."""
        self._hpa.forget()

    def ceilings(self) -> dict[str, int | None]:
        """Return its own, and what the headroom allows."""
        return {"max": self._settings.max_replicas, "tokens": self._headroom}

    def _sync(self, world: World) -> None:
        value = self._value(world)
        metric = Metric(value, 1.0)
        scale(world, self._hpa.decide(world.cluster.desired, [metric], world.engine.now))

    def _value(self, world: World) -> float | None:
        settings = self._settings
        depths = queue_depths(world, [target.queue for target in settings.targets])
        used = world.scrapes.per_second(WINDOW_SECONDS) if world.can_read("usage") else None
        if used is None or None in depths:
            return None
        headroom = world.provider.limit() - used[1][0] * SECONDS_PER_MINUTE
        allowed = headroom / settings.tokens_per_replica
        self._headroom = max(int(allowed), 0)
        asked = max(
            (depth or 0) / target.messages_per_replica
            for depth, target in zip(depths, settings.targets, strict=True)
        )
        return min(asked, allowed)
