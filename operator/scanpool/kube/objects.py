"""Kubernetes objects, as the API server sends them, to what a decision needs of them. Pure.

Memory is in bytes, CPU in millicores, times in seconds since the epoch.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kubernetes.utils.quantity import parse_quantity

from scanpool.models.observation import Node, Pod, PodTemplate, Taint, Target, Toleration
from scanpool.models.units import epoch

Json = Mapping[str, Any]

# A Deployment without the field runs one replica.
DEFAULT_REPLICAS = 1
FINISHED = frozenset({"Succeeded", "Failed"})


class SecretText(NamedTuple):
    """One key of a Secret; `version` is another one after every write of the Secret."""

    text: str
    version: str


def target(deployment: Json, pods: Iterable[Json], metrics: Iterable[Json]) -> Target:
    """Return the Deployment with its pods that are not going away, and their working sets."""
    used = {
        one["metadata"]["name"]: sum(_bytes(each["usage"]["memory"]) for each in one["containers"])
        for one in metrics
    }
    return Target(
        uid=deployment["metadata"]["uid"],
        replicas=deployment["spec"].get("replicas", DEFAULT_REPLICAS),
        selector=selector(deployment["spec"]["selector"]),
        template=_template(deployment["spec"]["template"]["spec"]),
        pods=tuple(_pod(one, used) for one in pods if _stays(one)),
    )


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


def nodes(
    listed: Iterable[Json], pods: Iterable[Json], metrics: Iterable[Json]
) -> tuple[Node, ...]:
    """Return the nodes with what all pods on them request, and their use where metrics show it."""
    running: defaultdict[str, list[Json]] = defaultdict(list)
    for pod in pods:
        if pod.get("status", {}).get("phase") not in FINISHED:
            running[pod["spec"].get("nodeName", "")].append(pod["spec"])
    used = {one["metadata"]["name"]: _bytes(one["usage"]["memory"]) for one in metrics}
    return tuple(_node(one, running[one["metadata"]["name"]], used) for one in listed)


def _node(one: Json, running: Sequence[Json], used: Mapping[str, int]) -> Node:
    name = one["metadata"]["name"]
    status, spec = one.get("status", {}), one.get("spec", {})
    allocatable = status.get("allocatable", {})
    conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}
    return Node(
        name=name,
        memory_allocatable=_bytes(allocatable.get("memory", "0")),
        cpu_allocatable=_millicores(allocatable.get("cpu", "0")),
        pods_allocatable=int(parse_quantity(allocatable.get("pods", "0"))),
        memory_requested=sum(_requested(pod, "memory") for pod in running),
        cpu_requested=sum(_requested(pod, "cpu") for pod in running),
        pods_running=len(running),
        ready=conditions.get("Ready") == "True",
        schedulable=not spec.get("unschedulable", False),
        memory_pressure=conditions.get("MemoryPressure") == "True",
        memory_used=used.get(name),
        labels=one["metadata"].get("labels", {}),
        taints=tuple(
            Taint(each["key"], each.get("value", ""), each["effect"])
            for each in spec.get("taints", [])
        ),
    )


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


def _stays(pod: Json) -> bool:
    return (
        "deletionTimestamp" not in pod["metadata"]
        and pod.get("status", {}).get("phase") not in FINISHED
    )


def _pod(pod: Json, used: Mapping[str, int]) -> Pod:
    name = pod["metadata"]["name"]
    status = pod.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    ready, scheduled = conditions.get("Ready", {}), conditions.get("PodScheduled", {})
    is_ready = ready.get("status") == "True"
    has_no_room = scheduled.get("reason") == "Unschedulable"
    return Pod(
        name=name,
        node=pod["spec"].get("nodeName"),
        ready=is_ready,
        created_at=epoch(pod["metadata"]["creationTimestamp"]),
        ready_at=epoch(ready["lastTransitionTime"]) if is_ready else None,
        unschedulable=scheduled.get("message", "no node has room") if has_no_room else None,
        oom_killed_at=max(_oom_kills(status), default=None),
        memory_used=used.get(name),
    )


def _oom_kills(status: Json) -> list[float]:
    ends = [
        state["terminated"]
        for kind in ("initContainerStatuses", "containerStatuses")
        for each in status.get(kind, [])
        for state in (each.get("state", {}), each.get("lastState", {}))
        if "terminated" in state
    ]
    return [epoch(end["finishedAt"]) for end in ends if end.get("reason") == "OOMKilled"]


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
    return int(parse_quantity(quantity))


def _millicores(quantity: str) -> int:
    return int(parse_quantity(quantity) * 1000)
