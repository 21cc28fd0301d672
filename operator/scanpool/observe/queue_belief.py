"""How far the figures of a queue may be believed, and why not further. Unknown is never zero."""

from typing import NamedTuple

from scanpool.models.broker import BrokerState, QueueReport, RateReport
from scanpool.models.conditions import Reason
from scanpool.models.observation import QueueDepth, QueueRates
from scanpool.models.reading import Unavailable
from scanpool.observe.broker_history import Counts, History, Leaders
from scanpool.sources.failures import queue_down, stream_refused

# A quorum queue counts every 5 s (quorum_tick_interval), and shows 0 until it has done so under its
# present leader; measured on 3.10 up to 5.5 s after the API answers again.
SETTLE_SECONDS = 15.0
# A sample of the statistics is up to 5 s old, and shows up to 5 s later (measured on 3.10).
SAMPLE_LAG_SECONDS = 10.0
# Whoever has not counted up to one before the window may have started within it.
LEAST_COUNT = 1.0
# What the states of a queue that runs are called; its statistics know more of them.
RUNS = frozenset({"running", "live", "idle", "syncing"})
FLOW = "flow"


class Seen(NamedTuple):
    """A queue's depth as far as it is known, and why it may be more than that, or is not known."""

    depth: QueueDepth | None
    doubt: Unavailable | None


def missing(name: str, *, was_auto_deleted: bool) -> Seen:
    """Return what is known of a queue that the broker does not have."""
    why = (
        ": it was deleted with its last consumer; declare it without auto_delete"
        if was_auto_deleted
        else ": declare it (the workers may not have started yet), or correct "
        "spec.rabbitmq.queues and the vhost"
    )
    return Seen(None, Unavailable(Reason.QUEUE_NOT_FOUND, f"the broker has no queue {name!r}{why}"))


def depth(
    queue: QueueReport, state: BrokerState, history: History, leaders: Leaders, now: float
) -> Seen:
    """Return a queue's messages, if the broker can tell them, and whether they may be too few."""
    if (wrong := _unusable(queue) or _partitioned(state)) is not None:
        return Seen(None, wrong)
    if queue.ready is None or queue.unacked is None:
        return Seen(None, _down(queue))
    known = QueueDepth(queue.name, queue.ready, queue.unacked)
    since = max(_calm_since(history, now), leaders.changed_at(queue.name))
    return Seen(known, _doubt(queue, state, since, now))


def rates(
    queue: RateReport, state: BrokerState, history: History, counts: Counts, window: int, now: float
) -> QueueRates | Unavailable:
    """Return what is worked off of a queue, if a whole window was counted without a break."""
    if (off := state.statistics_off or state.rates_off) is not None:
        return Unavailable(
            Reason.STATISTICS_OFF,
            f"the broker counts no acknowledgements, since {off}: what the pool's own workers use "
            "is unknown; switch its statistics on (rates_mode basic), or set "
            "llm.usage.prometheus.ownLabels",
        )
    if not queue.has_statistics:
        return no_statistics(queue.name)
    acked, rate = queue.acked, queue.acked_per_second
    since = max(_calm_since(history, now), counts.fell_at(queue.name))
    is_counted = acked is not None and rate is not None and acked - rate * window >= LEAST_COUNT
    if is_counted and history.is_guessed and since == history.calm_since:
        # Nobody tells what was before the first look, but a count that is older than the window.
        since = counts.fell_at(queue.name)
    if now - since < window + SAMPLE_LAG_SECONDS:
        return Unavailable(
            Reason.BROKER_RECOVERING,
            f"the broker, or a node of it, has not counted acknowledgements of queue "
            f"{queue.name!r} for the {window} s of llm.usage.windowSeconds: it has restarted, or "
            "is being looked at for the first time; this passes by itself",
        )
    if rate is None and acked is not None:
        return no_statistics(queue.name)
    # Where nothing was ever counted, a broker that counts tells no rate: a true zero.
    return QueueRates(queue.name, rate or 0.0)


def no_statistics(name: str) -> Unavailable:
    """Say that the broker has no statistics of a queue, which may be new."""
    return Unavailable(
        Reason.STATISTICS_NOT_FOUND,
        f"the broker has no statistics of queue {name!r}: they come some seconds after its "
        "declaration, or after the start of its node (collect_statistics_interval)",
    )


def _unusable(queue: QueueReport) -> Unavailable | None:
    if queue.is_stream:
        return stream_refused(queue.name)
    if not queue.is_exclusive:
        return None
    return Unavailable(
        Reason.QUEUE_UNSUITABLE,
        f"queue {queue.name!r} is exclusive: it belongs to one connection and ends with it, so "
        "more replicas cannot consume it; declare it without exclusive",
    )


def _partitioned(state: BrokerState) -> Unavailable | None:
    split = [node for node in state.nodes or () if node.others]
    if not split:
        return None
    return Unavailable(
        Reason.BROKER_PARTITIONED,
        f"the broker's nodes have lost each other: {split[0].name} does not see "
        f"{', '.join(split[0].others)}; each side has messages of its own. Heal the network "
        "partition, and restart the nodes of the side that is given up",
    )


def _down(queue: QueueReport) -> Unavailable:
    where = f" on {queue.node}" if queue.node else ""
    state = f" (state {queue.state})" if queue.state else ""
    return queue_down(queue.name, where, state)


def _doubt(queue: QueueReport, state: BrokerState, since: float, now: float) -> Unavailable | None:
    """Return why there may be more messages than the broker tells."""
    if queue.state is not None and queue.state not in RUNS | {FLOW}:
        return _down(queue)
    if queue.members and queue.online is not None and 2 * queue.online <= queue.members:
        return _down(queue)
    if now - since < SETTLE_SECONDS:
        return Unavailable(
            Reason.BROKER_RECOVERING,
            f"the broker, or a node of it, has just started or changed: for {SETTLE_SECONDS:.0f} s "
            "its queues may show fewer messages than they have; this passes by itself",
        )
    if state.alarms:
        return Unavailable(
            Reason.BROKER_ALARM,
            f"the broker blocks all publishers, since it is short of {', '.join(state.alarms)}: "
            "what they would send does not show; free memory or disk on that node, or raise "
            "vm_memory_high_watermark or lower disk_free_limit",
        )
    if queue.state == FLOW:
        return Unavailable(
            Reason.QUEUE_IN_FLOW,
            f"queue {queue.name!r} slows its publishers down (flow control): more waits than it "
            "shows; if this stays, its node is short of disk or CPU",
        )
    return None


def _calm_since(history: History, now: float) -> float:
    return now if history.calm_since is None else history.calm_since
