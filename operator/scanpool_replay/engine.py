"""The simulated clock and its events: a heap, nothing else."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any


class Engine:
    """Runs calls in the order of their time; calls of the same time in the order they were made.

    `now` is in seconds. The load starts at 0; what is there before it starts has negative times.
    """

    __slots__ = ("_heap", "_number", "now")

    def __init__(self, start: float = 0.0) -> None:
        self.now = start
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0

    def at(self, time: float, call: Callable[..., None], *args: Any) -> None:
        """Run `call(*args)` at `time`, or next where that is past."""
        self._number += 1
        heappush(self._heap, (max(time, self.now), self._number, call, args))

    def after(self, seconds: float, call: Callable[..., None], *args: Any) -> None:
        """Run `call(*args)` in `seconds`."""
        self.at(self.now + seconds, call, *args)

    def every(self, seconds: float, first: float, call: Callable[[], None]) -> None:
        """Run `call` at `first` and then every `seconds`, without end."""

        def again(time: float) -> None:
            call()
            self.at(time + seconds, again, time + seconds)

        self.at(first, again, first)

    def run(self, until: float) -> None:
        """Run all that happens up to and including `until`; the clock stands there afterwards."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, call, args = heappop(heap)
            call(*args)
        self.now = until
