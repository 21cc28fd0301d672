"""ReplicaSets: as many pods as wanted, and the right ones to go when there are too many."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.controllers.events import emit
from scanpool_sandbox.kube.objects import (
    Obj,
    controller_of,
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

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_COMPONENT = "replicaset-controller"


def is_ready(pod: Obj) -> bool:
    """Tell whether a pod's Ready condition is true."""
    return (find_condition(pod, "Ready") or {}).get("status") == "True"


def is_available(pod: Obj, min_ready_seconds: float) -> bool:
    """Tell whether a pod has been ready for long enough."""
    ready = find_condition(pod, "Ready")
    if ready is None or ready["status"] != "True":
        return False
    since = parse_time(ready["lastTransitionTime"])
    return datetime.now(UTC) - since >= timedelta(seconds=min_ready_seconds)


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


def reconcile_replica_sets(api: Api) -> None:
    """Create and delete pods, and report how many there are."""
    resource = api.resource("replicasets", "apps")
    mine: defaultdict[str, list[Obj]] = defaultdict(list)
    for pod in api.store.items(("", "pods")):
        mine[controller_of(pod)].append(pod)
    for replica_set in api.store.items(resource.key):
        active = [pod for pod in mine[replica_set["metadata"]["uid"]] if is_active(pod)]
        if not replica_set["metadata"].get("deletionTimestamp"):
            _scale(api, replica_set, active)
        api.set_status(resource, replica_set, _status(replica_set, active))


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
