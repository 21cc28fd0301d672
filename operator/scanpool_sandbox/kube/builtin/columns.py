"""The columns `kubectl get` shows for built-in kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scanpool_sandbox.kube.ages import age
from scanpool_sandbox.kube.objects import Obj, find_condition
from scanpool_sandbox.kube.selectors import selector_text

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Column:
    """One column; priority 1 shows with `-o wide` only."""

    name: str
    cell: Callable[[Obj], Any]
    type: str = "string"
    priority: int = 0
    format: str = ""
    description: str = ""

    def definition(self) -> Obj:
        """Build the entry of columnDefinitions."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description or self.name,
            "priority": self.priority,
        }


def _path(*names: str, default: Any = "<none>") -> Callable[[Obj], Any]:
    def cell(obj: Obj) -> Any:
        value: Any = obj
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return default if value is None else value

    return cell


def _count(*names: str) -> Callable[[Obj], int]:
    value = _path(*names, default=())
    return lambda obj: len(value(obj))


def _age(obj: Obj) -> str:
    return age(obj["metadata"].get("creationTimestamp"))


def _pod_ready(pod: Obj) -> str:
    statuses = pod.get("status", {}).get("containerStatuses") or []
    ready = sum(bool(status.get("ready")) for status in statuses)
    return f"{ready}/{len(pod['spec'].get('containers') or [])}"


def pod_phase(pod: Obj) -> str:
    """Summarize a pod in a word, as kubectl does: Running, CrashLoopBackOff, Terminating..."""
    status = pod.get("status", {})
    text = str(status.get("reason") or status.get("phase") or "Unknown")
    for container in status.get("containerStatuses") or []:
        state = container.get("state") or {}
        if reason := (state.get("waiting") or {}).get("reason"):
            text = reason
        elif ended := state.get("terminated"):
            text = ended.get("reason") or f"ExitCode:{ended.get('exitCode')}"
    return "Terminating" if pod["metadata"].get("deletionTimestamp") else text


def _restarts(pod: Obj) -> str:
    statuses = pod.get("status", {}).get("containerStatuses") or []
    count = sum(status.get("restartCount", 0) for status in statuses)
    ended = [
        finished
        for status in statuses
        if (finished := (status.get("lastState") or {}).get("terminated", {}).get("finishedAt"))
    ]
    return f"{count} ({age(max(ended))} ago)" if count and ended else str(count)


def _node_status(node: Obj) -> str:
    ready = find_condition(node, "Ready")
    text = "Ready" if ready and ready["status"] == "True" else "NotReady"
    return text + (",SchedulingDisabled" if node["spec"].get("unschedulable") else "")


def _node_roles(node: Obj) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = node["metadata"].get("labels") or {}
    roles = sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix))
    return ",".join(roles) or "<none>"


def _node_address(node: Obj) -> str:
    addresses = node.get("status", {}).get("addresses") or []
    found = (a["address"] for a in addresses if a.get("type") == "InternalIP")
    return next(found, "<none>")


def _ready_of_wanted(workload: Obj) -> str:
    ready = workload.get("status", {}).get("readyReplicas", 0)
    return f"{ready}/{workload['spec'].get('replicas', 0)}"


def _images(workload: Obj) -> str:
    return ",".join(c.get("image", "") for c in workload["spec"]["template"]["spec"]["containers"])


def _container_names(workload: Obj) -> str:
    return ",".join(c.get("name", "") for c in workload["spec"]["template"]["spec"]["containers"])


def _selector(workload: Obj) -> str:
    return selector_text(workload["spec"].get("selector")) or "<none>"


def _service_selector(service: Obj) -> str:
    labels = service["spec"].get("selector") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"


def _service_ports(service: Obj) -> str:
    ports = service["spec"].get("ports") or []
    return ",".join(f"{p.get('port')}/{p.get('protocol')}" for p in ports) or "<none>"


def _event_object(event: Obj) -> str:
    about = event.get("involvedObject") or event.get("regarding") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _event_last_seen(event: Obj) -> str:
    times = ("lastTimestamp", "deprecatedLastTimestamp", "eventTime", "firstTimestamp")
    return age(next((event[name] for name in times if event.get(name)), None))


