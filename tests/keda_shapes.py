"""ScaledObjects of different shapes, with what KEDA makes of each: a queue's target per replica.

Every one of them has a pool that decides the same. Words that begin with `hidden` stand for what
only a Secret may tell.
"""

import base64
from dataclasses import dataclass
from typing import Any

import yaml

from scanpool.convert import Converted, convert, read

Json = dict[str, Any]

PASSWORD = "hidden-word"
HTTP_URL = f"http://hidden-user:{PASSWORD}@rabbitmq.mq.svc:15672/shop"
AMQP_URL = f"amqp://hidden-user:{PASSWORD}@rabbitmq.mq.svc:5672/shop"
SHOP = "shop"


@dataclass(frozen=True)
class Shape:
    """Objects to convert; `targets` are messages per replica, by queue."""

    name: str
    objects: tuple[Json, ...]
    targets: dict[str, int]
    least: int = 0
    most: int = 100
    cooldown: int = 300
    has_default_behavior: bool = True

    @property
    def text(self) -> str:
        """All objects as one file."""
        return yaml.safe_dump_all(self.objects)


def scaled_object(*triggers: Json, annotations: dict[str, str] | None = None, **spec: Any) -> Json:
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "orders", "namespace": SHOP, "annotations": annotations or {}},
        "spec": {"scaleTargetRef": {"name": "packer"}, "triggers": list(triggers), **spec},
    }


def trigger(
    queue: str, auth: str | None = "broker", cluster: bool = False, **metadata: str
) -> Json:
    found: Json = {"type": "rabbitmq", "metadata": {"queueName": queue, **metadata}}
    if auth is not None:
        kind = {"kind": "ClusterTriggerAuthentication"} if cluster else {}
        found["authenticationRef"] = {"name": auth, **kind}
    return found


def depth(queue: str, value: str, auth: str | None = "broker", **metadata: str) -> Json:
    return trigger(queue, auth, mode="QueueLength", value=value, **metadata)


def authentication(*parameters: str, cluster: bool = False, **spec: Any) -> Json:
    refs = [{"parameter": one, "name": "broker-login", "key": one} for one in parameters]
    kind = "ClusterTriggerAuthentication" if cluster else "TriggerAuthentication"
    metadata = {"name": "broker"} if cluster else {"name": "broker", "namespace": SHOP}
    return {
        "apiVersion": "keda.sh/v1alpha1", "kind": kind, "metadata": metadata,
        "spec": {"secretTargetRef": refs, **spec},
    }  # fmt: skip


def secret(namespace: str = SHOP, **values: str) -> Json:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    metadata = {"name": "broker-login", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def config_map(**values: str) -> Json:
    metadata = {"name": "broker-address", "namespace": SHOP}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": values}


def deployment(*containers: Json) -> Json:
    template = {"spec": {"containers": list(containers)}}
    metadata = {"name": "packer", "namespace": SHOP}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        "spec": {"template": template},
    }  # fmt: skip


def from_secret(key: str) -> Json:
    return {"valueFrom": {"secretKeyRef": {"name": "broker-login", "key": key}}}


SCAN_HOST = f"http://hidden-user:{PASSWORD}@broker.mq:15672"
SCAN = {"protocol": "http", "host": SCAN_HOST, "vhostName": "eco2", "mode": "QueueLength"}
GENTLE = {
    "scaleDown": {
        "stabilizationWindowSeconds": 300,
        "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}],
    },
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "policies": [{"type": "Pods", "value": 2, "periodSeconds": 30}],
    },
}
CAREFUL = {"scaleUp": {"tolerance": "50m", "selectPolicy": "Min"}, "scaleDown": {"tolerance": 0.2}}

