"""What the cases are made of: one namespace, and a gateway before all that its pools ask."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from faults.gateway import Fault, Gateway
from sandbox.background import Background
from sandbox.scene import API_KEY, MANAGEMENT_URL, PER_REPLICA, Scene, llm, management
from scanpool_sandbox.prometheus_server import PrometheusServer
from scanpool_sandbox.rabbitmq_server import RabbitMQServer
from steady_worker import SteadyWorker

ASKED = 5
"""Replicas that the queue of a pool asks for."""
MESSAGES = ASKED * PER_REPLICA
CEILING = 3
"""Replicas that 2 M TPM to 85% feed, at half a million a replica."""
POLLING_SECONDS = 3
SHARED = "scan.vision"
"""The queue of all pools whose fault is not the queue's."""


class Part(StrEnum):
    """What a fault is of."""

    BROKER = "Broker"
    PROMETHEUS = "Prometheus"
    PROVIDER = "Provider"
    API_SERVER = "API server"
    TARGET = "Target"
    SECRET = "Secret"
    POOL = "Pool"
    OPERATOR = "Operator"


BEHIND = {
    Part.BROKER: {"broker"},
    Part.PROMETHEUS: {"prometheus"},
    Part.PROVIDER: {"provider"},
    Part.SECRET: {"provider"},
    Part.POOL: {"provider"},
    Part.OPERATOR: {"broker"},
}
"""What is asked by way of the gateway. All else pools share, and so they are cheap."""


@dataclass
class World:
    """A scene, its servers, and the gateway before them."""

    scene: Scene
    gateway: Gateway
    upstreams: Mapping[str, str]
    rabbitmq: RabbitMQServer
    killable: PrometheusServer
    background: Background
    published: dict[str, int] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    workers: list[SteadyWorker] = field(default_factory=list)
    brokers: dict[str, RabbitMQServer] = field(default_factory=dict)
    """Those of cases that kill theirs."""
    ports: dict[str, int] = field(default_factory=dict)
    """Of servers that cases have beside those."""
    closing: ExitStack = field(default_factory=ExitStack)
    """What cases have started, which ends with the world."""

    def start(
        self,
        case: str,
        part: Part,
        prepare: Callable[["World", str], object] | None,
        spec: Callable[["World", str], dict[str, Any]] | None,
    ) -> None:
        """Create the pool of a case and what it names."""
        self.parts[case] = part
        if prepare is not None:
            prepare(self, case)
        queue = self.queue(case)
        if queue not in self.published:
            self.scene.queues.publish(queue, MESSAGES)
            self.published[queue] = MESSAGES
        self.secrets[case] = key(case)
        self.secrets["broker"] = self.rabbitmq.password
        self.scene.create_secret(case, **self.secret(case))
        self.scene.create_deployment(case)
        made = self.spec(case) if spec is None else spec(self, case)
        self.scene.create_pool(case, queue, **made)

    def queue(self, case: str) -> str:
        return case if self.parts[case] is Part.BROKER else SHARED

    def url(self, case: str, service: str) -> str:
        """Where a case finds a service."""
        behind = service in BEHIND.get(self.parts[case], set())
        return self.gateway.url(case, service) if behind else self.upstreams[service]

    def management_url(self, case: str, password: str = "") -> str:
        """The management API's URL for a case, with user, password and virtual host."""
        password = quote(password or self.rabbitmq.password, safe="")
        address = self.url(case, "broker").removeprefix("http://")
        vhost = quote(f"{self.scene.namespace}/eco2", safe="")
        return f"http://{self.rabbitmq.user}:{password}@{address}/{vhost}"

    def secret(self, case: str) -> dict[str, str]:
        return {MANAGEMENT_URL: self.management_url(case), API_KEY: key(case)}

    def spec(self, case: str) -> dict[str, Any]:
        """A pool's spec, with the source that shall fail behind the gateway."""
        asked = {"url": self.url(case, "prometheus"), "query": "vector(0)"}
        base = f"{self.url(case, 'provider')}/v1"
        return {
            "rabbitmq": management(self.queue(case), secret=case),
            "llm": llm(base, secret=case, usage={"prometheus": asked}),
            "pollingIntervalSeconds": POLLING_SECONDS,
        }

    def work(self) -> None:
        """Let a worker go on in a queue of its own, `steady_worker.QUEUE`, until the end."""
        worker = SteadyWorker(self.rabbitmq.amqp_url(f"{self.scene.namespace}/eco2"))
        worker.start()
        self.workers.append(worker)

    def cut(self) -> None:
        """Cut every connection to the gateway."""
        self.background.call(self.gateway.cut)

    def inject(self, case: str, service: str, fault: Fault) -> None:
        self.background.call(lambda: self.gateway.inject(case, service, fault))

    def mend(self, case: str, service: str) -> None:
        self.background.call(lambda: self.gateway.mend(case, service))


def key(case: str) -> str:
    """The API key of a case, with characters that percent-encoding changes."""
    return f"sk-{case}/0123456789+abcdef=="
