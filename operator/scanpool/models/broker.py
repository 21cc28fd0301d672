"""What a broker says of itself and of its queues, before anyone judges how far to believe it.

None is not told. Times are seconds since the epoch, uptimes seconds, rates messages per second.
"""

from dataclasses import dataclass
from enum import StrEnum

STREAM = "stream"


class Operation(StrEnum):
    """How the depths of several queues become one."""

    SUM = "Sum"
    MAX = "Max"
    AVG = "Avg"


@dataclass(frozen=True, slots=True)
class Pattern:
    """Queues by a regular expression, as the broker matches it, and what their depths make."""

    expression: str
    operation: Operation


@dataclass(frozen=True, slots=True)
class BrokerNode:
    """A node of the broker; its uptime is not told for some seconds after its start.

    `others` are the nodes that it has lost in a network partition.
    """

    name: str
    is_running: bool
    uptime: float | None = None
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BrokerState:
    """The broker as a whole.

    `statistics_off` names the setting that keeps statistics away, `rates_off` the one that keeps
    only rates away. `nodes` are None where the user may not see them. `opened` counts what clients
    have opened since the start of its nodes: a count that falls tells a restart. `alarms` are the
    resources (memory, disk) that are short, for which it blocks publishers.
    """

    statistics_off: str | None = None
    rates_off: str | None = None
    nodes: tuple[BrokerNode, ...] | None = None
    opened: int | None = None
    alarms: tuple[str, ...] = ()
    queues: int | None = None


@dataclass(frozen=True, slots=True)
class QueueReport:
    """A queue as the broker tells of it; the counts are None where it does not.

    `kind` is classic, quorum or stream, `node` where its messages, or their leader, are. `online`
    of its `members` can be reached, where it has any.
    """

    name: str
    ready: int | None = None
    unacked: int | None = None
    state: str | None = None
    kind: str | None = None
    node: str | None = None
    members: int | None = None
    online: int | None = None
    is_exclusive: bool = False
    is_auto_deleted: bool = False

    @property
    def is_stream(self) -> bool:
        """Whether what it counts is the length of a log."""
        return self.kind == STREAM

    @property
    def is_shared(self) -> bool:
        """Whether several workers can take its messages."""
        return not (self.is_stream or self.is_exclusive)


@dataclass(frozen=True, slots=True)
class RateReport:
    """What the broker has counted of a queue's acknowledgements.

    `acked_per_second` is the average over the window that was asked for, `acked` the count since
    the start; both are None where nothing was counted. `delivered` counts the messages that it has
    handed to whoever acknowledges them. `has_statistics`: it has told anything of the queue since
    its start.
    """

    name: str
    has_statistics: bool
    acked: int | None = None
    acked_per_second: float | None = None
    message_ttl_seconds: float | None = None
    delivered: int | None = None
