"""One namespace with what a pool needs, and the words to talk about it."""

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from sandbox.broker import Queues
from sandbox.kube_client import KubeClient, Obj
from sandbox.named_cluster import NamedCluster
from sandbox.patience import until
from sandbox.stage import Stage
from scanpool_sandbox.openai_provider import OpenAISettings
from scanpool_sandbox.rabbitmq_server import RabbitMQServer

API_VERSION = "scan.eco2.io/v1alpha1"
SECRET = "scan-secret"
MANAGEMENT_URL, AMQP_URL, API_KEY = "RABBITMQ_API_URL", "CELERY_BROKER_URL", "OPENAI_API_KEY"
KEY = "sk-scene/0123456789+abcdef=="
"""With characters that percent-encoding changes."""
MODEL = "gpt-5.2"
PROVIDER = OpenAISettings(api_keys=(KEY,), models=(MODEL,), tokens_per_minute=2_000_000)
AT_ONCE = [{"type": "Pods", "value": 100, "periodSeconds": 1}]
PER_REPLICA = 10
"""Messages."""


class Scene:
    """A namespace of a stage. Pools have their Deployment's name."""

    def __init__(self, stage: Stage | NamedCluster, namespace: str, queues: Queues) -> None:
        self.stage = stage
        self.queues = queues
        self.namespace = namespace
        self.kube.post("/api/v1/namespaces", {"metadata": {"name": namespace}})

    @property
    def kube(self) -> KubeClient:
        return self.stage.kube

    def create_namespace(self) -> None:
        self.kube.post("/api/v1/namespaces", {"metadata": {"name": self.namespace}})

    def close(self) -> None:
        """Delete everything, the pools first: no Event can be written where a namespace ends."""
        for pool in self.kube.get(self.pools)["items"]:
            self.kube.delete(f"{self.pools}/{pool['metadata']['name']}")
        until("the operator has forgotten the pools", lambda: not self.is_shown())
        self.kube.delete(f"/api/v1/namespaces/{self.namespace}")

    def is_shown(self) -> bool:
        """Whether the operator's metrics tell anything of the pools here."""
        return f'namespace="{self.namespace}"' in self.stage.operator.metrics()

    @property
    def pools(self) -> str:
        return f"/apis/{API_VERSION}/namespaces/{self.namespace}/scanworkerpools"

    @property
    def deployments(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments"

    @property
    def secrets(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/secrets"

    def create_secret(self, name: str = SECRET, **values: str) -> None:
        self.kube.post(self.secrets, {"metadata": {"name": name}, "data": _encoded(values)})

    def change_secret(self, name: str = SECRET, **values: str) -> None:
        self.kube.patch(f"{self.secrets}/{name}", {"data": _encoded(values)})

    def secret(self, key: str, name: str = SECRET) -> str:
        data = self.kube.get(f"{self.secrets}/{name}")["data"]
        return base64.b64decode(data[key]).decode()

    def create_deployment(self, name: str, replicas: int = 1) -> None:
        labels = {"app": name}
        requests = {"cpu": "10m", "memory": "64Mi"}
        resources = {"requests": requests}
        container = {"name": "worker", **self.stage.worker, "resources": resources}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        self.kube.post(self.deployments, {"metadata": {"name": name}, "spec": spec})

    def create_pool(self, name: str, queue: str, **changes: Any) -> None:
        """Create a pool that ticks every second and scales at once, up to 10."""
        self.kube.post(self.pools, self.pool_object(name, queue, **changes))

    def pool_object(self, name: str, queue: str, **changes: Any) -> Obj:
        spec = {
            "scaleTargetRef": {"name": name},
            "maxReplicas": 10,
            "pollingIntervalSeconds": 1,
            "rabbitmq": management(queue),
            "behavior": {
                "scaleUp": {"policies": AT_ONCE},
                "scaleDown": {"policies": AT_ONCE, "stabilizationWindowSeconds": 0},
            },
            **changes,
        }
        return {
            "apiVersion": API_VERSION,
            "kind": "ScanWorkerPool",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        }

    def change_pool(self, name: str, **changes: Any) -> None:
        self.kube.patch(f"{self.pools}/{name}", {"spec": changes})

    def annotate_pool(self, name: str, **annotations: str | None) -> None:
        """Set annotations; None removes one."""
        self.kube.patch(f"{self.pools}/{name}", {"metadata": {"annotations": annotations}})

    def pool(self, name: str) -> Obj:
        return self.kube.get(f"{self.pools}/{name}")

    def status(self, name: str) -> Obj:
        return dict(self.pool(name).get("status") or {})

    def condition(self, name: str, kind: str) -> Obj:
        """A condition of a pool; empty while there is none."""
        found = (c for c in self.status(name).get("conditions", []) if c["type"] == kind)
        return dict(next(found, {}))

    def replicas(self, deployment: str) -> int:
        return int(self.kube.get(f"{self.deployments}/{deployment}")["spec"]["replicas"])

    def set_replicas(self, deployment: str, replicas: int) -> None:
        self.kube.patch(f"{self.deployments}/{deployment}", {"spec": {"replicas": replicas}})

    def events(self, reason: str = "") -> list[Obj]:
        listed = self.kube.get(f"/api/v1/namespaces/{self.namespace}/events")["items"]
        return [event for event in listed if reason in ("", event["reason"])]

    def wait_replicas(self, name: str, replicas: int) -> None:
        until(
            f"{name} has {replicas} replicas",
            lambda: self.replicas(name) == replicas,
            lambda: self.status(name),
        )

    def wait_ready(self, deployment: str) -> None:
        """Wait until all of a Deployment's pods are ready."""

        def ready() -> tuple[int, int]:
            found = self.kube.get(f"{self.deployments}/{deployment}")
            return found["spec"]["replicas"], found.get("status", {}).get("readyReplicas", 0)

        until(f"the pods of {deployment} are ready", lambda: len(set(ready())) == 1, ready)

    def wait_condition(self, name: str, kind: str, status: str, reason: str = "") -> Obj:
        def holds() -> Obj | None:
            found = self.condition(name, kind)
            right = found.get("status") == status and reason in ("", found["reason"])
            return found if right else None

        return (
            until(
                f"{kind} of {name} is {status} {reason}", holds, lambda: self.condition(name, kind)
            )
            or {}
        )

    def wait_own_use(self, name: str) -> None:
        """Wait until a pool without workers is known to use no tokens.

        The broker shows the statistics of a new queue some seconds after it.
        """
        until(
            f"the own use of {name} is known",
            lambda: self.status(name).get("llm", {}).get("ownTokensPerMinute") == 0,
            lambda: self.status(name),
        )

    def wait_status(self, name: str, **expected: object) -> Obj:
        """Wait until fields of the status have these values."""

        def holds() -> Obj | None:
            status = self.status(name)
            return status if all(status.get(k) == v for k, v in expected.items()) else None

        return until(f"{name} shows {expected}", holds, lambda: self.status(name)) or {}


@contextmanager
def open_scene(stage: Stage | NamedCluster, rabbitmq: RabbitMQServer) -> Iterator[Scene]:
    """Make a namespace whose Secret leads to a vhost of its own, and remove both."""
    name = f"scene-{secrets.token_hex(4)}"
    # Its slash has to be percent-encoded.
    vhost = f"{name}/eco2"
    rabbitmq.create_vhost(vhost)
    with Queues(rabbitmq.amqp_url(vhost)) as queues:
        scene = Scene(stage, name, queues)
        urls = {
            MANAGEMENT_URL: f"{rabbitmq.management_url}/{quote(vhost, safe='')}",
            AMQP_URL: rabbitmq.amqp_url(vhost),
        }
        scene.create_secret(**urls, **{API_KEY: KEY})
        yield scene
        scene.close()
    rabbitmq.delete_vhost(vhost)


def management(queue: str, secret: str = SECRET) -> Obj:
    """A broker whose management API is read."""
    return {
        "managementUrlSecretRef": {"name": secret, "key": MANAGEMENT_URL},
        "queues": [{"name": queue, "messagesPerReplica": PER_REPLICA, "tokensPerMessage": 1000}],
    }


def amqp(queue: str, secret: str = SECRET) -> Obj:
    """A broker of which only AMQP is read."""
    return {
        "urlSecretRef": {"name": secret, "key": AMQP_URL},
        "queues": [{"name": queue, "messagesPerReplica": PER_REPLICA, "tokensPerMessage": 1000}],
    }


def llm(base_url: str, secret: str = SECRET, **changes: Any) -> Obj:
    """A provider that is probed every second; a busy replica uses half a million TPM.

    The usage window is short: a broker that has just started must have counted for all of it.
    Simulated workers call nobody: the level of the bucket tells nothing of them, and is left alone.
    """
    return {
        "model": MODEL,
        "baseUrl": base_url,
        "apiKeySecretRef": {"name": secret, "key": API_KEY},
        "tokensPerReplicaMinute": 500_000,
        "probe": {"intervalSeconds": 1},
        "bucketReservePercent": 100,
        **changes,
        "usage": {"windowSeconds": 10, **changes.get("usage", {})},
    }


def _encoded(values: dict[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
