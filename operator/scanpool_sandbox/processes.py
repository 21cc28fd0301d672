"""Start a child process, wait until it is ready, and stop exactly that one."""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

FIRST_PORT = 10_000
LAST_PORT = 32_767
"""Ports are picked below 32768, where Linux starts to take ports for outgoing connections. So
nobody's connection can grab one between our choice and the server's bind, seconds later."""

POLL_SECONDS = 0.05
LOG_TAIL_BYTES = 2_000

_handed_out: set[int] = set()


class StartError(Exception):
    """A process did not become ready; the message carries the end of its log."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free and was not handed out before by this process."""
    while True:
        port = random.randint(FIRST_PORT, LAST_PORT)
        if port not in _handed_out and _can_bind(port):
            _handed_out.add(port)
            return port


def _can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class ChildProcess:
    """One child in a session of its own, so that a Ctrl-C in the terminal does not reach it.

    Its output goes to `log_path`. `stop` ends it and whatever it started in its process group.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        log_path: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = Path(arguments[0]).name
        self.log_path = log_path
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [str(argument) for argument in arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def wait_until_ready(self, is_ready: Callable[[], bool], *, timeout_seconds: float) -> None:
        """Return once `is_ready()`.

        Raises:
            StartError: if the process ends first, or the time is up.

        """
        deadline = time.monotonic() + timeout_seconds
        while not is_ready():
            if self.exit_code is not None:
                raise StartError(self._complaint(f"exited with {self.exit_code}"))
            if time.monotonic() > deadline:
                raise StartError(self._complaint(f"was not ready in {timeout_seconds:g} s"))
            time.sleep(POLL_SECONDS)

    def wait(self, timeout_seconds: float) -> int:
        """Wait for its end and return the exit code.

        Raises:
            subprocess.TimeoutExpired: if it still runs.

        """
        return self._process.wait(timeout_seconds)

    def terminate(self) -> None:
        """Ask it to end (SIGTERM) and return at once."""
        if self.exit_code is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self, *, grace_seconds: float = 10.0) -> int:
        """Ask it to end, insist after `grace_seconds`, and return the exit code."""
        self.terminate()
        try:
            return self.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it and its process group at once (SIGKILL), and return the exit code."""
        if self.exit_code is None:
            os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _complaint(self, what: str) -> str:
        tail = self.log_path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
        return f"{self.name} {what}; the end of its log:\n{tail}"
