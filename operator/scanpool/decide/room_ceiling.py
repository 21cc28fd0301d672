"""The memory ceiling: how many replicas the nodes that exist can hold.

ceiling = running + sum over nodes of what fits beside what is requested or used there, as far as
          the rules among the nodes and the namespace's quotas let it

Replicas that are going away hold their places until they are gone, and nothing grows into these.
Nor is a replica taken away that waits for such a place.
"""

from scanpool.decide import fallback_ceiling
from scanpool.decide.decision import Ceiling
from scanpool.decide.memory import Memory
from scanpool.decide.signals import Room, Signals
from scanpool.models.spec import PoolSpec, Unschedulable
from scanpool.models.units import MEBIBYTE

# Of many nodes that lack the same, so many are named.
NAMED_NODES = 3


def ceiling(spec: PoolSpec, signals: Signals, _: Memory) -> Ceiling | None:
    """Return the most replicas that the nodes hold; None where no node bounds the pool."""
    room = signals.room
    if room is None:
        return None
    if signals.stood_in.nodes and (instead := spec.memory.fallback) is not None:
        return fallback_ceiling.ceiling(
            instead, signals.workers.replicas, "memory.fallback", "the nodes"
        )
    if room.fits is None or room.per_replica is None:
        return _unknown(room, signals.workers.replicas)
    current, most = signals.workers.replicas, room.running + room.fits
    if room.trouble is not None:
        # Whoever waits for nodes leaves what is pending there for them.
        held = current if room.waits else min(most + room.leaving, current)
        return Ceiling(held, held, room.trouble)
    if room.waits:
        return None
    told = f"{_room(spec, room, room.per_replica)}{_lacking(spec, room)}"
    return Ceiling(most, most + room.leaving, told)


def _unknown(room: Room, current: int) -> Ceiling | None:
    """Return what is known where nodes or replicas are not.

    A pool may have one replica to tell what one takes, or those that it has before their first pod.
    """
    if room.per_replica is not None:
        return Ceiling(None, None, room.trouble or "the nodes are unknown")
    if room.waits:
        return None
    held = max(current, 1)
    told = "the target has no spec.template, and none of its pods was seen yet"
    return Ceiling(held, held, f"what a replica takes is unknown: {told}")


def _room(spec: PoolSpec, room: Room, per_replica: int) -> str:
    if spec.memory.unschedulable is Unschedulable.WAIT:
        return f"{room.running} running, and {room.fits} more"
    return (
        f"{room.running} running, and {room.fits} more of {per_replica / MEBIBYTE:,.0f}Mi "
        f"({room.source}) fit on {room.nodes} of {room.total} nodes at "
        f"{spec.memory.target_utilization_percent}%"
    )


def _lacking(spec: PoolSpec, room: Room) -> str:
    """Say what stands in the way of one more, and on which nodes."""
    refused = "" if room.refusal is None else f"; {room.refusal}"
    if spec.memory.unschedulable is Unschedulable.WAIT:
        return refused
    told = "; ".join(f"{_named(one.nodes)}: {one.what}" for one in room.lacks)
    return f"{refused}; one more needs, on {told}" if told else refused


def _named(nodes: tuple[str, ...]) -> str:
    rest = len(nodes) - NAMED_NODES
    more = f" and {rest} more" if rest > 0 else ""
    return ", ".join(nodes[:NAMED_NODES]) + more
