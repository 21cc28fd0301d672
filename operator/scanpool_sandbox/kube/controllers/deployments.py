"""Deployments: a ReplicaSet per pod template, and the way from one to the next."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.controllers.concerned import (
    Name,
    controlled,
    controllers_of,
    itself,
    names,
)
from scanpool_sandbox.kube.controllers.events import emit
from scanpool_sandbox.kube.controllers.loop import Controller
from scanpool_sandbox.kube.objects import (
    Obj,
    controller_of,
    copied,
    name_of,
    namespace_of,
    owner_reference,
    set_condition,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scanpool_sandbox.kube.api import Api
    from scanpool_sandbox.kube.resources import Key
    from scanpool_sandbox.kube.store import Change, Store

_DEPLOYMENTS: Key = ("apps", "deployments")
_SETS: Key = ("apps", "replicasets")
_PODS: Key = ("", "pods")
HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
_COMPONENT = "deployment-controller"
_HASH_LENGTH = 10


def template_hash(template: Obj) -> str:
    """Name a pod template: equal templates have equal names."""
    canonical = json.dumps(template, sort_keys=True).encode()
    return hashlib.sha256(canonical).hexdigest()[:_HASH_LENGTH]


def resolve_share(value: int | str, total: int, *, round_up: bool) -> int:
    """Turn maxSurge or maxUnavailable, a number or "25%", into replicas."""
    if isinstance(value, str) and value.endswith("%"):
        share = total * int(value.removesuffix("%")) / 100
        return math.ceil(share) if round_up else math.floor(share)
    return int(value)


@dataclass(frozen=True)
class _Budget:
    """How many replicas a rolling update may add and miss."""

    surge: int
    unavailable: int


def _budget(deployment: Obj) -> _Budget:
    spec = deployment["spec"]
    rolling = spec["strategy"].get("rollingUpdate")
    if rolling is None:
        return _Budget(0, 0)
    surge = resolve_share(rolling["maxSurge"], spec["replicas"], round_up=True)
    unavailable = resolve_share(rolling["maxUnavailable"], spec["replicas"], round_up=False)
    return _Budget(surge, unavailable if surge or unavailable else 1)


def deployments(api: Api) -> Controller[Name]:
    """Look after Deployments: after themselves, their ReplicaSets, and the ends of their pods."""
    return Controller(
        {
            _DEPLOYMENTS: itself,
            _SETS: controllers_of("Deployment"),
            _PODS: partial(_that_lost, api.store),
        },
        partial(names, api.store, _DEPLOYMENTS),
        partial(reconcile_deployment, api),
    )


def _that_lost(store: Store, change: Change) -> Iterable[Name]:
    """Name the Deployment that a pod was of: one that recreates its pods waits for their ends."""
    before = change.previous
    if before is None or (
        change.type != "DELETED" and controller_of(before) == controller_of(change.object)
    ):
        return
    for namespace, name in controllers_of("ReplicaSet")(change):
        if replica_set := store.get(_SETS, namespace, name):
            references = replica_set["metadata"].get("ownerReferences") or ()
            yield from ((namespace, one["name"]) for one in references)


def reconcile_deployment(api: Api, name: Name) -> None:
    """Bring a Deployment's ReplicaSets one step closer to its template and replicas."""
    deployment = api.store.get(_DEPLOYMENTS, *name)
    if deployment is None or deployment["metadata"].get("deletionTimestamp"):
        return
    if not deployment["spec"].get("paused"):
        _roll(api, deployment)
    owned = _owned(api, deployment)
    status = _status(deployment, owned, _current(deployment, owned))
    api.set_status(api.resource("deployments", "apps"), deployment, status)


def _owned(api: Api, deployment: Obj) -> list[Obj]:
    return controlled(api.store, deployment, _SETS)


def _current(deployment: Obj, owned: list[Obj]) -> Obj | None:
    wanted = template_hash(deployment["spec"]["template"])
    return next((r for r in owned if r["metadata"]["labels"].get(HASH_LABEL) == wanted), None)


def _revision(obj: Obj) -> int:
    return int((obj["metadata"].get("annotations") or {}).get(REVISION, 0))


def _roll(api: Api, deployment: Obj) -> None:
    owned = _owned(api, deployment)
    current = _current(deployment, owned)
    old = [r for r in owned if r is not current]
    latest = max((_revision(r) for r in owned), default=0)
    if current is None:
        current = _create(api, deployment, latest + 1)
    elif _revision(current) < latest:
        current = _annotate(api, current, latest + 1)
    if _revision(deployment) != _revision(current):
        deployments = api.resource("deployments", "apps")
        deployment = _annotate(api, deployment, _revision(current), deployments.plural)
    if deployment["spec"]["strategy"]["type"] == "Recreate":
        _recreate(api, deployment, current, old)
    else:
        _rolling_update(api, deployment, current, old)
    _forget_old(api, deployment, old)


