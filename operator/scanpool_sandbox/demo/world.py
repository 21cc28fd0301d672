"""Everything that the demo runs on, started on free ports and stopped again."""

import asyncio
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import httpx

from scanpool_sandbox.openai_provider import Latency, OpenAISettings
from scanpool_sandbox.openai_server import OpenAIServer
from scanpool_sandbox.pipeline import CHATS
from scanpool_sandbox.processes import ChildProcess, free_port
from scanpool_sandbox.prometheus_server import PrometheusServer
from scanpool_sandbox.rabbitmq_server import VHOST, RabbitMQServer
from scanpool_sandbox.users import Users

ROOT = Path(__file__).resolve().parents[3]
"""The checkout: the demo applies its crds/ and manifests/."""
API_KEY = "sk-sandbox"
NAMESPACE = "scan"
MODEL = "gpt-5.2"
START_LIMIT = 2_000_000
"""Tokens per minute: the limit that the published load test ran into."""
LATENCY = Latency(median_seconds=0.85, sigma=0.25)
"""A tenth of the real one, so that the story fits into some minutes: with four calls at once, a
worker then uses some 0.55 M tokens per minute, as a real one with a hundred does."""
NODES = ("name=node-a,cpu=2,memory=3826Mi", "name=node-b,cpu=2,memory=3826Mi")
"""The nodes of the published load test."""
KUBE_READY_SECONDS = 30.0
REQUEST_SECONDS = 10.0

# The images of the manifests, as local programs. All pods share 127.0.0.1, so the emulator hands
# each container port out as $PORT_<number>.
SANDBOX = f'PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH exec "$@"'
IMAGES = {
    "scanpool-sandbox": ("sh", "-c", SANDBOX, "scanpool-sandbox"),
    "batch": ("sleep",),
}


class World:
    """RabbitMQ, Prometheus, the LLM provider, a Kubernetes API and users. An async context manager.

    `directory` is an existing one for all data and logs.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = AsyncExitStack()
        self.rabbitmq = RabbitMQServer(self._new("rabbitmq"))
        self.openai = OpenAIServer(
            OpenAISettings(
                api_keys=(API_KEY,),
                models=(MODEL,),
                tokens_per_minute=START_LIMIT,
                latency=LATENCY,
            )
        )
        self.kubeconfig = directory / "kube" / "kubeconfig"
        # Not the emulator's choice: Prometheus has to know it before there is a pod.
        self._metrics_port = free_port()

    async def __aenter__(self) -> Self:
        """Start everything at once, and return when all of it answers."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.openai)
            await asyncio.gather(self._start(stack, self.rabbitmq), self._start_watched(stack))
            broker_url = self.rabbitmq.amqp_url()
            self.users = await stack.enter_async_context(Users(broker_url))
            self.chats = await stack.enter_async_context(Users(broker_url, CHATS))
            self._http = await stack.enter_async_context(
                httpx.AsyncClient(base_url=self._api_url(), timeout=REQUEST_SECONDS)
            )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything that was started."""
        await self._stack.aclose()

    async def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl against the demo's cluster, and return what it printed.

        Raises:
            RuntimeError: with what it said, if it fails.

        """
        process = await asyncio.create_subprocess_exec(
            "kubectl", "--kubeconfig", str(self.kubeconfig), *arguments,
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate(None if stdin is None else stdin.encode())
        if process.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {err.decode().strip()}")
        return out.decode().rstrip()

    async def get(self, path: str) -> Any:
        """Return an object of the Kubernetes API, or of its audit log, by its path."""
        answer = await self._http.get(path)
        answer.raise_for_status()
        return answer.json()

    async def patch_status(self, path: str, patch: Mapping[str, Any]) -> None:
        """Merge into the status of an object, as a node's kubelet does; old kubectl cannot."""
        answer = await self._http.patch(
            f"{path}/status",
            content=json.dumps({"status": patch}),
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        )
        answer.raise_for_status()

    async def messages_left(self) -> int:
        """Return the messages in all queues of the broker, dead letters included."""
        answer = await self._http.get(
            f"{self.rabbitmq.management_url}/api/queues/{VHOST}",
            params={"disable_stats": "true", "enable_queue_totals": "true"},
        )
        answer.raise_for_status()
        return sum(queue["messages"] for queue in answer.json())

    def _new(self, name: str) -> Path:
        path = self._directory / name
        path.mkdir()
        return path

    async def _start(
        self, stack: AsyncExitStack, server: RabbitMQServer | PrometheusServer
    ) -> None:
        # Stopped even if it comes up only in part.
        stack.push_async_callback(asyncio.to_thread, server.stop)
        await asyncio.to_thread(server.start)

    async def _start_watched(self, stack: AsyncExitStack) -> None:
        """Start the cluster, and then what looks its pods up."""
        await self._start_kube(stack)
        self.prometheus = PrometheusServer(
            self._new("prometheus"),
            {"scanpool": [f"127.0.0.1:{self._metrics_port}"]},
            discovery={"pods": f"{self._api_url()}/sandbox/scrape"},
        )
        await self._start(stack, self.prometheus)

    async def _start_kube(self, stack: AsyncExitStack) -> None:
        directory = self._new("kube")
        images = {**IMAGES, "scanpool": _operator(directory / "scraped-pod", self._metrics_port)}
        process = ChildProcess(
            [
                sys.executable, "-m", "scanpool_sandbox.kube", "--directory", str(directory),
                *(part for node in NODES for part in ("--node", node)),
                *(part for name, argv in images.items() for part in _image(name, argv)),
            ],
            log_path=self._directory / "kube.log",
        )  # fmt: skip
        stack.push_async_callback(asyncio.to_thread, process.stop)
        await asyncio.to_thread(
            process.wait_until_ready,
            lambda: b"ready" in process.log_path.read_bytes(),
            timeout_seconds=KUBE_READY_SECONDS,
        )

    def _api_url(self) -> str:
        line = (self._directory / "kube.log").read_text().partition("ready: ")[2]
        return line.split()[0]


def _operator(scraped: Path, metrics_port: int) -> tuple[str, ...]:
    """Return the operator's command. Of its pods the first is scraped, and says so in a directory.

    The others have metrics ports of their own: two cannot listen at one on this machine.
    """
    first = shlex.quote(str(scraped))
    command = (
        f"mkdir {first} 2>/dev/null && echo $HOSTNAME > {first}/name; port=$PORT_9090; "
        f'test "$(cat {first}/name)" = "$HOSTNAME" && port={metrics_port}; '
        f'exec {shlex.quote(sys.executable)} -m scanpool "$@" '
        "--host 127.0.0.1 --health-port $PORT_8080 --metrics-port $port"
    )
    return "sh", "-c", command, "scanpool"


def _image(name: str, argv: Sequence[str]) -> tuple[str, str]:
    return "--image", f"{name}={shlex.join(argv)}"
