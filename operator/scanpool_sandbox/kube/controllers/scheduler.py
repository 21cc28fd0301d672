"""The scheduler: a node for each pod, or the reason why there is none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.controllers.events import emit
from scanpool_sandbox.kube.controllers.loop import Controller
from scanpool_sandbox.kube.controllers.nodes import NODES, NOT_READY, UNSCHEDULABLE
from scanpool_sandbox.kube.objects import (
    Obj,
    copied,
    find_condition,
    name_of,
    namespace_of,
    set_condition,
)
from scanpool_sandbox.kube.quantities import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scanpool_sandbox.kube.api import Api
    from scanpool_sandbox.kube.resources import Key
    from scanpool_sandbox.kube.store import Change

_PODS: Key = ("", "pods")
_ALL = "all pods"
"""One thing to look after: which pod gets the room is decided between all that wait."""
_COMPONENT = "default-scheduler"
_RESOURCES = ("cpu", "memory")
_FINISHED = ("Succeeded", "Failed")


def requested(pod: Obj) -> dict[str, Decimal]:
    """Sum what a pod's containers request, in cores and bytes."""
    total = dict.fromkeys(_RESOURCES, Decimal(0))
    for container in pod["spec"].get("containers") or []:
        requests = (container.get("resources") or {}).get("requests") or {}
        for name in _RESOURCES:
            total[name] += parse_quantity(requests.get(name, "0"))
    return total


def scheduler(api: Api) -> Controller[str]:
    """Look after pods that wait: when one comes, and when there may be room."""
    return Controller(
        {_PODS: _waits_or_made_room, NODES: lambda _change: (_ALL,)},
        lambda: (_ALL,),
        lambda _all: schedule(api),
    )


def _waits_or_made_room(change: Change) -> Iterable[str]:
    is_gone = change.type == "DELETED" or _is_finished(change.object)
    return (_ALL,) if is_gone or _is_waiting(change.object) else ()


def _is_waiting(pod: Obj) -> bool:
    return not pod["spec"].get("nodeName") and not pod["metadata"].get("deletionTimestamp")


def _is_finished(pod: Obj) -> bool:
    return pod.get("status", {}).get("phase") in _FINISHED


def schedule(api: Api) -> None:
    """Bind every pending pod that fits somewhere, oldest first."""
    pods = api.store.items(_PODS)
    waiting = list(filter(_is_waiting, pods))
    if not waiting:
        return
    nodes = api.store.items(NODES)
    used = {name_of(node): _Used() for node in nodes}
    for pod in pods:
        node = pod["spec"].get("nodeName")
        if node in used and not _is_finished(pod):
            used[node].add(pod)
    for pod in sorted(waiting, key=lambda p: int(p["metadata"]["resourceVersion"])):
        reasons = {name_of(node): _obstacle(pod, node, used[name_of(node)]) for node in nodes}
        fitting = [node for node in nodes if not reasons[name_of(node)]]
        if not fitting:
            _report(api, pod, [reason for reason in reasons.values() if reason])
            continue
        best = name_of(min(fitting, key=lambda node: _load(node, used[name_of(node)])))
        used[best].add(pod)
        _bind(api, pod, best)


@dataclass
class _Used:
    """What the pods of a node take together, in cores and bytes."""

    pods: int = 0
    total: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(_RESOURCES, Decimal(0)))

    def add(self, pod: Obj) -> None:
        self.pods += 1
        for name, amount in requested(pod).items():
            self.total[name] += amount


def _obstacle(pod: Obj, node: Obj, used: _Used) -> str | None:
    """Say why a pod cannot go to a node, in the scheduler's words; None if it can."""
    return _refusal(pod["spec"], node) or _shortage(pod, node, used)


def _refusal(spec: Obj, node: Obj) -> str | None:
    taint = _untolerated_taint(spec, node)
    if taint and taint["key"] == UNSCHEDULABLE:
        return "node(s) were unschedulable"
    if taint is None and (find_condition(node, "Ready") or {}).get("status") != "True":
        taint = {"key": NOT_READY}
    if taint:
        return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    labels = node["metadata"].get("labels") or {}
    selector = spec.get("nodeSelector") or {}
    selected = all(labels.get(key) == value for key, value in selector.items())
    if not (selected and _matches_affinity(spec, labels)):
        return "node(s) didn't match Pod's node affinity/selector"
    return None


def _shortage(pod: Obj, node: Obj, used: _Used) -> str | None:
    allocatable = node.get("status", {}).get("allocatable") or {}
    if used.pods >= int(allocatable.get("pods", "110")):
        return "Too many pods"
    mine = requested(pod)
    for name in _RESOURCES:
        free = parse_quantity(allocatable.get(name, "0")) - used.total[name]
        if mine[name] > free:
            return f"Insufficient {name}"
    return None


def _untolerated_taint(spec: Obj, node: Obj) -> Obj | None:
    for taint in node["spec"].get("taints") or []:
        if taint["effect"] not in ("NoSchedule", "NoExecute"):
            continue
        if not any(_tolerates(t, taint) for t in spec.get("tolerations") or []):
            return dict(taint)
    return None


def _tolerates(toleration: Obj, taint: Obj) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")


def _matches_affinity(spec: Obj, labels: dict[str, str]) -> bool:
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if not required:
        return True
    return any(
        all(_holds(expression, labels) for expression in term.get("matchExpressions") or [])
        for term in required.get("nodeSelectorTerms") or []
    )


def _holds(expression: Obj, labels: dict[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    return bool(
        {
            "In": key in labels and labels[key] in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }.get(expression["operator"], False)
    )


def _load(node: Obj, used: _Used) -> Decimal:
    """Measure how full a node is: the mean share of CPU and memory requested."""
    allocatable = node["status"]["allocatable"]
    shares = [used.total[name] / (parse_quantity(allocatable[name]) or 1) for name in _RESOURCES]
    return sum(shares, Decimal(0)) / len(shares)


def _report(api: Api, pod: Obj, reasons: list[str]) -> None:
    counted = sorted(f"{count} {reason}" for reason, count in Counter(reasons).items())
    message = f"0/{len(reasons)} nodes are available: {', '.join(counted)}."
    if not reasons:
        message = "no nodes available to schedule pods"
    before = find_condition(pod, "PodScheduled") or {}
    if before.get("message") == message:
        return
    changed = copied(pod)
    set_condition(changed, "PodScheduled", "False", "Unschedulable", message)
    api.set_status(api.resource("pods"), pod, changed["status"])
    emit(api, pod, "Warning", "FailedScheduling", message, _COMPONENT)


def _bind(api: Api, pod: Obj, node: str) -> None:
    pods = api.resource("pods")
    bound = copied(pod)
    bound["spec"]["nodeName"] = node
    set_condition(bound, "PodScheduled", "True", "", "")
    scheduled = find_condition(bound, "PodScheduled") or {}
    for told in ("reason", "message"):
        scheduled.pop(told, None)
    stored = api.bind(pods, pod, bound)
    message = f"Successfully assigned {namespace_of(pod)}/{name_of(pod)} to {node}"
    emit(api, stored, "Normal", "Scheduled", message, _COMPONENT)
