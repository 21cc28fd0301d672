"""Kubernetes objects, as the API server sends them, to what a decision needs of them. Pure.

Memory is in bytes, CPU in millicores, times in seconds since the epoch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any

from scanpool.kube.managers import writers
from scanpool.kube.placement import asked, extended, host_ports, placement
from scanpool.kube.quantities import amounts, quantity
from scanpool.kube.stopping import stopping
from scanpool.models import label_selector
from scanpool.models.deliveries import DELETION_COST
from scanpool.models.label_selector import LabelSelector
from scanpool.models.observation import Node, Pod, PodTemplate, Taint, Toleration
from scanpool.models.placement import HostPort
from scanpool.models.rivals import Writer
from scanpool.models.units import epoch

Json = Mapping[str, Any]

# Workloads of apps/v1 without the field run one replica.
DEFAULT_REPLICAS = 1
FINISHED = frozenset({"Succeeded", "Failed"})
# A worker that is told to stop ends well, or by SIGTERM (128 + 15), or after its grace by SIGKILL.
# Of a pod that stays only the kubelet tells it, when a probe fails.
STOPPED_CODES = frozenset({0, 143, 137})
OOM_KILLED = "OOMKilled"
# Of the controllers of Kubernetes only theirs heeds a deletion cost.
REPLICA_SET = "ReplicaSet"


@dataclass(frozen=True, slots=True)
class Workload:
    """What is kept of what pools scale. Its pods have the labels `must`: by them they are found.

    `template` is None where the object has none.
    """

    namespace: str
    name: str
    uid: str
    replicas: int
    selector: str
    must: tuple[tuple[str, str], ...]
    rules: LabelSelector
    template: PodTemplate | None
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
    extended_requested: Mapping[str, int]
    ports: tuple[HostPort, ...] = ()

    @property
    def asked(self) -> Mapping[str, int]:
        """All that the scheduler has set aside for it."""
        plain = {"memory": self.memory_requested, "cpu": self.cpu_requested}
        return {**self.extended_requested, **plain}


def workload(obj: Json) -> Workload:
    """Return what is kept of a Deployment, or of another workload of apps/v1."""
    metadata, spec = obj["metadata"], obj["spec"]
    return Workload(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        replicas=spec.get("replicas", DEFAULT_REPLICAS),
        selector=selector(spec["selector"]),
        must=tuple(spec["selector"].get("matchLabels", {}).items()),
        rules=label_selector.of_object(spec["selector"]),
        template=pod_template(metadata["namespace"], spec["template"]),
        writers=writers(obj),
    )


def placed(pod: Json) -> Placed:
    """Return what is kept of a pod."""
    metadata = pod["metadata"]
    is_finished = pod.get("status", {}).get("phase") in FINISHED
    is_leaving = "deletionTimestamp" in metadata
    requested = asked(pod["spec"])
    return Placed(
        namespace=metadata["namespace"],
        pod=_pod(pod),
        # The same few words in thousands of pods.
        labels={intern(key): intern(value) for key, value in metadata.get("labels", {}).items()},
        stays=not is_leaving and not is_finished,
        drains=is_leaving and not is_finished,
        room=bool(pod["spec"].get("nodeName")) and not is_finished,
        memory_requested=requested.get("memory", 0),
        cpu_requested=requested.get("cpu", 0),
        extended_requested=extended(requested),
        ports=host_ports(pod["spec"]),
    )


def node(one: Json) -> Node:
    """Return a node, with nothing on it."""
    status, spec = one.get("status", {}), one.get("spec", {})
    allocatable = amounts(status.get("allocatable"))
    conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}
    return Node(
        name=one["metadata"]["name"],
        memory_allocatable=allocatable.get("memory", 0),
        cpu_allocatable=allocatable.get("cpu", 0),
        pods_allocatable=allocatable.get("pods", 0),
        memory_requested=0,
        cpu_requested=0,
        pods_running=0,
        ready=conditions.get("Ready") == "True",
        schedulable=not spec.get("unschedulable", False),
        memory_pressure=conditions.get("MemoryPressure") == "True",
        extended_free=extended(allocatable),
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


def pod_template(namespace: str, template: Json) -> PodTemplate:
    """Return what the scheduler needs of one more pod of a template, or like a pod."""
    spec, rules = template["spec"], placement(namespace, template)
    limits = [
        each.limits.get("memory")
        for each in rules.containers
        if not each.is_init or each.is_sidecar
    ]
    known = [limit for limit in limits if limit is not None]
    requested, whole = rules.asked, rules.whole.limits.get("memory")
    return PodTemplate(
        memory_request=requested.get("memory", 0),
        cpu_request=requested.get("cpu", 0),
        # A pod is only bounded as a whole, or if every container in it is.
        memory_limit=whole or (sum(known) if len(known) == len(limits) else None),
        node_selector=spec.get("nodeSelector", {}),
        tolerations=tuple(map(_toleration, spec.get("tolerations", []))),
        placement=rules,
        stopping=stopping(template),
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
        address=status.get("podIP"),
        deletion_cost=(pod["metadata"].get("annotations") or {}).get(DELETION_COST),
        goes_by_cost=any(
            owner.get("controller") and owner.get("kind") == REPLICA_SET
            for owner in pod["metadata"].get("ownerReferences") or ()
        ),
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


def _bytes(text: str) -> int:
    return int(quantity(text))