def _event_source(event: Obj) -> str:
    source = event.get("source") or event.get("deprecatedSource") or {}
    return str(source.get("component") or event.get("reportingComponent") or "")


def _role_reference(binding: Obj) -> str:
    return f"{binding['roleRef'].get('kind')}/{binding['roleRef'].get('name')}"


_AGE = Column("Age", _age)
_CREATED = Column("Created At", _path("metadata", "creationTimestamp"), format="date-time")
_WORKLOAD_WIDE = (
    Column("Containers", _container_names, priority=1),
    Column("Images", _images, priority=1),
    Column("Selector", _selector, priority=1),
)

_COLUMNS: dict[str, tuple[Column, ...]] = {
    "Namespace": (Column("Status", _path("status", "phase")), _AGE),
    "Node": (
        Column("Status", _node_status),
        Column("Roles", _node_roles),
        _AGE,
        Column("Version", _path("status", "nodeInfo", "kubeletVersion")),
        Column("Internal-IP", _node_address, priority=1),
    ),
    "Pod": (
        Column("Ready", _pod_ready),
        Column("Status", pod_phase),
        Column("Restarts", _restarts),
        _AGE,
        Column("IP", _path("status", "podIP"), priority=1),
        Column("Node", _path("spec", "nodeName"), priority=1),
        Column("Nominated Node", _path("status", "nominatedNodeName"), priority=1),
        Column("Readiness Gates", lambda _: "<none>", priority=1),
    ),
    "Deployment": (
        Column("Ready", _ready_of_wanted),
        Column("Up-to-date", _path("status", "updatedReplicas", default=0), "integer"),
        Column("Available", _path("status", "availableReplicas", default=0), "integer"),
        _AGE,
        *_WORKLOAD_WIDE,
    ),
    "ReplicaSet": (
        Column("Desired", _path("spec", "replicas", default=0), "integer"),
        Column("Current", _path("status", "replicas", default=0), "integer"),
        Column("Ready", _path("status", "readyReplicas", default=0), "integer"),
        _AGE,
        *_WORKLOAD_WIDE,
    ),
    "StatefulSet": (Column("Ready", _ready_of_wanted), _AGE, *_WORKLOAD_WIDE[:2]),
    "Service": (
        Column("Type", _path("spec", "type")),
        Column("Cluster-IP", _path("spec", "clusterIP")),
        Column("External-IP", lambda _: "<none>"),
        Column("Port(s)", _service_ports),
        _AGE,
        Column("Selector", _service_selector, priority=1),
    ),
    "Secret": (Column("Type", _path("type")), Column("Data", _count("data"), "integer"), _AGE),
    "ConfigMap": (Column("Data", _count("data"), "integer"), _AGE),
    "ServiceAccount": (Column("Secrets", _count("secrets"), "integer"), _AGE),
    "Event": (
        Column("Last Seen", _event_last_seen),
        Column("Type", _path("type", default="")),
        Column("Reason", _path("reason", default="")),
        Column("Object", _event_object),
        Column("Subobject", _path("involvedObject", "fieldPath", default=""), priority=1),
        Column("Source", _event_source, priority=1),
        Column("Message", lambda event: event.get("message") or event.get("note") or ""),
    ),
    "Role": (_CREATED,),
    "ClusterRole": (_CREATED,),
    "RoleBinding": (Column("Role", _role_reference), _AGE),
    "ClusterRoleBinding": (Column("Role", _role_reference), _AGE),
    "CustomResourceDefinition": (_CREATED,),
    "Lease": (Column("Holder", _path("spec", "holderIdentity", default="")), _AGE),
    "PodDisruptionBudget": (
        Column("Min Available", _path("spec", "minAvailable", default="N/A")),
        Column("Max Unavailable", _path("spec", "maxUnavailable", default="N/A")),
        Column("Allowed Disruptions", _path("status", "disruptionsAllowed", default=0), "integer"),
        _AGE,
    ),
    "NetworkPolicy": (
        Column("Pod-Selector", lambda p: selector_text(p["spec"].get("podSelector")) or "<none>"),
        _AGE,
    ),
}


def columns_of_kind(kind: str) -> list[Column]:
    """Return the columns of a built-in kind, without the name."""
    return list(_COLUMNS.get(kind, (_AGE,)))
