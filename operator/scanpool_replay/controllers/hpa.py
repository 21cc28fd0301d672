"""The HorizontalPodAutoscaler (autoscaling/v2) for external metrics with an average value."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from scanpool.decide import behavior
from scanpool.decide.behavior import Recommendation, Scaling
from scanpool.models.spec import Behavior

SYNC_SECONDS = 15.0
DEFAULTS = Behavior()


@dataclass(frozen=True, slots=True)
class Metric:
    """A total and what one replica is meant to have of it; a missing total is None."""

    total: float | None
    per_replica: float


class Hpa:
    """Decides every 15 s. Stabilization and policies are the defaults of autoscaling/v2.

    They are those of `scanpool.decide.behavior`, which is tested against the HPA's tables.
    """

    def __init__(self, min_replicas: int, max_replicas: int) -> None:
        self._min = max(min_replicas, 1)
        self._max = max_replicas
        self._recommendations: tuple[Recommendation, ...] = ()
        self._scalings: tuple[Scaling, ...] = ()

    def decide(self, current: int, metrics: Sequence[Metric], now: float) -> int:
        """Return the replicas from now on. A pool at zero is not the HPA's to scale."""
        if current == 0:
            return 0
        known = [
            _proposal(one.total, one.per_replica, current)
            for one in metrics
            if one.total is not None
        ]
        if not known:
            return current
        wanted = max(known)
        if wanted < current and len(known) < len(metrics):
            return current  # the metric that is missing might ask for more
        self._recommendations = behavior.recommend(self._recommendations, wanted, DEFAULTS, now)
        self._scalings = behavior.forget_scalings(self._scalings, now)
        stable = behavior.stabilize(self._recommendations, current, wanted, DEFAULTS, now)
        paced = behavior.apply_policies(stable, current, DEFAULTS, self._scalings, now)
        desired = min(max(paced, self._min), self._max)
        if desired != current:
            self._scalings = (*self._scalings, Scaling(now, desired - current))
        return desired

    def forget(self) -> None:
        """Start anew, as a restarted controller does."""
        self._recommendations, self._scalings = (), ()


def _proposal(total: float, per_replica: float, current: int) -> int:
    """Return ceil(total / target), or what is there if that is within the tolerance of 10%."""
    deviation = abs(total / (per_replica * current) - 1)
    if deviation <= DEFAULTS.scale_up.tolerance:
        return current
    return max(ceil(total / per_replica), 0)
