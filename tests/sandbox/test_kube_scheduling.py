"""Scheduler, node pressure and the choice of pods to delete, with simulated pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox.waiting import until
from scanpool_sandbox.kube import KubeEmulator, Node, Simulated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Obj = dict[str, Any]


@pytest.fixture
async def kube() -> AsyncIterator[KubeEmulator]:
    nodes = [
        Node("node-a", cpu="2", memory="1Gi"),
        Node("node-b", cpu="2", memory="1Gi", labels={"disk": "ssd"}),
    ]
    async with KubeEmulator(nodes, {"*": Simulated()}) as emulator:
        yield emulator


def make_pod(kube: KubeEmulator, name: str, memory: str = "256Mi", **spec: Any) -> None:
    resources = {"requests": {"memory": memory, "cpu": "100m"}}
    container = {"name": "main", "image": "any", "resources": resources}
    body = {"metadata": {"name": name}, "spec": {"containers": [container], **spec}}
    kube.api.create(kube.api.resource("pods"), "default", body)


def node_of(kube: KubeEmulator, name: str) -> str:
    pod = kube.api.find(kube.api.resource("pods"), "default", name)
    return str(pod["spec"].get("nodeName", ""))


def refusal(kube: KubeEmulator, name: str) -> str:
    pod = kube.api.find(kube.api.resource("pods"), "default", name)
    for condition in pod["status"].get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            assert condition["reason"] == "Unschedulable"
            return str(condition["message"])
    return ""


def patch_node(kube: KubeEmulator, name: str, patch: Obj, subresource: str = "") -> None:
    nodes = kube.api.resource("nodes")
    kind = "application/strategic-merge-patch+json"
    kube.api.patch(nodes, "", name, kind, patch, subresource=subresource)


def taints(kube: KubeEmulator, name: str) -> list[str]:
    node = kube.api.find(kube.api.resource("nodes"), "", name)
    return [taint["key"] for taint in node["spec"].get("taints") or []]


async def test_pods_spread_and_fill_the_nodes(kube: KubeEmulator) -> None:
    for number in range(8):
        make_pod(kube, f"p{number}")
    await until(lambda: all(node_of(kube, f"p{n}") for n in range(8)))
    placed = [node_of(kube, f"p{n}") for n in range(8)]
    assert (placed.count("node-a"), placed.count("node-b")) == (4, 4)
    make_pod(kube, "late")
    message = await until(lambda: refusal(kube, "late"))
    assert message == "0/2 nodes are available: 2 Insufficient memory."
    kube.api.delete(kube.api.resource("pods"), "default", "p0")
    await until(lambda: node_of(kube, "late"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"nodeSelector": {"disk": "tape"}}, "2 node(s) didn't match Pod's node affinity/selector"),
        ({"memory": "2Gi"}, "2 Insufficient memory"),
    ],
)
async def test_a_pod_that_fits_nowhere_says_why(
    kube: KubeEmulator, spec: Obj, message: str
) -> None:
    make_pod(kube, "p", **spec)
    assert message in await until(lambda: refusal(kube, "p"))
    events = kube.api.list(kube.api.resource("events"), "default", fields="reason=FailedScheduling")
    assert [message in event["message"] for event in events] == [True]


async def test_a_node_selector_chooses(kube: KubeEmulator) -> None:
    make_pod(kube, "p", nodeSelector={"disk": "ssd"})
    assert await until(lambda: node_of(kube, "p")) == "node-b"


async def test_memory_pressure_taints_the_node_and_lifts_again(kube: KubeEmulator) -> None:
    def pressure(status: str) -> Obj:
        return {"status": {"conditions": [{"type": "MemoryPressure", "status": status}]}}

    key = "node.kubernetes.io/memory-pressure"
    for node in ("node-a", "node-b"):
        patch_node(kube, node, pressure("True"), "status")
    await until(lambda: key in taints(kube, "node-a") and key in taints(kube, "node-b"))
    make_pod(kube, "p")
    message = await until(lambda: refusal(kube, "p"))
    assert message == f"0/2 nodes are available: 2 node(s) had untolerated taint {{{key}: }}."
    patch_node(kube, "node-a", pressure("False"), "status")
    assert await until(lambda: node_of(kube, "p")) == "node-a"
    assert taints(kube, "node-a") == []


async def test_a_cordoned_node_takes_no_pods_but_tolerant_ones(kube: KubeEmulator) -> None:
    for node in ("node-a", "node-b"):
        patch_node(kube, node, {"spec": {"unschedulable": True}})
    key = "node.kubernetes.io/unschedulable"
    await until(lambda: key in taints(kube, "node-a") and key in taints(kube, "node-b"))
    make_pod(kube, "p")
    assert "2 node(s) were unschedulable" in await until(lambda: refusal(kube, "p"))
    make_pod(kube, "tolerant", tolerations=[{"key": key, "operator": "Exists"}])
    await until(lambda: node_of(kube, "tolerant"))


def deployment(replicas: int, strategy: Obj | None = None) -> Obj:
    labels = {"app": "web"}
    return {
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "strategy": strategy or {},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "any:1"}]},
            },
        },
    }


def live_pods(kube: KubeEmulator) -> list[Obj]:
    pods = kube.api.list(kube.api.resource("pods"), "default", "app=web")
    return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]


def ready_replicas(kube: KubeEmulator) -> int:
    found = kube.api.find(kube.api.resource("deployments", "apps"), "default", "web")
    return int(found.get("status", {}).get("readyReplicas", 0))


async def test_scaling_down_takes_the_cheapest_pod(kube: KubeEmulator) -> None:
    deployments, pods = kube.api.resource("deployments", "apps"), kube.api.resource("pods")
    kube.api.create(deployments, "default", deployment(3))
    await until(lambda: ready_replicas(kube) == 3)
    merge = "application/merge-patch+json"
    for cost, pod in zip(("5", "-1", "7"), live_pods(kube), strict=True):
        annotations = {"controller.kubernetes.io/pod-deletion-cost": cost}
        name = pod["metadata"]["name"]
        kube.api.patch(pods, "default", name, merge, {"metadata": {"annotations": annotations}})
    scale = {"spec": {"replicas": 2}}
    kube.api.patch(deployments, "default", "web", merge, scale, subresource="scale")
    await until(lambda: len(live_pods(kube)) == 2)
    costs = [next(iter(pod["metadata"]["annotations"].values())) for pod in live_pods(kube)]
    assert sorted(costs) == ["5", "7"]


@pytest.mark.parametrize("strategy", ["Recreate", "RollingUpdate"])
async def test_a_new_template_replaces_the_pods(kube: KubeEmulator, strategy: str) -> None:
    deployments = kube.api.resource("deployments", "apps")
    kube.api.create(deployments, "default", deployment(3, {"type": strategy}))
    await until(lambda: ready_replicas(kube) == 3)
    counts: list[tuple[int, int]] = []

    def count(_change: object) -> None:
        images = [pod["spec"]["containers"][0]["image"] for pod in live_pods(kube)]
        counts.append((images.count("any:1"), images.count("any:2")))

    stop = kube.store.listen(("", "pods"), count)
    container = {"name": "main", "image": "any:2"}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    kube.api.patch(deployments, "default", "web", "application/strategic-merge-patch+json", patch)
    await until(lambda: counts and counts[-1] == (0, 3) and ready_replicas(kube) == 3)
    stop()
    if strategy == "Recreate":
        assert not [pair for pair in counts if min(pair) > 0]
    else:
        assert min(old + new for old, new in counts) >= 2
        assert max(old + new for old, new in counts) <= 4
