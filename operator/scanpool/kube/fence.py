"""What keeps a process from writing once it may not lead any more; asked in the writing thread."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

from scanpool.models.units import Clock


class Fence:
    """Lets writes through until a deadline, by a clock that never goes back.

    A process without an election has one that is always open. `monotonic` tells seconds.
    """

    def __init__(self, monotonic: Clock, acts_until: float = inf, ends_at: float = inf) -> None:
        self._monotonic = monotonic
        self._acts_until, self._ends_at = acts_until, ends_at
        self._under_way, self._changed = 0, threading.Condition()

    @property
    def is_open(self) -> bool:
        """Whether a write may begin now."""
        return self._monotonic() < self._acts_until

    @property
    def is_shut(self) -> bool:
        """Whether it was shut, and has not only run out: another leads, or none yet, or we end."""
        return self._acts_until == -inf

    def open_until(self, acts_until: float, ends_at: float) -> None:
        """Let writes begin before `acts_until`; all of them have to end before `ends_at`."""
        with self._changed:
            self._acts_until, self._ends_at = acts_until, ends_at

    def shut(self) -> None:
        """Let no write begin any more, until it is opened again."""
        with self._changed:
            self._acts_until = self._ends_at = -inf

    @contextmanager
    def passage(self) -> Iterator[float]:
        """Count a write that is under way, and yield in how many seconds it has to end.

        0 where none may begin. What is decided here holds until the request is on its way: nothing
        is queued between the two.
        """
        with self._changed:
            left = self._ends_at - self._monotonic() if self.is_open else 0.0
            self._under_way += left > 0
        try:
            yield max(left, 0.0)
        finally:
            with self._changed:
                self._under_way -= left > 0
                self._changed.notify_all()

    def wait_until_idle(self, timeout_seconds: float) -> bool:
        """Wait in a thread until no write is under way; False if one still is by then."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._under_way, timeout_seconds)
