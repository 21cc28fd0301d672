"""ReplicaSets: as many pods as wanted, and the right ones to go when there are too many."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.controllers.concerned import PODS, Name, controlled, with_pods
from scanpool_sandbox.kube.controllers.events import emit
from scanpool_sandbox.kube.objects import (
    Obj,
    copied,
    find_condition,
    name_of,
    namespace_of,
    owner_reference,
    parse_time,
)
from scanpool_sandbox.kube.writing.metadata import random_suffix

if TYPE_CHECKING:
    from scanpool_sandbox.kube.api import Api
    from scanpool_sandbox.kube.controllers.loop import Controller
    from scanpool_sandbox.kube.resources import Key

_SETS: Key = ("apps", "replicasets")
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_COMPONENT = "replicaset-controller"


def is_ready(pod: Obj) -> bool:
    """Tell whether a pod's Ready condition is true."""
    return (find_condition(pod, "Ready") or {}).get("status") == "True"


def is_available(pod: Obj, min_ready_seconds: float) -> bool:
    """Tell whether a pod has been ready for long enough."""
    return is_ready(pod) and _ready_seconds(pod) >= min_ready_seconds


def _ready_seconds(pod: Obj) -> float:
    since = parse_time((find_condition(pod, "Ready") or {})["lastTransitionTime"])
    return (datetime.now(UTC) - since).total_seconds()


def next_available_seconds(pods: list[Obj], min_ready_seconds: float) -> float | None:
    """Return in how many seconds the next of the ready pods is so for long enough."""
    left = (min_ready_seconds - _ready_seconds(pod) for pod in pods if is_ready(pod))
    return min((seconds for seconds in left if seconds > 0), default=None)


def is_active(pod: Obj) -> bool:
    """Tell whether a pod counts as a replica."""
    finished = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return not finished and not pod["metadata"].get("deletionTimestamp")


def deletion_order(pod: Obj) -> tuple[object, ...]:
    """Rank a pod for scale-down; the lowest goes first.

    Not scheduled, then pending, then not ready, then the lowest deletion cost, then the one that
    restarted most, then the youngest.
    """
    annotations = pod["metadata"].get("annotations") or {}
    try:
        cost = int(annotations.get(DELETION_COST, "0"))
    except ValueError:
        cost = 0
    statuses = pod.get("status", {}).get("containerStatuses") or []
    created = parse_time(pod["metadata"]["creationTimestamp"])
    return (
        bool(pod["spec"].get("nodeName")),
        pod.get("status", {}).get("phase") == "Running",
        is_ready(pod),
        cost,
        -sum(status.get("restartCount", 0) for status in statuses),
        -created.timestamp(),
        -int(pod["metadata"]["resourceVersion"]),
    )


def replica_sets(api: Api) -> Controller[Name]:
    """Look after ReplicaSets: after themselves and their pods."""
    return with_pods(api, _SETS, "ReplicaSet", reconcile_replica_set)


def reconcile_replica_set(api: Api, name: Name) -> float | None:
    """Create and delete pods, and report how many there are."""
    replica_set = api.store.get(_SETS, *name)
    if replica_set is None:
        return None
    active = [pod for pod in controlled(api.store, replica_set, PODS) if is_active(pod)]
    if not replica_set["metadata"].get("deletionTimestamp"):
        _scale(api, replica_set, active)
    status = _status(replica_set, active)
    api.set_status(api.resource("replicasets", "apps"), replica_set, status)
    return next_available_seconds(active, replica_set["spec"].get("minReadySeconds", 0))


def _scale(api: Api, replica_set: Obj, active: list[Obj]) -> None:
    surplus = len(active) - replica_set["spec"]["replicas"]
    pods = api.resource("pods")
    for _ in range(-surplus):
        pod = api.create(pods, namespace_of(replica_set), _new_pod(replica_set))
        message = f"Created pod: {name_of(pod)}"
        emit(api, replica_set, "Normal", "SuccessfulCreate", message, _COMPONENT)
    for pod in sorted(active, key=deletion_order)[: max(0, surplus)]:
        api.delete_if_there(pods, pod)
        message = f"Deleted pod: {name_of(pod)}"
        emit(api, replica_set, "Normal", "SuccessfulDelete", message, _COMPONENT)


def _new_pod(replica_set: Obj) -> Obj:
    template = copied(replica_set["spec"]["template"])
    metadata = {
        field: template["metadata"][field]
        for field in ("labels", "annotations", "finalizers")
        if template["metadata"].get(field)
    }
    prefix = f"{name_of(replica_set)}-"
    return {
        "metadata": {
            **metadata,
            "name": prefix + random_suffix(),
            "generateName": prefix,
            "ownerReferences": [owner_reference(replica_set)],
        },
        "spec": template["spec"],
    }


def _status(replica_set: Obj, active: list[Obj]) -> Obj:
    patience = replica_set["spec"].get("minReadySeconds", 0)
    counts = {
        "fullyLabeledReplicas": len(active),
        "readyReplicas": sum(map(is_ready, active)),
        "availableReplicas": sum(is_available(pod, patience) for pod in active),
    }
    return {
        "replicas": len(active),
        **{name: count for name, count in counts.items() if count},
        "observedGeneration": replica_set["metadata"]["generation"],
    }
