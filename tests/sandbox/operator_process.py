"""The operator as a process of its own, as a cluster runs it."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from sandbox.patience import PATIENCE_SECONDS, until
from scanpool_sandbox.processes import ChildProcess, free_port

START_SECONDS = 60.0
STOP_SECONDS = 20.0
KIBIBYTE = 1024


class Operator:
    """`python -m scanpool run`, which can be stopped, killed and started again.

    `program` is what Python is given in the place of `-m scanpool`.
    """

    def __init__(
        self,
        directory: Path,
        kubeconfig: Path,
        *arguments: str,
        program: Sequence[str] = ("-m", "scanpool"),
    ) -> None:
        self._program = program
        directory.mkdir(parents=True, exist_ok=True)
        self._log_path = directory / "operator.log"
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(directory)}
        self._health_port, self._metrics_port = free_port(), free_port()
        self._arguments = arguments
        self._process: ChildProcess | None = None

    def start(self, *arguments: str) -> None:
        """Start it; it answers on both ports when this returns."""
        self._process = ChildProcess(
            [
                sys.executable, *self._program, "run", "--host", "127.0.0.1",
                "--health-port", str(self._health_port),
                "--metrics-port", str(self._metrics_port), *self._arguments,
                *arguments,
            ],
            log_path=self._log_path,
            environment=self._environment,
        )  # fmt: skip
        self._process.wait_until_ready(self._answers, timeout_seconds=START_SECONDS)

    def stop(self) -> int:
        """Send SIGTERM; the exit code is -9 if that was not enough."""
        return self._running.stop(grace_seconds=STOP_SECONDS)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._running.kill()

    @property
    def log(self) -> str:
        """All that it has said, in all of its lives."""
        return self._log_path.read_text() if self._log_path.exists() else ""

    def health(self) -> int:
        """The status code of the liveness probe."""
        url = f"http://127.0.0.1:{self._health_port}/healthz"
        return httpx.get(url, trust_env=False, timeout=10.0).status_code

    @property
    def metrics_address(self) -> str:
        """host:port that Prometheus may scrape."""
        return f"127.0.0.1:{self._metrics_port}"

    def metrics(self) -> str:
        """What Prometheus would scrape."""
        url = f"http://{self.metrics_address}/metrics"
        return httpx.get(url, trust_env=False, timeout=10.0).raise_for_status().text

    def ticks(self, outcome: str = "ok") -> int:
        """Ticks of all pools since its start, by outcome."""
        return int(
            sum(
                sample.value
                for family in text_string_to_metric_families(self.metrics())
                for sample in family.samples
                if sample.name == "scanpool_ticks_total" and sample.labels["outcome"] == outcome
            )
        )

    def leads(self) -> bool:
        """Whether it says that it holds the Lease."""
        return 'scanpool_leading{lease="scanpool"} 1.0' in self.metrics()

    def wait_ticks(self, count: int, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for so many more ticks of all pools together."""
        goal = self.ticks() + count
        until(
            f"{count} more ticks have passed",
            lambda: self.ticks() >= goal,
            self.ticks,
            patience_seconds,
        )

    def wait_quiet(self, seconds: float) -> None:
        """Let so many seconds pass in which the process has to live."""
        deadline = time.monotonic() + seconds
        until(
            f"{seconds:g} s have passed",
            lambda: self.health() == httpx.codes.OK and time.monotonic() > deadline,
            patience_seconds=2 * seconds,
        )

    @property
    def pid(self) -> int:
        """The process that runs now."""
        return self._running.pid

    def peak_memory_bytes(self) -> int:
        """The most resident memory that it ever had."""
        status = Path(f"/proc/{self._running.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * KIBIBYTE

    @property
    def _running(self) -> ChildProcess:
        assert self._process is not None
        return self._process

    def _answers(self) -> bool:
        try:
            return self.health() == httpx.codes.OK and "scanpool_ticks" in self.metrics()
        except httpx.TransportError:
            return False
