"""What the operator holds of the machine: it comes back to its level after a fault."""

from dataclasses import dataclass
from pathlib import Path

from sandbox.operator_process import Operator
from sandbox.patience import until

MOST_MEMORY_BYTES = 256 * 2**20
"""The limit in manifests/base."""
THREADS_OF_THE_POOL = 16
"""They are started as they are needed, and stay."""
KEPT_ALIVE = 32
"""Idle connections to servers that were asked again, each dropped after 30 s without use."""
BACK_SECONDS = 120.0


@dataclass(frozen=True)
class Level:
    """Threads and open sockets of a process."""

    threads: int
    sockets: int


def level(pid: int) -> Level:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    threads = next(int(one.split()[1]) for one in lines if one.startswith("Threads:"))
    return Level(threads, sum(map(_is_socket, Path(f"/proc/{pid}/fd").iterdir())))


def _is_socket(descriptor: Path) -> bool:
    try:
        return descriptor.readlink().name.startswith("socket:")
    except FileNotFoundError:
        # Closed in the meantime.
        return False


class Held:
    """The level of an operator now, against which it is checked later."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self.pid = operator.pid
        self._before = level(operator.pid)

    def check(self) -> None:
        """Wait until threads and sockets are back, and see that memory never ran out."""
        assert self._operator.peak_memory_bytes() < MOST_MEMORY_BYTES
        until("threads and sockets are back", self._is_back, self._seen, BACK_SECONDS)

    def _is_back(self) -> bool:
        now = level(self._operator.pid)
        return (
            now.threads <= self._before.threads + THREADS_OF_THE_POOL
            and now.sockets <= self._before.sockets + KEPT_ALIVE
        )

    def _seen(self) -> object:
        return self._before, level(self._operator.pid)
