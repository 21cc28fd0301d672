"""The queues that one entry of a pool means by a pattern, put together to one of its name."""

from collections.abc import Callable, Mapping, Sequence

from scanpool.models.broker import Operation, Pattern
from scanpool.models.conditions import Reason
from scanpool.models.observation import QueueDepth, QueueRates
from scanpool.models.reading import Unavailable
from scanpool.observe.queue_belief import Seen


def depth(pattern: Pattern, seen: Sequence[Seen]) -> Seen:
    """Return what is known of the queues together, and why it may be more.

    Streams and exclusive queues are nothing that workers share: a pattern passes over them. The
    doubt about one queue is a doubt about all.
    """
    shared = [one for one in seen if not _is_unsuitable(one)]
    if not shared:
        return Seen(None, _nothing(pattern, seen))
    depths = [one.depth for one in shared if one.depth is not None]
    doubt = next((one.doubt for one in shared if one.doubt is not None), None)
    return Seen(_operate(pattern, depths) if depths else None, doubt)


def rates(
    pattern: Pattern, found: Mapping[str, QueueRates | Unavailable]
) -> QueueRates | Unavailable:
    """Return what is worked off of all of the queues, whichever operation joins their depths.

    A queue that was declared some seconds ago has no part in it yet.
    """
    known = [one for one in found.values() if not isinstance(one, Unavailable)]
    unknown = [one for one in found.values() if isinstance(one, Unavailable)]
    failed = [one for one in unknown if one.reason is not Reason.STATISTICS_NOT_FOUND]
    if failed or (unknown and not known):
        return (failed or unknown)[0]
    if not known:
        return _nothing(pattern, ())
    return QueueRates(pattern.expression, sum(one.acked_per_second for one in known))


def _operate(pattern: Pattern, depths: Sequence[QueueDepth]) -> QueueDepth:
    """Join depths so that both what is ready and all messages are joined by the operation."""
    ready, messages = [one.ready for one in depths], [one.messages for one in depths]
    join = OPERATIONS[pattern.operation]
    return QueueDepth(pattern.expression, join(ready), join(messages) - join(ready))


def _average(counts: Sequence[int]) -> int:
    """Return the average, rounded up: it asks for as many replicas as if it were not."""
    return -(-sum(counts) // len(counts))


OPERATIONS: Mapping[Operation, Callable[[Sequence[int]], int]] = {
    Operation.SUM: sum,
    Operation.MAX: max,
    Operation.AVG: _average,
}


def _is_unsuitable(one: Seen) -> bool:
    return one.doubt is not None and one.doubt.reason is Reason.QUEUE_UNSUITABLE


def _nothing(pattern: Pattern, seen: Sequence[Seen]) -> Unavailable:
    only = " but streams and exclusive ones" if seen else ""
    return Unavailable(
        Reason.QUEUE_NOT_FOUND,
        f"the broker has no queue{only} whose name matches {pattern.expression!r}: declare one "
        "(the workers may not have started yet), or correct spec.rabbitmq.queues and the vhost",
    )