SHAPES = (
    Shape(
        "the published system: three queues, the URL in the trigger",
        (
            scaled_object(
                trigger("scan.vision", None, **SCAN, value="10"),
                trigger("scan.answer", None, **SCAN, value="10"),
                trigger("scan.rule", None, **SCAN, value="20"),
                minReplicaCount=1, maxReplicaCount=10, pollingInterval=15, cooldownPeriod=120,
                advanced={
                    "restoreToOriginalReplicaCount": False,
                    "horizontalPodAutoscalerConfig": {"behavior": GENTLE},
                },
            ),
        ),
        {"scan.vision": 10, "scan.answer": 10, "scan.rule": 20},
        least=1, most=10, has_default_behavior=False,
    ),
    Shape(
        "amqp from a Secret, down to zero",
        (
            scaled_object(depth("orders", "7", protocol="amqp")),
            authentication("host"),
            secret(host=AMQP_URL),
        ),
        {"orders": 7},
    ),
    Shape(
        "auto, which is http by the URL, with a vhost of its own",
        (
            scaled_object(depth("orders", "5", protocol="auto", vhostName="/"), minReplicaCount=1),
            authentication("host"),
            secret(host=HTTP_URL.removesuffix("shop")),
        ),
        {"orders": 5},
        least=1,
    ),
    Shape(
        "a ClusterTriggerAuthentication, no protocol named",
        (
            scaled_object(
                trigger("orders", cluster=True, mode="QueueLength", value="12"),
                minReplicaCount=2, maxReplicaCount=20,
            ),
            authentication("host", cluster=True),
            secret("keda", host=AMQP_URL),
        ),
        {"orders": 12},
        least=2, most=20,
    ),
    Shape(
        "the URL from the environment of the second container",
        (
            {
                **scaled_object(
                    trigger(
                        "orders", None, hostFromEnv="BROKER", mode="QueueLength", value="100.0"
                    ),
                    scaleTargetRef={"name": "packer", "envSourceContainerName": "packer"},
                    minReplicaCount=1, maxReplicaCount=5,
                ),
            },
            deployment(
                {"name": "proxy"},
                {"name": "packer", "env": [{"name": "BROKER", **from_secret("amqp")}]},
            ),
            secret(amqp=AMQP_URL),
        ),
        {"orders": 100},
        least=1, most=5,
    ),
    Shape(
        "a regular expression",
        (
            scaled_object(
                depth(
                    r"^orders\.(new|paid|sent)$", "8",
                    protocol="http", useRegex="true", operation="max", pageSize="50",
                ),
                minReplicaCount=1,
            ),
            authentication("host"),
        ),
        {r"^orders\.(new|paid|sent)$": 8},
        least=1,
    ),
    Shape(
        "the old queueLength, amqps with a CA",
        (
            scaled_object(trigger("orders", queueLength="3"), maxReplicaCount=30),
            authentication("host", "tls", "ca"),
            secret(host=AMQP_URL.replace("amqp:", "amqps:"), tls="enable", ca="-----BEGIN hidden"),
        ),
        {"orders": 3},
        most=30,
    ),
    Shape(
        "a fallback, cached metrics",
        (
            scaled_object(
                {**depth("orders", "10", protocol="http"), "useCachedMetrics": True},
                minReplicaCount=1, pollingInterval=60,
                fallback={
                    "failureThreshold": 3, "replicas": 4, "behavior": "currentReplicasIfHigher",
                },
            ),
            authentication("host"),
        ),
        {"orders": 10},
        least=1,
    ),
    Shape(
        "nothing but a queue and a host",
        (scaled_object(trigger("orders", None, host=HTTP_URL)),),
        {"orders": 20},
    ),
    Shape(
        "paused, with annotations about the HPA",
        (
            scaled_object(
                depth("orders", "10", protocol="http"),
                minReplicaCount=3,
                annotations={
                    "autoscaling.keda.sh/paused": "true",
                    "scaledobject.keda.sh/transfer-hpa-ownership": "true",
                },
                advanced={"horizontalPodAutoscalerConfig": {"name": "packer"}},
            ),
            authentication("host"),
        ),
        {"orders": 10},
        least=3,
    ),
    Shape(
        "two triggers for one queue, with an activation value that does not count",
        (
            scaled_object(
                depth("orders", "10", protocol="http", activationValue="50"),
                depth("orders", "4", protocol="http"),
                depth("returns", "30", protocol="http", timeout="1000"),
                minReplicaCount=1,
            ),
            authentication("host"),
        ),
        {"orders": 4, "returns": 30},
        least=1,
    ),
    Shape(
        "user and password apart, tolerances",
        (
            scaled_object(
                depth("orders", "9", protocol="http"),
                minReplicaCount=1,
                advanced={"horizontalPodAutoscalerConfig": {"behavior": CAREFUL}},
            ),
            authentication(
                "username", "password",
                configMapTargetRef=[
                    {"parameter": "host", "name": "broker-address", "key": "url"}
                ],
            ),
            config_map(url="http://rabbitmq.mq.svc:15672/shop"),
        ),
        {"orders": 9},
        least=1, has_default_behavior=False,
    ),
    Shape(
        "a List, as kubectl prints it, kept from zero by an annotation",
        (
            {
                "apiVersion": "v1",
                "kind": "List",
                "items": [
                    scaled_object(
                        depth("orders", "6", protocol="amqp"),
                        annotations={"autoscaling.keda.sh/force-activation": "true"},
                    ),
                    authentication("host", "vhostName"),
                    secret(host=AMQP_URL, vhostName="shop"),
                ],
            },
        ),
        {"orders": 6},
        least=1,
    ),
)  # fmt: skip


def turned(*objects: Json, queue_names: list[str] | None = None) -> Converted:
    """Convert one ScaledObject with what it needs, the usual authentication among it."""
    kinds = {one["kind"] for one in objects}
    usual = [] if "TriggerAuthentication" in kinds else [authentication("host")]
    given = read([("file", yaml.safe_dump_all([*objects, *usual]))], queue_names)
    (scaled,) = given.scaled_objects
    return convert(scaled, given)
