"""What counts in the place of a reading that stays unknown, by the reading.

behavior                | counts
static                  | fallback.replicas
currentReplicas         | those that there are
currentReplicasIfHigher | the larger of the two
currentReplicasIfLower  | the smaller of the two

reading        | that many are           | while it is unknown
queues         | what the queues ask for | the pool holds but for that; static and
               |                         | currentReplicasIfLower may lower, as fast as a demand
of llm         | its ceiling             | the ladder goes on; ceilings that are known all the
               |                         | same and a low bucket count, too
nodes (memory) | its ceiling             | the ladder goes on

No ceiling that is known is passed for it. The first look of a process holds whatever there is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scanpool.decide.signals import Failures, StoodIn
from scanpool.models.fallback import Fallback, FallbackBehavior
from scanpool.models.reading import Unavailable
from scanpool.models.spec import PoolSpec

LOWERING = frozenset({FallbackBehavior.STATIC, FallbackBehavior.CURRENT_REPLICAS_IF_LOWER})
"""The behaviors that may take replicas away."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What a tick could not read: of the queues, of each limit by its name, of the nodes."""

    queues: tuple[Unavailable, ...] = ()
    limits: Mapping[str, tuple[Unavailable, ...]] = field(default_factory=dict)
    nodes: tuple[Unavailable, ...] = ()


def step(failures: Failures, missing: Missing) -> Failures:
    """Return how often in a row each reading has failed, this tick's included."""
    return Failures(
        failures.nodes + 1 if missing.nodes else 0,
        {name: failures.limits.get(name, 0) + 1 for name, gaps in missing.limits.items() if gaps},
    )


def stood_in(spec: PoolSpec, failures: Failures, missing: Missing) -> StoodIn:
    """Return what a fallback of the spec stands in for by now."""
    if not (failures.nodes or failures.limits):
        return StoodIn()
    nodes = _applies(spec.memory.fallback, failures.nodes)
    limits = frozenset(
        name
        for name, llm in spec.limits.items()
        if _applies(llm.fallback, failures.limits.get(name, 0))
    )
    of_limits = tuple(gap for name in spec.limits if name in limits for gap in missing.limits[name])
    return StoodIn(nodes, limits, (*of_limits, *(missing.nodes if nodes else ())))


def left(missing: Missing, stood_in: StoodIn) -> tuple[Unavailable, ...]:
    """Return the gaps that the pool holds for, the queues' first."""
    of_limits = (gaps for name, gaps in missing.limits.items() if name not in stood_in.limits)
    nodes = () if stood_in.nodes else missing.nodes
    return (*missing.queues, *(gap for gaps in of_limits for gap in gaps), *nodes)


def replicas(fallback: Fallback, current: int) -> int:
    """Return how many replicas count for a pool of `current`."""
    match fallback.behavior:
        case FallbackBehavior.STATIC:
            return fallback.replicas
        case FallbackBehavior.CURRENT_REPLICAS:
            return current
        case FallbackBehavior.CURRENT_REPLICAS_IF_HIGHER:
            return max(fallback.replicas, current)
        case FallbackBehavior.CURRENT_REPLICAS_IF_LOWER:
            return min(fallback.replicas, current)


def asked(spec: PoolSpec, failed_depth_readings: int, current: int) -> int | None:
    """Return what counts as the demand while the depth of the queues is unknown; None: nothing."""
    if spec.fallback is None or not _applies(spec.fallback, failed_depth_readings):
        return None
    return min(replicas(spec.fallback, current), spec.max_replicas)


def _applies(fallback: Fallback | None, failures: int) -> bool:
    return fallback is not None and failures >= fallback.failure_threshold
