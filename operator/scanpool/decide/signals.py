"""What a tick knows: each fact worked out once, with its source and time.

`assess` makes them of readings; all that learns, decides and reports has only these. Units as in
the readings: seconds since the epoch for times, bytes for memory, tokens and requests per minute
for LLM rates. None is unknown, never zero. Those of a provider's limit are in `llm_signals`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

from scanpool.decide.llm_signals import LlmSignals
from scanpool.decide.working_sets import WorkingSets
from scanpool.models.llm import ONLY
from scanpool.models.reading import Unavailable
from scanpool.models.rivals import Rival, Writer
from scanpool.models.stopping import Stopping


class Demand(NamedTuple):
    """Replicas asked for, and the queue that asks for the most."""

    replicas: int
    queue: str
    messages: int
    messages_per_replica: int


class QueueDepth(NamedTuple):
    """Messages of one queue, and the tokens that they will cost.

    Unacked ones may be invisible, or `are_left_out` of what the queue asks for.
    """

    name: str
    ready: int
    unacked: int | None
    tokens_waiting: int
    are_left_out: bool = False

    @property
    def counted(self) -> int:
        """The messages that ask for replicas."""
        return self.ready + (0 if self.are_left_out else self.unacked or 0)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in the pool's queues, as `source` shows it.

    It `is_active` if a queue has more than starts a pool at zero.
    """

    source: str
    queues: tuple[QueueDepth, ...]
    messages: int
    ready: int
    demand: Demand
    is_near_target: bool
    is_active: bool = True


class Acked(NamedTuple):
    """Messages of all queues that were worked off, per minute, from `since` until `at`."""

    per_minute: float
    since: float
    at: float


class Restart(NamedTuple):
    """A worker that was stopped by the kubelet, to be started again: its pod, and when."""

    pod: str
    at: float


class Expiry(NamedTuple):
    """How long messages may wait in a queue, in seconds, before the broker drops them.

    Of what waits there, and how fast it is worked off.
    """

    queue: str
    seconds: float
    ready: int = 0
    acked_per_second: float = 0.0


class Holding(NamedTuple):
    """How many messages of a queue workers hold, and how many were handed to them so far.

    The latter is as of `counted_at`.
    """

    queue: str
    unacked: int
    delivered: int
    counted_at: float


class Stopped(NamedTuple):
    """How replicas are stopped, and what became of those that were told to go within an hour.

    `killed` are the pods that were killed as their grace ended, the last one last; `in_time` is how
    many ended by themselves.
    """

    how: Stopping
    killed: tuple[str, ...] = ()
    in_time: int = 0


@dataclass(frozen=True, slots=True)
class Workers:
    """The target as it stands: `replicas` it asks for, and its `pods` that are not going away.

    `draining` are those that are going away, or are about to. `steady_since` is since when as many
    as it asks for have all been ready; None: they are not. `start_seconds` is how
    long the slowest took from its creation until ready.
    """

    replicas: int
    pods: int
    ready: int
    steady_since: float | None
    start_seconds: float
    selector: str = ""
    draining: int = 0


class Lack(NamedTuple):
    """What some nodes lack for one more replica."""

    what: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Room:
    """What one replica takes, in bytes, and how many more the nodes hold beside those that run.

    `fits` and `total` are None while the nodes are unknown, and `trouble` is why that is, or why no
    replica may be added although there is room. `lacks` says what keeps which nodes from one more,
    where they may bound the pool, and `refusal` what the namespace's quotas say. Where the pool
    `waits`, neither nodes nor quotas are a bound. `per_replica` is None until it is told. So many
    replicas are `leaving` that still hold their places.
    """

    per_replica: int | None
    source: str
    running: int
    nodes: int = 0
    total: int | None = None
    fits: int | None = None
    trouble: str | None = None
    lacks: tuple[Lack, ...] = ()
    refusal: str | None = None
    waits: bool = False
    leaving: int = 0


@dataclass(frozen=True, slots=True)
class Failures:
    """How often in a row the nodes, and each limit by its name, could not be read."""

    nodes: int = 0
    limits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoodIn:
    """The readings that a fallback stands in for, and why they are missing.

    `limits` are the names of limits of the provider.
    """

    nodes: bool = False
    limits: frozenset[str] = frozenset()
    because: tuple[Unavailable, ...] = ()


@dataclass(frozen=True, slots=True)
class Signals:
    """Everything that one decision is based on.

    `gaps` are the readings that failed: while there are any, the pool holds; also at the
    `is_first_look` of a process, which has nothing to compare with. Those that a fallback stands in
    for (`stood_in`, after so many `failures`) are none of them. `room` is None where no node bounds
    the pool. `expiries` are those of the queues that let messages expire; None where the broker
    does not tell. `llms` are those of each limit, by name. `unseen` are queues that may ask for
    more than the backlog does: they keep the pool from shrinking, not from the growth that the
    others ask for. `writers` own the replicas now, and `rivals` mean to set them, too; `rivals_gap`
    is why those cannot be told. `holding` is what workers hold, where the broker tells, and
    `stopped` how replicas are stopped, where the target tells.
    """

    now: float
    workers: Workers
    backlog: Backlog | None
    gaps: tuple[Unavailable, ...]
    is_first_look: bool
    working_sets: WorkingSets
    room: Room | None = None
    expiries: tuple[Expiry, ...] | None = None
    acked: Acked | None = None
    restarts: tuple[Restart, ...] = ()
    llms: Mapping[str, LlmSignals] = field(default_factory=dict)
    unseen: tuple[Unavailable, ...] = ()
    failures: Failures = field(default_factory=Failures)
    stood_in: StoodIn = field(default_factory=StoodIn)
    writers: tuple[Writer, ...] = ()
    rivals: tuple[Rival, ...] = ()
    rivals_gap: Unavailable | None = None
    holding: tuple[Holding, ...] = ()
    stopped: Stopped | None = None

    @property
    def llm(self) -> LlmSignals | None:
        """What is known of the pool's only limit."""
        return self.llms.get(ONLY)

    def only(self, name: str) -> Self:
        """Return the signals as they would be with this limit only."""
        if name == ONLY:
            # Whoever has this one has no other.
            return self
        return replace(self, llms={ONLY: self.llms[name]} if name in self.llms else {})

    @property
    def first_expiry(self) -> Expiry | None:
        """The queue whose messages expire first; None if none does, or if it is not known."""
        return min(self.expiries or (), key=lambda one: one.seconds, default=None)

    @property
    def holds(self) -> bool:
        """Whether the readings do not suffice to change anything."""
        return bool(self.gaps) or self.backlog is None or self.is_first_look

    @property
    def asked(self) -> int:
        """Replicas that the queues ask for, or those that are there while that is of no account.

        A tick that holds asks for what is there: after an outage, as after a restart, the window
        has to fill before replicas may go down.
        """
        if self.backlog is None or self.holds or self.backlog.is_near_target:
            return self.workers.replicas
        wanted = self.backlog.demand.replicas
        return max(wanted, self.workers.replicas) if self.unseen else wanted
