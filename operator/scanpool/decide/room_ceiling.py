"""The memory ceiling: how many replicas the nodes that exist can hold.

ceiling = running + sum over nodes of what fits beside what is requested or used there
"""

from scanpool.decide import fallback_ceiling
from scanpool.decide.decision import Ceiling
from scanpool.decide.memory import Memory
from scanpool.decide.signals import Signals
from scanpool.models.spec import PoolSpec
from scanpool.models.units import MEBIBYTE


def ceiling(spec: PoolSpec, signals: Signals, _: Memory) -> Ceiling | None:
    """Return the most replicas that the nodes hold; None where no node bounds the pool."""
    room = signals.room
    if room is None:
        return None
    if signals.stood_in.nodes and (instead := spec.memory.fallback) is not None:
        return fallback_ceiling.ceiling(
            instead, signals.workers.replicas, "memory.fallback", "the nodes"
        )
    if room.fits is None:
        return Ceiling(None, None, room.trouble or "the nodes are unknown")
    most = room.running + room.fits
    if room.trouble is not None:
        held = min(most, signals.workers.replicas)
        return Ceiling(held, held, room.trouble)
    return Ceiling(
        most,
        most,
        f"{room.running} running, and {room.fits} more of {room.per_replica / MEBIBYTE:,.0f}Mi "
        f"({room.source}) fit on {room.nodes} of {room.total} nodes at "
        f"{spec.memory.target_utilization_percent}%",
    )
