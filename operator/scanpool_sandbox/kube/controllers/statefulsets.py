"""StatefulSets: pods with numbers; the highest goes first, and the lowest comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanpool_sandbox.kube.controllers.concerned import PODS, Name, controlled, with_pods
from scanpool_sandbox.kube.controllers.deployments import template_hash
from scanpool_sandbox.kube.controllers.events import emit
from scanpool_sandbox.kube.controllers.replicasets import (
    is_available,
    is_ready,
    next_available_seconds,
)
from scanpool_sandbox.kube.objects import (
    Obj,
    copied,
    name_of,
    namespace_of,
    owner_reference,
)

if TYPE_CHECKING:
    from scanpool_sandbox.kube.api import Api
    from scanpool_sandbox.kube.controllers.loop import Controller
    from scanpool_sandbox.kube.resources import Key

_SETS: Key = ("apps", "statefulsets")
REVISION_LABEL = "controller-revision-hash"
NUMBER_LABEL = "apps.kubernetes.io/pod-index"
NAME_LABEL = "statefulset.kubernetes.io/pod-name"
_COMPONENT = "statefulset-controller"


def stateful_sets(api: Api) -> Controller[Name]:
    """Look after StatefulSets: after themselves and their pods."""
    return with_pods(api, _SETS, "StatefulSet", reconcile_stateful_set)


def reconcile_stateful_set(api: Api, name: Name) -> float | None:
    """Bring a StatefulSet's pods a step closer to its replicas and template."""
    stateful_set = api.store.get(_SETS, *name)
    if stateful_set is None:
        return None
    pods = sorted(controlled(api.store, stateful_set, PODS), key=_number)
    if not stateful_set["metadata"].get("deletionTimestamp"):
        _step(api, stateful_set, pods)
    status = _status(stateful_set, pods)
    api.set_status(api.resource("statefulsets", "apps"), stateful_set, status)
    return next_available_seconds(pods, stateful_set["spec"].get("minReadySeconds", 0))


def _number(pod: Obj) -> int:
    return int(pod["metadata"]["labels"][NUMBER_LABEL])


def _is_leaving(pod: Obj) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _step(api: Api, stateful_set: Obj, pods: list[Obj]) -> None:
    """Create, take away or renew; one at a time, unless the pods are managed in parallel."""
    spec = stateful_set["spec"]
    there = {_number(pod): pod for pod in pods}
    missing = [one for one in range(spec["replicas"]) if one not in there]
    surplus = [pod for one, pod in there.items() if one >= spec["replicas"]][::-1]
    if spec["podManagementPolicy"] == "OrderedReady":
        is_settled = all(is_ready(pod) and not _is_leaving(pod) for pod in pods)
        missing, surplus = missing[: int(is_settled)], surplus[:1]
        if any(map(_is_leaving, pods)):
            return
    for number in missing:
        pod = api.create(
            api.resource("pods"), namespace_of(stateful_set), _pod(stateful_set, number)
        )
        _tell(api, stateful_set, "SuccessfulCreate", "create", pod)
    for pod in surplus:
        _remove(api, stateful_set, pod)
    if missing or surplus or not all(map(is_ready, pods)):
        return
    if spec["updateStrategy"]["type"] == "RollingUpdate":
        wanted = template_hash(spec["template"])
        for pod in [one for one in pods if one["metadata"]["labels"][REVISION_LABEL] != wanted][
            -1:
        ]:
            _remove(api, stateful_set, pod)


def _remove(api: Api, stateful_set: Obj, pod: Obj) -> None:
    if not _is_leaving(pod):
        api.delete_if_there(api.resource("pods"), pod)
        _tell(api, stateful_set, "SuccessfulDelete", "delete", pod)


def _tell(api: Api, stateful_set: Obj, reason: str, verb: str, pod: Obj) -> None:
    told = f"{verb} Pod {name_of(pod)} in StatefulSet {name_of(stateful_set)} successful"
    emit(api, stateful_set, "Normal", reason, told, _COMPONENT)


def _pod(stateful_set: Obj, number: int) -> Obj:
    template = copied(stateful_set["spec"]["template"])
    name = f"{name_of(stateful_set)}-{number}"
    metadata = {
        field: template["metadata"][field]
        for field in ("labels", "annotations", "finalizers")
        if template["metadata"].get(field)
    }
    metadata.setdefault("labels", {}).update(
        {
            REVISION_LABEL: template_hash(stateful_set["spec"]["template"]),
            NUMBER_LABEL: str(number),
            NAME_LABEL: name,
        }
    )
    return {
        "metadata": {**metadata, "name": name, "ownerReferences": [owner_reference(stateful_set)]},
        "spec": {**template["spec"], "hostname": name},
    }


def _status(stateful_set: Obj, pods: list[Obj]) -> Obj:
    spec = stateful_set["spec"]
    wanted, patience = template_hash(spec["template"]), spec.get("minReadySeconds", 0)
    counts = {
        "readyReplicas": sum(map(is_ready, pods)),
        "updatedReplicas": sum(one["metadata"]["labels"][REVISION_LABEL] == wanted for one in pods),
    }
    return {
        "replicas": len(pods),
        "availableReplicas": sum(is_available(pod, patience) for pod in pods),
        **{name: count for name, count in counts.items() if count},
        "observedGeneration": stateful_set["metadata"]["generation"],
    }
