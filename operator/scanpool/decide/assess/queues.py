"""What waits in the pool's queues, and how many replicas that asks for."""

from collections.abc import Mapping, Sequence
from math import ceil

from scanpool.decide.signals import Acked, Backlog, Demand, Expiry, Holding, QueueDepth
from scanpool.models import observation
from scanpool.models.observation import Observation, QueueRates
from scanpool.models.reading import Available, Reading
from scanpool.models.spec import Behavior, PoolSpec, Queue
from scanpool.models.units import SECONDS_PER_MINUTE


def backlog(spec: PoolSpec, seen: Observation, current: int) -> Backlog | None:
    """Return what waits for a pool of `current` replicas; None if that cannot be read.

    A queue that is said to be missing has no say, as a metric of the HPA; `Signals.asked` sees to
    it that nothing shrinks meanwhile.
    """
    found = seen.queues
    if not isinstance(found, Available):
        return None
    depths, queues = found.value, spec.rabbitmq.queues
    if seen.queue_gaps:
        known = {depth.name for depth in depths}
        queues = tuple(queue for queue in queues if queue.name in known)
    by_name = {depth.name: depth for depth in depths}
    shown = [_shown(queue, by_name[queue.name]) for queue in queues]
    counted = [one.counted for one in shown]
    wanted = _most(queues, counted)
    return Backlog(
        source=found.source,
        queues=tuple(shown),
        messages=sum(counted),
        ready=sum([one.ready for one in shown]),
        demand=wanted,
        is_active=any(
            messages > queue.activation_messages
            for queue, messages in zip(queues, counted, strict=True)
        ),
        is_near_target=within_tolerance(wanted, current, spec.behavior),
    )


def _shown(queue: Queue, seen: observation.QueueDepth) -> QueueDepth:
    leaves_out = queue.exclude_unacknowledged
    depth = QueueDepth(queue.name, seen.ready, seen.unacked, 0, leaves_out)
    if not depth.counted:
        return depth
    return depth._replace(tokens_waiting=depth.counted * sum(queue.costs.values()))


def demand(queues: Sequence[Queue], depths: Mapping[str, observation.QueueDepth]) -> Demand:
    """Return the most that any queue asks for: messages over messages per replica, rounded up.

    This is the HPA's external metric with an average value, and its largest over several metrics.
    """
    return _most(queues, [_shown(queue, depths[queue.name]).counted for queue in queues])


def _most(queues: Sequence[Queue], counted: Sequence[int]) -> Demand:
    asked = [
        Demand(
            ceil(messages / queue.messages_per_replica),
            queue.name,
            messages,
            queue.messages_per_replica,
        )
        for queue, messages in zip(queues, counted, strict=True)
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


def expiries(seen: Observation) -> tuple[Expiry, ...] | None:
    """Return the queues whose messages expire, and what waits there; None if that is not known."""
    if not isinstance(seen.paces, Available):
        return None
    depths = seen.queues.value if isinstance(seen.queues, Available) else ()
    ready = {one.name: one.ready for one in depths}
    return tuple(
        Expiry(
            one.name, one.message_ttl_seconds, ready.get(one.name, 0), one.acked_per_second or 0.0
        )
        for one in seen.paces.value
        if one.message_ttl_seconds is not None
    )


def holding(spec: PoolSpec, seen: Observation) -> tuple[Holding, ...]:
    """Return what workers hold of the queues of which that is told.

    Messages that are left out wait in the workers, and are given back when those stop.
    """
    if not (isinstance(seen.paces, Available) and isinstance(seen.queues, Available)):
        return ()
    left_out = {one.name for one in spec.rabbitmq.queues if one.exclude_unacknowledged}
    held = {one.name: one.unacked for one in seen.queues.value if one.name not in left_out}
    return tuple(
        Holding(one.name, unacked, one.delivered, seen.paces.at)
        for one in seen.paces.value
        if one.delivered is not None and (unacked := held.get(one.name)) is not None
    )


def acked(spec: PoolSpec, rates: Reading[tuple[QueueRates, ...]] | None) -> Acked | None:
    """Return what was worked off of all queues over the usage window; None if one is not told."""
    windows = [llm.usage.window_seconds for llm in spec.limits.values()]
    if not isinstance(rates, Available) or not windows:
        return None
    known = {rate.name: rate.acked_per_second for rate in rates.value}
    if any(queue.name not in known for queue in spec.rabbitmq.queues):
        return None
    per_second = sum(known[queue.name] for queue in spec.rabbitmq.queues)
    # Of several limits the rates are those beside the first.
    return Acked(per_second * SECONDS_PER_MINUTE, rates.at - windows[0], rates.at)
