"""One run of one container: a real process, or a simulated one."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from typing import TYPE_CHECKING, Protocol

from scanpool_sandbox.kube.kubelet.probes import attempt
from scanpool_sandbox.kube.kubelet.processes import Usage, signal_group, spawn, usage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from scanpool_sandbox.kube.kubelet.images import Simulated
    from scanpool_sandbox.kube.objects import Obj

KILLED_EXIT_CODE = 128 + signal.SIGKILL


class Run(Protocol):
    """A container that has been started."""

    @property
    def container_id(self) -> str:
        """Name the run in the pod's status."""

    async def wait(self) -> int:
        """Return the exit code once it has ended; 128 + N for signal N."""

    async def wait_started(self) -> None:
        """Return when it may be ready, where no probe says so."""

    async def probe(self, probe: Obj) -> bool:
        """Try a probe once."""

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""

    def kill(self) -> None:
        """Send SIGKILL, to all it started too."""

    def usage(self) -> Usage:
        """Measure it."""


class ProcessRun:
    """A container that is a local process."""

    def __init__(
        self, process: asyncio.subprocess.Process, local_port: Callable[[int | str], int]
    ) -> None:
        self._process = process
        self._local_port = local_port

    @property
    def container_id(self) -> str:
        """Name the run by its process id."""
        return f"process://{self._process.pid}"

    async def wait(self) -> int:
        """Wait for the process; whatever it left behind in its group is killed."""
        code = await self._process.wait()
        self.kill()
        return code if code >= 0 else 128 - code

    async def wait_started(self) -> None:
        """Return at once: a process that runs is started."""

    async def probe(self, probe: Obj) -> bool:
        """Ask the process, at the port it really has."""
        return await attempt(probe, self._local_port)

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the process alone, as a container's first process gets it."""
        if self._process.returncode is None:
            self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL to the whole group."""
        signal_group(self._process.pid, signal.SIGKILL)

    def usage(self) -> Usage:
        """Measure the process tree."""
        return usage_of(self._process.pid)


class SimulatedRun:
    """A container that does nothing for as long as it may."""

    def __init__(self, image: Simulated, name: str) -> None:
        self._image = image
        self._name = name
        self._exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._began = time.monotonic()

    @property
    def container_id(self) -> str:
        """Name the run by its container."""
        return f"simulated://{self._name}"

    async def wait(self) -> int:
        """Wait until it is stopped."""
        return await asyncio.shield(self._exit)

    async def wait_started(self) -> None:
        """Wait for the configured delay."""
        await asyncio.sleep(self._image.ready_after_seconds)

    async def probe(self, probe: Obj) -> bool:  # noqa: ARG002 - there is nobody to ask
        """Succeed."""
        return True

    def ask_to_stop(self) -> None:
        """End at once and well."""
        self._end(0)

    def kill(self) -> None:
        """End at once, killed."""
        self._end(KILLED_EXIT_CODE)

    def _end(self, code: int) -> None:
        if not self._exit.done():
            self._exit.set_result(code)

    def usage(self) -> Usage:
        """Report the configured figures."""
        elapsed = time.monotonic() - self._began
        return Usage(self._image.memory_bytes, self._image.cpu_cores * elapsed)


def free_port() -> int:
    """Find a TCP port of 127.0.0.1 that nobody uses right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def start_process(
    argv: Sequence[str],
    environment: Mapping[str, str],
    directory: Path,
    log: Path,
    local_port: Callable[[int | str], int],
) -> ProcessRun:
    """Start a container as a process; raises OSError when the program cannot be run."""
    return ProcessRun(await spawn(argv, environment, directory, log), local_port)
