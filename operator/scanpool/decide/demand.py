"""How many replicas the queues ask for."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import NamedTuple

from scanpool.models.observation import QueueDepth
from scanpool.models.spec import Behavior, Queue


class Demand(NamedTuple):
    """Replicas asked for, and the queue that asks for the most."""

    replicas: int
    queue: str
    messages: int
    messages_per_replica: int


def demand(queues: Sequence[Queue], depths: Mapping[str, QueueDepth]) -> Demand:
    """Return the most that any queue asks for: messages over messages per replica, rounded up.

    This is the HPA's external metric with an average value, and its largest over several metrics.
    """
    asked = [
        Demand(
            ceil(depths[queue.name].messages / queue.messages_per_replica),
            queue.name,
            depths[queue.name].messages,
            queue.messages_per_replica,
        )
        for queue in queues
    ]
    return max(asked, key=lambda one: (one.replicas, one.messages / one.messages_per_replica))


def within_tolerance(wanted: Demand, current: int, behavior: Behavior) -> bool:
    """Tell whether the load per replica is near enough to the target to leave it alone.

    The deviation is relative, as the HPA's: messages / (per replica x current) from 1, either edge
    included. Zero current replicas have no load to compare, so nothing is near enough.
    """
    if current == 0:
        return False
    load = wanted.messages / (wanted.messages_per_replica * current)
    return 1 - behavior.scale_down.tolerance <= load <= 1 + behavior.scale_up.tolerance
