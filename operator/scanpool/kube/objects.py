"""Kubernetes objects, as the API server sends them, to what a decision needs of them. Pure.

Memory is in bytes, CPU in millicores, times in seconds since the epoch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from sys import intern
from typing import Any, NamedTuple

from kubernetes.utils.quantity import parse_quantity

from scanpool.kube.managers import writers
from scanpool.models.label_selector import LabelSelector, equal, expression
from scanpool.models.observation import Node, Pod, PodTemplate, Taint, Toleration
from scanpool.models.rivals import Writer
from scanpool.models.units import epoch

Json = Mapping[str, Any]

# A Deployment without the field runs one replica.
DEFAULT_REPLICAS = 1
FINISHED = frozenset({"Succeeded", "Failed"})
# A worker that is told to stop ends well, or by SIGTERM (128 + 15), or after its grace by SIGKILL.
# Of a pod that stays only the kubelet tells it, when a probe fails.
STOPPED_CODES = frozenset({0, 143, 137})
OOM_KILLED = "OOMKilled"


class SecretText(NamedTuple):
    """One key of a Secret; `version` is another one after every write of the Secret."""

    text: str
    version: str


@dataclass(frozen=True, slots=True)
class Workload:
    """What is kept of a Deployment. Its pods have the labels `must`: by them they are found."""

    namespace: str
    name: str
    uid: str
    replicas: int
    selector: str
    must: tuple[tuple[str, str], ...]
    rules: LabelSelector
    template: PodTemplate
    writers: tuple[Writer, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """What is kept of a pod: as a replica, and as what takes room on a node.

    A pod that `stays` counts as a replica: it is neither finished nor going away. One that `drains`
    is going away and not finished. One that holds `room` is on a node and not finished; requests
    are in bytes and millicores.
    """

    namespace: str
    pod: Pod
    labels: Mapping[str, str]
    stays: bool
    drains: bool
    room: bool
    memory_requested: int
    cpu_requested: int


def workload(deployment: Json) -> Workload:
    """Return what is kept of a Deployment."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    labels = spec["selector"].get("matchLabels", {})
    rules = [equal(*label) for label in labels.items()] + [
        expression(one["key"], one["operator"], one.get("values", []))
        for one in spec["selector"].get("matchExpressions", [])
    ]
    return Workload(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        replicas=spec.get("replicas", DEFAULT_REPLICAS),
        selector=selector(spec["selector"]),
        must=tuple(labels.items()),
        rules=LabelSelector(tuple(rules)),
        template=_template(spec["template"]["spec"]),
        writers=writers(deployment),
    )


def placed(pod: Json) -> Placed:
    """Return what is kept of a pod."""
    metadata = pod["metadata"]
    is_finished = pod.get("status", {}).get("phase") in FINISHED
    is_leaving = "deletionTimestamp" in metadata
    return Placed(
        namespace=metadata["namespace"],
        pod=_pod(pod),
        # The same few words in thousands of pods.
        labels={intern(key): intern(value) for key, value in metadata.get("labels", {}).items()},
        stays=not is_leaving and not is_finished,
        drains=is_leaving and not is_finished,
        room=bool(pod["spec"].get("nodeName")) and not is_finished,
        memory_requested=_requested(pod["spec"], "memory"),
        cpu_requested=_requested(pod["spec"], "cpu"),
    )


def node(one: Json) -> Node:
    """Return a node, with nothing on it."""
    status, spec = one.get("status", {}), one.get("spec", {})
    allocatable = status.get("allocatable", {})
    conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}
    return Node(
        name=one["metadata"]["name"],
        memory_allocatable=_bytes(allocatable.get("memory", "0")),
        cpu_allocatable=_millicores(allocatable.get("cpu", "0")),
        pods_allocatable=int(_quantity(allocatable.get("pods", "0"))),
        memory_requested=0,
        cpu_requested=0,
        pods_running=0,
        ready=conditions.get("Ready") == "True",
        schedulable=not spec.get("unschedulable", False),
        memory_pressure=conditions.get("MemoryPressure") == "True",
        labels=one["metadata"].get("labels", {}),
        taints=tuple(
            Taint(each["key"], each.get("value", ""), each["effect"])
            for each in spec.get("taints", [])
        ),
    )


def pods_used(metrics: Iterable[Json]) -> dict[tuple[str, str], int]:
    """Return the working sets of pods in bytes, by namespace and name."""
    return {
        (one["metadata"]["namespace"], one["metadata"]["name"]): sum(
            _bytes(each["usage"]["memory"]) for each in one["containers"]
        )
        for one in metrics
    }


