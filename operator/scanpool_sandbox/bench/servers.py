"""Everything that the bench runs on: real servers, and stand-ins as processes of their own."""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import httpx

from scanpool_sandbox.bench.objects import MODEL, Plan
from scanpool_sandbox.processes import ChildProcess, free_port
from scanpool_sandbox.prometheus_server import PrometheusServer
from scanpool_sandbox.rabbitmq_server import RabbitMQServer

ROOT = Path(__file__).resolve().parents[3]
"""The checkout: the bench applies its crds/."""
START_SECONDS = 120.0
PODS_PER_NODE = 110
PODS_PER_POOL = 3
"""Room on the stand-in's nodes; a wave makes two of a pool's one pod."""
LIMIT = 1_000_000_000
"""Tokens per minute of each key: it caps nobody here, and all of it is worked out."""


class Servers:
    """Broker, Prometheus, provider, API server and operator. An async context manager.

    Args:
        directory: an existing directory for all data and logs.
        plan: the pools.
        kubeconfig: the cluster to use; None starts the stand-in.

    """

    def __init__(self, directory: Path, plan: Plan, kubeconfig: str | None) -> None:
        self._directory, self._plan, self._kubeconfig = directory, plan, kubeconfig
        self._provider_port, self._metrics_port = free_port(), free_port()
        self._stack = AsyncExitStack()
        self.processes: dict[str, ChildProcess] = {}
        """What was started, by name; the broker and Prometheus are their own measure."""

    async def __aenter__(self) -> Self:
        """Start everything but the operator."""
        async with AsyncExitStack() as stack:
            self.rabbitmq = RabbitMQServer(self._new("rabbitmq"))
            targets = {"llm": [f"127.0.0.1:{self._provider_port}"]}
            self.prometheus = PrometheusServer(
                self._new("prometheus"), targets, scrape_interval_seconds=5
            )
            for server in (self.rabbitmq, self.prometheus):
                stack.push_async_callback(asyncio.to_thread, server.stop)
                await asyncio.to_thread(server.start)
            await self._start(stack, "provider", self._provider(), self._provider_answers)
            self.api_url = await self._api(stack)
            await self._kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything that was started."""
        await self._stack.aclose()

    @property
    def provider_url(self) -> str:
        """What pools name as the provider."""
        return f"http://127.0.0.1:{self._provider_port}/v1"

    @property
    def is_stand_in(self) -> bool:
        """Whether the API server is the sandbox's."""
        return "stand-in" in self.processes

    async def start_operator(self) -> ChildProcess:
        """Start the operator, and return once it serves its metrics."""
        command = (
            sys.executable, "-m", "scanpool", "run", "--host", "127.0.0.1",
            "--health-port", str(free_port()), "--metrics-port", str(self._metrics_port),
        )  # fmt: skip
        return await self._start(self._stack, "operator", command, self._operator_answers)

    def metrics(self) -> str:
        """Return what Prometheus would scrape of the operator; blocks."""
        url = f"http://127.0.0.1:{self._metrics_port}/metrics"
        return httpx.get(url, trust_env=False, timeout=START_SECONDS).raise_for_status().text

    def _new(self, name: str) -> Path:
        path = self._directory / name
        path.mkdir()
        return path

    def _provider(self) -> tuple[str, ...]:
        keys = (part for key in self._plan.api_keys for part in ("--api-key", key))
        return (
            sys.executable, "-m", "scanpool_sandbox", "openai", "--port", str(self._provider_port),
            *keys, "--model", MODEL, "--latency-seconds", "0.2",
            "--tokens-per-minute", str(LIMIT), "--requests-per-minute", str(LIMIT),
        )  # fmt: skip

    async def _api(self, stack: AsyncExitStack) -> str:
        """Return the URL of the API server, without credentials: the stand-in, or a proxy."""
        if self._kubeconfig is not None:
            port = str(free_port())
            command: tuple[str, ...] = ("kubectl", "proxy", "--port", port)
            await self._start(stack, "proxy", command, lambda: _answers(port))
            return f"http://127.0.0.1:{port}"
        directory = self._new("kube")
        count = -(-self._plan.pools * PODS_PER_POOL // PODS_PER_NODE)
        nodes = (
            part
            for number in range(count)
            for part in ("--node", f"name=node-{number:03},cpu=64,memory=256Gi")
        )
        command = (
            sys.executable, "-m", "scanpool_sandbox.kube", "--directory", str(directory), *nodes,
        )  # fmt: skip
        log = self._directory / "stand-in.log"
        await self._start(stack, "stand-in", command, lambda: b"ready" in log.read_bytes())
        self._kubeconfig = str(directory / "kubeconfig")
        return log.read_text().partition("ready: ")[2].split()[0]

    async def _start(
        self,
        stack: AsyncExitStack,
        name: str,
        command: Sequence[str],
        is_ready: Callable[[], bool],
    ) -> ChildProcess:
        environment = dict(os.environ)
        if self._kubeconfig is not None:
            environment["KUBECONFIG"] = self._kubeconfig
        process = ChildProcess(
            command, log_path=self._directory / f"{name}.log", environment=environment
        )
        stack.push_async_callback(asyncio.to_thread, process.stop)
        self.processes[name] = process
        await asyncio.to_thread(process.wait_until_ready, is_ready, timeout_seconds=START_SECONDS)
        return process

    async def _kubectl(self, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            "kubectl", *arguments, env={**os.environ, "KUBECONFIG": str(self._kubeconfig)},
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        if await process.wait():
            message = f"kubectl {' '.join(arguments)} failed"
            raise RuntimeError(message)

    def _provider_answers(self) -> bool:
        return _answers(str(self._provider_port))

    def _operator_answers(self) -> bool:
        return _answers(str(self._metrics_port))


def _answers(port: str) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
    except httpx.TransportError:
        return False
    return True
