"""KEDA with RabbitMQ triggers over the management API: it does 0 to 1, its HPA 1 to N."""

from scanpool_replay.contenders import Keda
from scanpool_replay.controllers.hpa import SYNC_SECONDS, Hpa, Metric
from scanpool_replay.pipeline import Pipeline

# Figures per queue in the broker's statistics: messages, published, acknowledged.
FIGURES_PER_QUEUE = 3


class KedaScaler:
    """A ScaledObject. Depths come from the broker's statistics, so they lag by up to 6 s."""

    def __init__(self, settings: Keda) -> None:
        self._settings = settings
        self._hpa = Hpa(settings.min_replicas, settings.max_replicas)
        self._active_at: float | None = None

    def start(self, pipeline: Pipeline) -> None:
        """Let the HPA sync and KEDA poll, each at a phase of its own."""
        settings, engine = self._settings, pipeline.engine
        phase = pipeline.phases.uniform
        first = settings.first_sync_seconds
        if first is None:
            first = engine.now + phase(0, SYNC_SECONDS)
        engine.every(SYNC_SECONDS, first, lambda: self._sync(pipeline))
        if settings.min_replicas == 0:
            poll = engine.now + phase(0, settings.polling_seconds)
            engine.every(settings.polling_seconds, poll, lambda: self._poll(pipeline))

    def restart(self) -> None:
        """Forget the recommendations."""
        self._hpa.forget()

    def ceilings(self) -> dict[str, int | None]:
        """Return its only one."""
        return {"max": self._settings.max_replicas}

    def _sync(self, pipeline: Pipeline) -> None:
        depths = queue_depths(pipeline, [target.queue for target in self._settings.targets])
        metrics = [
            Metric(total, target.messages_per_replica)
            for total, target in zip(depths, self._settings.targets, strict=True)
        ]
        scale(pipeline, self._hpa.decide(pipeline.cluster.desired, metrics, pipeline.engine.now))

    def _poll(self, pipeline: Pipeline) -> None:
        """Activate as soon as anything waits; deactivate once nothing has for the cooldown."""
        now = pipeline.engine.now
        depths = queue_depths(pipeline, [target.queue for target in self._settings.targets])
        if any(depth for depth in depths):
            self._active_at = now
            if pipeline.cluster.desired == 0:
                scale(pipeline, 1)
        elif None not in depths and pipeline.cluster.desired > 0:
            if self._active_at is None:
                self._active_at = now
            elif now - self._active_at >= self._settings.cooldown_seconds:
                scale(pipeline, 0)


def queue_depths(pipeline: Pipeline, queues: list[str]) -> list[float | None]:
    """Return the messages of each queue, ready and unacked, as the statistics show them."""
    seen = pipeline.statistics.latest() if pipeline.outages.can_read("queues") else None
    if seen is None:
        return [None] * len(queues)
    return [seen[1][pipeline.stage(queue) * FIGURES_PER_QUEUE] for queue in queues]


def scale(pipeline: Pipeline, replicas: int) -> None:
    """Set the Deployment's replicas where they differ."""
    if replicas != pipeline.cluster.desired:
        pipeline.cluster.scale(replicas)
