"""KEDA's scalingModifiers: one formula over the metrics of several triggers.

    min(queue / messages per replica, headroom / tokens per replica)

It fails as a whole when one trigger fails. Headroom is the limit less the measured use, or, as the
provider's header tempts one to do it, the tokens that remain in the provider's bucket.
"""

from scanpool_replay.contenders import Formula
from scanpool_replay.controllers.hpa import SYNC_SECONDS, Hpa, Metric
from scanpool_replay.controllers.keda import queue_depths, scale
from scanpool_replay.pipeline import Pipeline

# The window that the trigger's query averages use over.
WINDOW_SECONDS = 60.0


class FormulaScaler:
    """A ScaledObject whose HPA gets the formula's value, with a target of 1."""

    def __init__(self, settings: Formula) -> None:
        self._settings = settings
        self._hpa = Hpa(settings.min_replicas, settings.max_replicas)
        self._headroom: int | None = None

    def start(self, pipeline: Pipeline) -> None:
        """Let the HPA sync."""
        first = pipeline.engine.now + pipeline.phases.uniform(0, SYNC_SECONDS)
        pipeline.engine.every(SYNC_SECONDS, first, lambda: self._sync(pipeline))

    def restart(self) -> None:
        """Forget the recommendations."""
        self._hpa.forget()

    def ceilings(self) -> dict[str, int | None]:
        """Return its own, and what the headroom allows."""
        return {"max": self._settings.max_replicas, "tokens": self._headroom}

    def _sync(self, pipeline: Pipeline) -> None:
        value = self._value(pipeline)
        metric = Metric(value, 1.0)
        scale(pipeline, self._hpa.decide(pipeline.cluster.desired, [metric], pipeline.engine.now))

    def _value(self, pipeline: Pipeline) -> float | None:
        settings = self._settings
        depths = queue_depths(pipeline, [target.queue for target in settings.targets])
        headroom = _unused(pipeline) if settings.headroom == "rate" else _remaining(pipeline)
        if headroom is None or None in depths:
            return None
        allowed = headroom / settings.tokens_per_replica
        self._headroom = max(int(allowed), 0)
        asked = max(
            (depth or 0) / target.messages_per_replica
            for depth, target in zip(depths, settings.targets, strict=True)
        )
        return min(asked, allowed)


def _unused(pipeline: Pipeline) -> float | None:
    used = pipeline.used_per_minute(WINDOW_SECONDS) if pipeline.outages.can_read("usage") else None
    return None if used is None else pipeline.provider.limit() - used[1].tokens


def _remaining(pipeline: Pipeline) -> float | None:
    return pipeline.provider.level() if pipeline.outages.can_read("provider") else None
