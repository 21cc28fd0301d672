"""A pool whose workers are real processes, under four times the load that its key carries."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from sandbox.background import Background
from sandbox.kube_client import Obj
from sandbox.patience import until
from sandbox.scene import AMQP_URL, API_KEY, KEY, MANAGEMENT_URL, MODEL, SECRET, Scene, open_scene
from sandbox.stage import WORKER, Stage
from scanpool_sandbox.openai_ledger import LogEntry
from scanpool_sandbox.openai_provider import Call, Latency, OpenAISettings
from scanpool_sandbox.openai_server import OpenAIServer
from scanpool_sandbox.pipeline import ANSWER, CONSUMER, DEAD_LETTER_QUEUE, STEPS, VISION
from scanpool_sandbox.rabbitmq_server import RabbitMQServer
from scanpool_sandbox.users import Counts, Users

NAME = "scan-worker"
LIMIT = 2_000_000
"""Tokens per minute."""
TOKENS_PER_SCAN = VISION.tokens + ANSWER.tokens
SCANS_PER_SECOND = 4 * LIMIT / 60 / TOKENS_PER_SCAN
SUBMIT_SECONDS = 0.5
CONCURRENCY = 4
METRICS_PORT = 9464
"""OpenTelemetry's own choice for Prometheus."""
LATENCY = Latency(median_seconds=1.3, sigma=0.25)
"""A tenth of the real one. With four calls at once a worker then uses nearly a fifth of the limit
in three calls per second: little work for the machine, and enough calls for a rate over 10 s."""
SPENT_SHARE = 0.95
"""The bucket holds a minute's worth when the provider starts. At twice the limit it would take a
minute to the first 429, so most of it is spent before."""
FIRST_WORKERS = 2
WARM_CALLS = 60
"""After so many the first workers no longer have scans in their first step alone."""


class Arrivals:
    """Scans that arrive at a steady rate, whatever becomes of them. An async context manager."""

    def __init__(self, users: Users) -> None:
        self._users = users

    async def __aenter__(self) -> Self:
        self._arriving = asyncio.create_task(self._arrive())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._arriving.cancel()
        await asyncio.gather(self._arriving, return_exceptions=True)

    async def _arrive(self) -> None:
        began, submitted = time.monotonic(), 0
        while True:
            due = int((time.monotonic() - began) * SCANS_PER_SECOND) - submitted
            await self._users.submit(due)
            submitted += due
            await asyncio.sleep(SUBMIT_SECONDS)


@dataclass(frozen=True)
class Overload:
    """A namespace, a vhost and a provider's account, with scans that keep arriving."""

    scene: Scene
    server: OpenAIServer
    users: Users
    background: Background

    def calls(self) -> list[LogEntry]:
        """All calls of the workers, refused ones too, oldest first."""
        entries = self.server.provider.ledger.entries
        return self.background.call(partial(entries, limit=sys.maxsize, consumer=CONSUMER))

    def level(self) -> float:
        """Tokens in the provider's bucket."""
        state = self.background.call(self.server.provider.state)
        return float(state["models"][MODEL]["tokens"]["remaining"])

    def counts(self) -> Counts:
        """What has become of the scans."""
        return self.background.call(self.users.counts)

    def waiting(self) -> int:
        """Messages that nobody holds."""
        return sum(self.scene.queues.ready(step.queue) for step in STEPS)

    def expired(self) -> int:
        """Messages that waited for too long."""
        return self.scene.queues.ready(DEAD_LETTER_QUEUE)

    def pods(self) -> list[Obj]:
        """The workers, those that are stopping too."""
        listed = self.scene.kube.get(f"/api/v1/namespaces/{self.scene.namespace}/pods")
        return list(listed["items"])

    def create_pool(self, **spec: Any) -> None:
        """Create a pool on the two queues whose messages call the provider."""
        queues = [
            {"name": step.queue, "messagesPerReplica": 10, "tokensPerMessage": step.tokens}
            for step in (VISION, ANSWER)
        ]
        url = {"name": SECRET, "key": MANAGEMENT_URL}
        broker = {"managementUrlSecretRef": url, "queues": queues}
        self.scene.create_pool(NAME, VISION.queue, rabbitmq=broker, **spec)

    def stop_workers(self) -> None:
        """Take all workers away, and wait until each has finished; the pool looks on."""
        scene = self.scene
        scene.change_pool(NAME, mode="Observe")
        generation = scene.pool(NAME)["metadata"]["generation"]
        scene.wait_status(NAME, observedGeneration=generation)
        scene.set_replicas(NAME, 0)
        until("no worker is left", lambda: not self.pods())


@contextmanager
def open_overload(
    stage: Stage, rabbitmq: RabbitMQServer, background: Background
) -> Iterator[Overload]:
    """Put two workers under the load, and spend the provider's bucket."""
    settings = OpenAISettings(
        api_keys=(KEY,), models=(MODEL,), tokens_per_minute=LIMIT, latency=LATENCY
    )
    with (
        background.running(OpenAIServer(settings)) as server,
        open_scene(stage, rabbitmq) as scene,
        background.running(Users(scene.secret(AMQP_URL))) as users,
        background.running(Arrivals(users)),
    ):
        overload = Overload(scene, server, users, background)
        scene.kube.post(scene.deployments, _deployment(server.base_url))
        until("the workers are at work", lambda: len(overload.calls()) >= WARM_CALLS)
        background.call(lambda: server.provider.admit(_spend(int(SPENT_SHARE * LIMIT))))
        yield overload


def _spend(tokens: int) -> Call:
    """Return a call that takes so many tokens at once.

    It is never answered, so no metric shows them as use.
    """
    body = {"model": MODEL, "messages": "", "max_completion_tokens": tokens}
    return Call("chat/completions", f"Bearer {KEY}", json.dumps(body).encode(), "spender")


def _deployment(base_url: str) -> Obj:
    labels = {"app": NAME}
    values = {
        "OPENAI_BASE_URL": base_url,
        "OPENAI_MODEL": MODEL,
        "OTEL_EXPORTER_PROMETHEUS_HOST": "$(POD_IP)",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(METRICS_PORT),
    }
    secret = [
        {"name": key, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": key}}}
        for key in (AMQP_URL, API_KEY)
    ]
    own = [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
        for name, path in (("POD_NAME", "metadata.name"), ("POD_IP", "status.podIP"))
    ]
    container = {
        "name": NAME,
        "image": WORKER,
        "args": [
            "--app=scanpool_sandbox.workers.scan",
            "worker",
            "--pool=gevent",
            f"--concurrency={CONCURRENCY}",
            "--hostname=$(POD_NAME)",
            "--without-gossip",
            "--without-mingle",
        ],
        "env": [
            *secret,
            *own,
            *({"name": name, "value": value} for name, value in values.items()),
        ],
        "ports": [{"name": "metrics", "containerPort": METRICS_PORT}],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
    }
    # Longer than any call: a task that is cut off between its steps is done twice, and the count of
    # messages would show neither that nor a loss.
    pod = {"containers": [container], "terminationGracePeriodSeconds": 20}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": FIRST_WORKERS, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": NAME}, "spec": spec}
