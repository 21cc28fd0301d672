"""What the operator holds of the machine: it comes back to its level after a fault."""

from dataclasses import dataclass
from pathlib import Path

from sandbox.operator_process import Operator
from sandbox.patience import until

MOST_MEMORY_BYTES = 256 * 2**20
"""The limit in manifests/base."""
KEPT_MEMORY_BYTES = 48 * 2**20
"""What the allocator keeps of a time of more work, 24 MiB after bodies of 2 GB; a leak goes on."""
KIBIBYTE = 1024
THREADS_OF_THE_POOL = 16
"""They are started as they are needed, and stay."""
KEPT_ALIVE = 32
"""Idle connections to servers that were asked again, each dropped after 30 s without use."""
BACK_SECONDS = 120.0
TOLD = {"Threads", "VmRSS"}
"""Of a process; memory in kB."""


@dataclass(frozen=True)
class Level:
    """Threads, open sockets and resident memory of a process."""

    threads: int
    sockets: int
    memory_bytes: int


def level(pid: int) -> Level:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    told = {
        name: int(value.split()[0])
        for name, _, value in (line.partition(":") for line in lines)
        if name in TOLD
    }
    sockets = sum(map(_is_socket, Path(f"/proc/{pid}/fd").iterdir()))
    return Level(told["Threads"], sockets, told["VmRSS"] * KIBIBYTE)


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
        """Wait until all of it is back, and see that memory never ran out."""
        assert self._operator.peak_memory_bytes() < MOST_MEMORY_BYTES
        until("memory, threads and sockets are back", self._is_back, self._seen, BACK_SECONDS)

    def _is_back(self) -> bool:
        now = level(self._operator.pid)
        return (
            now.threads <= self._before.threads + THREADS_OF_THE_POOL
            and now.sockets <= self._before.sockets + KEPT_ALIVE
            and now.memory_bytes <= self._before.memory_bytes + KEPT_MEMORY_BYTES
        )

    def _seen(self) -> object:
        return self._before, level(self._operator.pid)