def _create(api: Api, deployment: Obj, revision: int) -> Obj:
    spec = deployment["spec"]
    suffix = template_hash(spec["template"])
    template = copied(spec["template"])
    template["metadata"].setdefault("labels", {})[HASH_LABEL] = suffix
    selector = copied(spec["selector"])
    selector.setdefault("matchLabels", {})[HASH_LABEL] = suffix
    new = {
        "metadata": {
            "name": f"{name_of(deployment)}-{suffix}",
            "labels": dict(template["metadata"]["labels"]),
            "annotations": {REVISION: str(revision)},
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    }
    if "minReadySeconds" in spec:
        new["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    return api.create(api.resource("replicasets", "apps"), namespace_of(deployment), new)


def _annotate(api: Api, obj: Obj, revision: int, plural: str = "replicasets") -> Obj:
    changed = copied(obj)
    changed["metadata"].setdefault("annotations", {})[REVISION] = str(revision)
    return api.replace(api.resource(plural, "apps"), obj, changed)


def _scale(api: Api, deployment: Obj, replica_set: Obj, replicas: int) -> None:
    before = replica_set["spec"]["replicas"]
    if before == replicas:
        return
    changed = copied(replica_set)
    changed["spec"]["replicas"] = replicas
    api.replace(api.resource("replicasets", "apps"), replica_set, changed)
    direction = "up" if replicas > before else "down"
    message = f"Scaled {direction} replica set {name_of(replica_set)} from {before} to {replicas}"
    emit(api, deployment, "Normal", "ScalingReplicaSet", message, _COMPONENT)


def _recreate(api: Api, deployment: Obj, current: Obj, old: list[Obj]) -> None:
    for replica_set in old:
        _scale(api, deployment, replica_set, 0)
    if not any(controlled(api.store, replica_set, _PODS) for replica_set in old):
        _scale(api, deployment, current, deployment["spec"]["replicas"])


def _rolling_update(api: Api, deployment: Obj, current: Obj, old: list[Obj]) -> None:
    wanted, budget = deployment["spec"]["replicas"], _budget(deployment)
    total = sum(r["spec"]["replicas"] for r in (current, *old))
    room = wanted + budget.surge - total
    target = current["spec"]["replicas"]
    if target > wanted or not any(r["spec"]["replicas"] for r in old):
        target = wanted
    else:
        target = min(wanted, target + max(0, room))
    _scale(api, deployment, current, target)
    available = {
        r["metadata"]["uid"]: (r.get("status") or {}).get("availableReplicas", 0)
        for r in (current, *old)
    }
    spare = sum(available.values()) - (wanted - budget.unavailable)
    for replica_set in old:
        replicas = replica_set["spec"]["replicas"]
        unhealthy = max(0, replicas - available[replica_set["metadata"]["uid"]])
        removable = min(replicas, unhealthy + max(0, spare))
        spare -= max(0, removable - unhealthy)
        _scale(api, deployment, replica_set, replicas - removable)


def _forget_old(api: Api, deployment: Obj, old: list[Obj]) -> None:
    empty = [r for r in old if not r["spec"]["replicas"] and not r["status"].get("replicas")]
    surplus = len(empty) - deployment["spec"]["revisionHistoryLimit"]
    for replica_set in sorted(empty, key=_revision)[: max(0, surplus)]:
        api.delete_if_there(api.resource("replicasets", "apps"), replica_set)


def _status(deployment: Obj, owned: list[Obj], current: Obj | None) -> Obj:
    def total(field: str, sets: list[Obj]) -> int:
        return sum((r.get("status") or {}).get(field, 0) for r in sets)

    wanted = deployment["spec"]["replicas"]
    replicas, available = total("replicas", owned), total("availableReplicas", owned)
    updated = total("replicas", [current] if current else [])
    counts = {
        "replicas": replicas,
        "updatedReplicas": updated,
        "readyReplicas": total("readyReplicas", owned),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(r["spec"]["replicas"] for r in owned) - available),
    }
    before = deployment.get("status") or {}
    conditions = [dict(condition) for condition in before.get("conditions") or []]
    status = {
        "observedGeneration": deployment["metadata"]["generation"],
        **{name: count for name, count in counts.items() if count},
        "conditions": conditions,
    }
    shown = {"status": status}
    if available >= wanted - _budget(deployment).unavailable:
        set_condition(
            shown, "Available", "True", "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        )  # fmt: skip
    else:
        set_condition(
            shown, "Available", "False", "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )  # fmt: skip
    name = name_of(current) if current else ""
    if updated == wanted == replicas == available:
        reason, verb = "NewReplicaSetAvailable", "has successfully progressed"
    else:
        reason, verb = "ReplicaSetUpdated", "is progressing"
    set_condition(shown, "Progressing", "True", reason, f'ReplicaSet "{name}" {verb}.')
    return status
