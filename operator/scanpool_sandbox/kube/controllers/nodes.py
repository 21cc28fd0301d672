"""Nodes: how they begin, and the taints that follow their conditions."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.controllers.concerned import Name, itself, names
from scanpool_sandbox.kube.controllers.loop import Controller
from scanpool_sandbox.kube.objects import Obj, copied, find_condition, rfc3339
from scanpool_sandbox.kube.serve.discovery import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scanpool_sandbox.kube.api import Api
    from scanpool_sandbox.kube.resources import Key

NODES: Key = ("", "nodes")
MEMORY_PRESSURE = "node.kubernetes.io/memory-pressure"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
NOT_READY = "node.kubernetes.io/not-ready"


@dataclass(frozen=True)
class Node:
    """A node to begin with; `cpu` and `memory` are the allocatable quantities."""

    name: str
    cpu: str = "2"
    memory: str = "3826Mi"
    pods: int = 110
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Obj, ...] = ()


def node_object(node: Node) -> Obj:
    """Build the API object of a ready node."""
    resources = {"cpu": node.cpu, "memory": node.memory, "pods": str(node.pods)}
    labels = {
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        **node.labels,
    }
    now = rfc3339()
    conditions = [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        for kind, status, reason, message in (
            (
                "MemoryPressure",
                "False",
                "KubeletHasSufficientMemory",
                "sufficient memory available",
            ),
            ("DiskPressure", "False", "KubeletHasNoDiskPressure", "no disk pressure"),
            ("PIDPressure", "False", "KubeletHasSufficientPID", "sufficient PID available"),
            ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        )
    ]
    return {
        "metadata": {"name": node.name, "labels": labels},
        "spec": {"taints": [dict(taint) for taint in node.taints]} if node.taints else {},
        "status": {
            "capacity": dict(resources),
            "allocatable": dict(resources),
            "conditions": conditions,
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": node.name},
            ],
            "nodeInfo": {
                "kubeletVersion": VERSION["gitVersion"],
                "operatingSystem": "linux",
                "architecture": "amd64",
                "osImage": "sandbox",
                "kernelVersion": "",
                "containerRuntimeVersion": "process://1",
                "kubeProxyVersion": "",
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
            },
        },
    }


def nodes(api: Api) -> Controller[Name]:
    """Look after nodes."""
    return Controller(
        {NODES: itself}, partial(names, api.store, NODES), partial(reconcile_node, api)
    )


def reconcile_node(api: Api, name: Name) -> None:
    """Set and remove a node's NoSchedule taints of pressure, cordon and not being ready."""
    node = api.store.get(NODES, *name)
    if node is None:
        return
    wanted = {
        MEMORY_PRESSURE: _has(node, "MemoryPressure", "True"),
        UNSCHEDULABLE: bool(node["spec"].get("unschedulable")),
        NOT_READY: not _has(node, "Ready", "True"),
    }
    taints = node["spec"].get("taints") or []
    managed = [taint for taint in taints if taint["key"] in wanted]
    if {taint["key"] for taint in managed} == {key for key, on in wanted.items() if on}:
        return
    changed = copied(node)
    kept = [taint for taint in taints if taint["key"] not in wanted]
    changed["spec"]["taints"] = kept + [
        {"key": key, "effect": "NoSchedule"} for key, on in wanted.items() if on
    ]
    if not changed["spec"]["taints"]:
        del changed["spec"]["taints"]
    api.replace(api.resource("nodes"), node, changed)


def _has(node: Obj, kind: str, status: str) -> bool:
    return (find_condition(node, kind) or {}).get("status") == status
