"""A worker pod: it starts, works, is killed and starts again, or stops."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from scanpool_replay.cpu import Cpu
from scanpool_replay.provider import Account
from scanpool_replay.scans import Task
from scanpool_replay.settings import Worker
from scanpool_replay.work import Shop, Work

# The kubelet doubles the wait from one restart to the next, up to five minutes.
LONGEST_RESTART_SECONDS = 300.0


class Phase(StrEnum):
    """Where a pod is in its life."""

    PENDING = "Pending"
    STARTING = "Starting"
    READY = "Ready"
    STOPPING = "Stopping"
    GONE = "Gone"


@dataclass(frozen=True, slots=True)
class Notices:
    """Whom a pod tells about itself."""

    grown: Callable[["Pod"], None]
    gone: Callable[["Pod"], None]
    busy_changed: Callable[["Pod"], None]


class Pod:
    """One pod. Memory in MiB, times in seconds."""

    def __init__(
        self, name: str, account: Account, shop: Shop, settings: Worker, notices: Notices
    ) -> None:
        self._shop = shop
        self._settings = settings
        self._notices = notices
        self._account = account
        self._in_hand: dict[Work, None] = {}  # a set that keeps its order
        self.cpu = Cpu(
            shop.engine,
            settings.cpu_limit_millicores / 1000,
            lambda: notices.busy_changed(self),
        )
        self.name = name
        self.phase = Phase.PENDING
        self.node: str | None = None
        self.created_at = shop.engine.now
        self.ready_at: float | None = None
        self.oom_killed_at: float | None = None
        self.restarts = 0

    @property
    def belongs(self) -> bool:
        """Tell whether it counts as one of the Deployment's replicas."""
        return self.phase not in (Phase.STOPPING, Phase.GONE)

    @property
    def in_hand(self) -> int:
        """Messages that it works on."""
        return len(self._in_hand)

    @property
    def free(self) -> int:
        """Messages that it takes yet."""
        return self._settings.concurrency - len(self._in_hand) if self.phase is Phase.READY else 0

    @property
    def memory(self) -> float:
        """Working set in MiB: it grows with the tasks in hand."""
        if self.phase not in (Phase.READY, Phase.STOPPING):
            return 0.0
        settings = self._settings
        return settings.memory_base_mebibytes + settings.memory_per_task_mebibytes * self.in_hand

    def place(self, node: str) -> None:
        """Start on a node."""
        self.node = node
        self._start(self._settings.start_seconds)

    def be_ready(self) -> None:
        """Consume from now on."""
        self.phase = Phase.READY
        self.ready_at = self._shop.engine.now
        self._notices.grown(self)
        if self.phase is Phase.READY:
            self._shop.broker.subscribe(self)

    def deliver(self, task: Task) -> None:
        """Work on a message."""
        growth = 1 + self._settings.cpu_growth_per_task_in_hand * len(self._in_hand)
        work = Work(self._shop, task, self._account, self.cpu, growth, self._finished)
        self._in_hand[work] = None
        work.start()
        self._notices.grown(self)

    def kill(self, *, out_of_memory: bool = False) -> None:
        """End the container at once, and start it again after the kubelet's back-off."""
        if self.phase is Phase.GONE:
            return
        if out_of_memory:
            self.oom_killed_at = self._shop.engine.now
        was_stopping = self.phase is Phase.STOPPING
        self._drop()
        if was_stopping:
            self._leave()
            return
        self.restarts += 1
        wait = self._settings.restart_seconds * 2.0 ** (self.restarts - 1)
        self._start(min(wait, LONGEST_RESTART_SECONDS) + self._settings.start_seconds)

    def stop(self) -> None:
        """Take no more messages; leave when those in hand are done, or the grace is over."""
        if self.phase in (Phase.STOPPING, Phase.GONE):
            return
        self._shop.broker.unsubscribe(self)
        self.phase = Phase.STOPPING
        if self._in_hand:
            self._shop.engine.after(self._settings.grace_seconds, self._end_grace)
        else:
            self._leave()

    def _start(self, seconds: float) -> None:
        self.phase = Phase.STARTING
        self.ready_at = None
        restarts = self.restarts

        def come_up() -> None:
            if self.phase is Phase.STARTING and self.restarts == restarts:
                self.be_ready()

        self._shop.engine.after(seconds, come_up)

    def _finished(self, work: Work) -> None:
        del self._in_hand[work]
        self._shop.broker.acknowledge(work.task)
        if self.phase is Phase.READY:
            self._shop.broker.pull(self)
        elif self.phase is Phase.STOPPING and not self._in_hand:
            self._leave()

    def _end_grace(self) -> None:
        if self.phase is Phase.STOPPING:
            self._drop()
            self._leave()

    def _drop(self) -> None:
        """Let go of everything in hand: it is delivered again."""
        self._shop.broker.unsubscribe(self)
        if self.phase is Phase.READY:
            self.phase = Phase.STARTING  # takes nothing of what it is about to let go
        tasks = [work.task for work in self._in_hand]
        for work in self._in_hand:
            work.abandon()
        self._in_hand.clear()
        self.cpu.clear()
        self._shop.broker.requeue(tasks)

    def _leave(self) -> None:
        self.phase = Phase.GONE
        self._notices.gone(self)