def nodes_used(metrics: Iterable[Json]) -> dict[str, int]:
    """Return what is in use of the nodes' memory in bytes, by name."""
    return {one["metadata"]["name"]: _bytes(one["usage"]["memory"]) for one in metrics}


def selector(label_selector: Json) -> str:
    """Return a label selector in the form that a list request takes."""
    parts = [f"{key}={value}" for key, value in label_selector.get("matchLabels", {}).items()]
    for rule in label_selector.get("matchExpressions", []):
        key, values = rule["key"], ",".join(rule.get("values", []))
        match rule["operator"]:
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts)


def _template(spec: Json) -> PodTemplate:
    sidecars = filter(_is_sidecar, spec.get("initContainers", []))
    limits = [
        each.get("resources", {}).get("limits", {}).get("memory")
        for each in (*spec["containers"], *sidecars)
    ]
    return PodTemplate(
        memory_request=_requested(spec, "memory"),
        cpu_request=_requested(spec, "cpu"),
        # A pod is only bounded if every container in it is.
        memory_limit=sum(map(_bytes, limits)) if all(limits) else None,
        node_selector=spec.get("nodeSelector", {}),
        tolerations=tuple(map(_toleration, spec.get("tolerations", []))),
    )


def _toleration(spec: Json) -> Toleration:
    key, value, effect = (spec.get(name, "") for name in ("key", "value", "effect"))
    return Toleration(key, spec.get("operator", "Equal"), value, effect)


def _pod(pod: Json) -> Pod:
    status = pod.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    ready, scheduled = conditions.get("Ready", {}), conditions.get("PodScheduled", {})
    is_ready = ready.get("status") == "True"
    has_no_room = scheduled.get("reason") == "Unschedulable"
    return Pod(
        name=pod["metadata"]["name"],
        node=pod["spec"].get("nodeName"),
        ready=is_ready,
        created_at=epoch(pod["metadata"]["creationTimestamp"]),
        ready_at=epoch(ready["lastTransitionTime"]) if is_ready else None,
        unschedulable=scheduled.get("message", "no node has room") if has_no_room else None,
        oom_killed_at=max(_oom_kills(status), default=None),
        restarted_at=tuple(_probe_restarts(pod)),
    )


def _oom_kills(status: Json) -> list[float]:
    ends = [
        state["terminated"]
        for kind in ("initContainerStatuses", "containerStatuses")
        for each in status.get(kind, [])
        for state in (each.get("state", {}), each.get("lastState", {}))
        if "terminated" in state
    ]
    return [epoch(end["finishedAt"]) for end in ends if end.get("reason") == OOM_KILLED]


def _probe_restarts(pod: Json) -> list[float]:
    """Return when containers with a liveness probe were last stopped, and started again."""
    probed = {one["name"] for one in pod["spec"]["containers"] if "livenessProbe" in one}
    ends = [
        each.get("lastState", {}).get("terminated")
        for each in pod.get("status", {}).get("containerStatuses", [])
        if each["name"] in probed
    ]
    return [
        epoch(end["finishedAt"])
        for end in ends
        if end and end.get("reason") != OOM_KILLED and end["exitCode"] in STOPPED_CODES
    ]


def _requested(spec: Json, resource: str) -> int:
    """Return what the scheduler sets aside for a pod: bytes of memory, millicores of CPU.

    Containers run together with the sidecars among the init containers. The other init containers
    run one after the other before them, each beside the sidecars that are listed before it.
    """
    parse = _bytes if resource == "memory" else _millicores

    def asked(container: Json) -> int:
        resources = container.get("resources", {})
        # The API server fills in a pod's missing requests from its limits, but not a template's.
        limit = resources.get("limits", {}).get(resource, "0")
        return parse(resources.get("requests", {}).get(resource, limit))

    sidecars = most_before = 0
    for each in spec.get("initContainers", []):
        if _is_sidecar(each):
            sidecars += asked(each)
        else:
            most_before = max(most_before, sidecars + asked(each))
    together = sidecars + sum(map(asked, spec["containers"]))
    return max(together, most_before) + parse(spec.get("overhead", {}).get(resource, "0"))


def _is_sidecar(init_container: Json) -> bool:
    return bool(init_container.get("restartPolicy") == "Always")


def _bytes(quantity: str) -> int:
    return int(_quantity(quantity))


@lru_cache(maxsize=4096)
def _quantity(text: str) -> Decimal:
    """Parse a quantity; a cluster has few different ones."""
    found: Decimal = parse_quantity(text)
    return found


def _millicores(quantity: str) -> int:
    return int(_quantity(quantity) * 1000)
