"""What the bench creates: namespaces with Secrets, Deployments, and a pool for each."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]

LABEL = "scanpool-bench"
"""On all that the bench creates, so that it can watch it and delete it again."""
SECRET = "bench"  # noqa: S105 - the name of one
POOLS_PER_NAMESPACE = 20
POLLING_SECONDS = 10
PER_REPLICA = 10
"""Messages that are worth one replica."""
MOST_REPLICAS = 5
TOKENS_PER_REPLICA = 1000
MODEL = "gpt-5.2"
WORKER_REQUESTS = {"cpu": "10m", "memory": "64Mi"}


@dataclass(frozen=True)
class Name:
    """Where a pool is; its Deployment and its queue have its name."""

    namespace: str
    name: str

    @property
    def queue(self) -> str:
        """Its queue in the broker."""
        return f"{self.namespace}.{self.name}"


@dataclass(frozen=True)
class Plan:
    """How many pools, and the keys that they share in turn."""

    pools: int
    keys: int

    @property
    def names(self) -> list[Name]:
        """All pools."""
        return [
            Name(f"{LABEL}-{number // POOLS_PER_NAMESPACE:03}", f"worker-{number:04}")
            for number in range(self.pools)
        ]

    @property
    def namespaces(self) -> list[str]:
        """Their namespaces."""
        return sorted({one.namespace for one in self.names})

    @property
    def api_keys(self) -> list[str]:
        """The keys of the provider."""
        return [f"sk-bench-{number}" for number in range(self.keys)]


def namespace(name: str) -> Obj:
    """Return a namespace."""
    return {"metadata": {"name": name, "labels": {LABEL: "true"}}}


def secret(plan: Plan, management_url: str) -> Obj:
    """Return the Secret of a namespace: where the broker is, and all keys."""
    values = {f"KEY_{number}": key for number, key in enumerate(plan.api_keys)}
    values["RABBITMQ_API_URL"] = management_url
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"metadata": {"name": SECRET}, "data": data}


def deployment(name: Name, image: str) -> Obj:
    """Return a Deployment of one replica."""
    labels = {"app": name.name, LABEL: "true"}
    container = {"name": "worker", "image": image, "resources": {"requests": WORKER_REQUESTS}}
    return {
        "metadata": {"name": name.name, "labels": {LABEL: "true"}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name.name}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def pools(plan: Plan, provider_url: str, prometheus_url: str) -> Iterator[tuple[Name, Obj]]:
    """Return all pools: with limits of a provider, its use, and the memory of the nodes."""
    at_once = [{"type": "Pods", "value": MOST_REPLICAS, "periodSeconds": 1}]
    for number, name in enumerate(plan.names):
        yield (
            name,
            {
                "apiVersion": "scan.eco2.io/v1alpha1",
                "kind": "ScanWorkerPool",
                "metadata": {"name": name.name, "labels": {LABEL: "true"}},
                "spec": {
                    "scaleTargetRef": {"name": name.name},
                    "minReplicas": 1,
                    "maxReplicas": MOST_REPLICAS,
                    "pollingIntervalSeconds": POLLING_SECONDS,
                    "rabbitmq": {
                        "managementUrlSecretRef": {"name": SECRET, "key": "RABBITMQ_API_URL"},
                        "queues": [
                            {
                                "name": name.queue,
                                "messagesPerReplica": PER_REPLICA,
                                "tokensPerMessage": 100,
                            }
                        ],
                    },
                    "llm": {
                        "model": MODEL,
                        "baseUrl": provider_url,
                        "apiKeySecretRef": {"name": SECRET, "key": f"KEY_{number % plan.keys}"},
                        "tokensPerReplicaMinute": TOKENS_PER_REPLICA,
                        "usage": {"prometheus": {"url": prometheus_url, "preset": "otel-genai"}},
                    },
                    "behavior": {
                        "scaleUp": {"policies": at_once},
                        "scaleDown": {"policies": at_once, "stabilizationWindowSeconds": 0},
                    },
                },
            },
        )
