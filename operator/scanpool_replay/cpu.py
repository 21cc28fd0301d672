"""Tasks that share a CPU: egalitarian processor sharing in virtual time.

While n tasks share a capacity of C cores, each progresses by C/n (at most 1) CPU-seconds a second.
A task that needs w of them ends when the virtual clock, which counts that progress, has moved by w.
So an arrival or a departure costs O(log n), whatever n is.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from typing import Protocol

from scanpool_replay.engine import Engine

# Work below this is done: a nanosecond of CPU, far below any task's and above rounding.
DONE_SECONDS = 1e-9


class Runnable(Protocol):
    """Something that waits for its CPU time."""

    def computed(self) -> None:
        """Go on: the CPU time was given."""


class Cpu:
    """One pod's share of its node; `busy_changed` hears when it becomes busy or idle."""

    __slots__ = (
        "_busy_changed",
        "_capacity",
        "_clock",
        "_engine",
        "_heap",
        "_next",
        "_number",
        "_updated",
        "used",
    )

    def __init__(
        self, engine: Engine, capacity: float, busy_changed: Callable[[], None] | None = None
    ) -> None:
        self._engine = engine
        self._capacity = capacity
        self._busy_changed = busy_changed
        self._heap: list[tuple[float, int, Runnable]] = []
        self._clock = 0.0
        self._updated = engine.now
        self._next = inf
        self._number = 0
        self.used = 0.0

    @property
    def busy(self) -> bool:
        """Tell whether any task wants CPU."""
        return bool(self._heap)

    def add(self, seconds: float, task: Runnable) -> None:
        """Give `task` so many CPU-seconds, then call its `computed`."""
        self._advance()
        self._number += 1
        heappush(self._heap, (self._clock + seconds, self._number, task))
        if len(self._heap) == 1 and self._busy_changed is not None:
            self._busy_changed()
        self._schedule()

    def set_capacity(self, cores: float) -> None:
        """Change what the tasks share."""
        if cores != self._capacity:
            self._advance()
            self._capacity = cores
            self._next = inf
            self._schedule()

    def clear(self) -> None:
        """Forget all tasks."""
        self._advance()
        was_busy = self.busy
        self._heap.clear()
        self._next = inf
        if was_busy and self._busy_changed is not None:
            self._busy_changed()

    def _rate(self) -> float:
        return min(self._capacity / len(self._heap), 1.0)

    def _advance(self) -> None:
        now = self._engine.now
        if self._heap and now > self._updated:
            progress = (now - self._updated) * self._rate()
            self._clock += progress
            self.used += progress * len(self._heap)
        self._updated = now

    def _schedule(self) -> None:
        """See to it that the next departure is noticed: a look that comes too early looks again."""
        if not self._heap:
            return
        time = self._engine.now + (self._heap[0][0] - self._clock) / self._rate()
        if time < self._next:
            self._next = time
            self._engine.at(time, self._look, time)

    def _look(self, time: float) -> None:
        if time != self._next:
            return  # replaced by an earlier look
        self._next = inf
        self._advance()
        done: list[Runnable] = []
        while self._heap and self._heap[0][0] <= self._clock + DONE_SECONDS:
            done.append(heappop(self._heap)[2])
        if done and not self._heap and self._busy_changed is not None:
            self._busy_changed()
        self._schedule()
        for task in done:
            task.computed()
