"""Faults of the Deployment and its pods, and of the pool itself."""

from typing import Any

from faults.case import Case
from faults.injected import is_late
from faults.world import CEILING, Part, World
from sandbox.foreign import HPAS
from sandbox.kube_client import Obj
from sandbox.patience import until
from scanpool.models.conditions import Reason
from scanpool_sandbox.kube.controllers.nodes import Node, node_object

GONE = "node-gone"
PERSON = "kubectl-edit"


def case(name: str, injects: str, inject: Any, mend: Any, **more: Any) -> Case:
    usual: dict[str, Any] = {"replicas": 3, "tells": ""}
    return Case(f"target-{name}", Part.TARGET, injects, inject, mend, **(usual | more))


def nothing(_: World, __: str) -> None:
    """It is over by itself."""


def is_deleted(w: World, name: str) -> None:
    w.scene.kube.delete(f"{w.scene.deployments}/{name}")


def is_there(w: World, name: str) -> None:
    w.scene.create_deployment(name)


def set_by(manager: str, w: World, name: str, replicas: int) -> None:
    """Write the Deployment's replicas as a field manager does."""
    path = f"{w.scene.deployments}/{name}?fieldManager={manager}"
    w.scene.kube.patch(path, {"spec": {"replicas": replicas}})


def by_hand(w: World, name: str) -> None:
    set_by(PERSON, w, name, 1)


def again_and_again(w: World, name: str) -> None:
    """Take the replicas back twice, which is no slip any more."""
    for _ in range(2):
        w.scene.wait_replicas(name, 3)
        # Not before the operator knows what it has done.
        w.scene.wait_status(name, replicas=3)
        set_by(PERSON, w, name, 1)


def hpas(w: World) -> str:
    group, version, _, plural = HPAS
    return f"/apis/{group}/{version}/namespaces/{w.scene.namespace}/{plural}"


def is_taken(w: World, name: str) -> None:
    """Let an HPA take the Deployment, and set other replicas."""
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    spec = {"scaleTargetRef": ref, "minReplicas": 2, "maxReplicas": 2}
    w.scene.kube.post(hpas(w), {"metadata": {"name": name}, "spec": spec})
    w.scene.wait_condition(name, "Contested", "True", str(Reason.CONTESTED_BY_AUTOSCALER))
    set_by("kube-controller-manager", w, name, 2)


def is_given_back(w: World, name: str) -> None:
    w.scene.kube.delete(f"{hpas(w)}/{name}")


def template(w: World, name: str, **spec: Any) -> None:
    path = f"{w.scene.deployments}/{name}"
    w.scene.kube.patch(path, {"spec": {"template": {"spec": spec}}})


def container(memory: str, **more: Any) -> list[Obj]:
    resources = {"requests": {"cpu": "10m", "memory": memory}}
    return [{"name": "worker", "image": "worker", "resources": resources, **more}]


def is_never_ready(w: World, name: str) -> None:
    # A port that nobody listens on.
    probe = {"tcpSocket": {"port": 1}, "periodSeconds": 1}
    template(w, name, containers=container("64Mi", readinessProbe=probe))
    until(
        "the rollout has begun and does not get on",
        lambda: len(pods(w, name)) > len(ready(w, name)),
        lambda: pods(w, name),
    )


def has_no_room(w: World, name: str) -> None:
    template(w, name, containers=container("900Gi"))
    until(
        "a pod is pending",
        lambda: any(pod["status"].get("phase") == "Pending" for pod in pods(w, name)),
        lambda: pods(w, name),
    )


def is_killed_for_memory(w: World, name: str) -> None:
    # A simulated worker takes 64Mi.
    limited = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "32Mi"}}
    template(w, name, containers=container("32Mi", resources=limited))
    until("one is killed again and again", lambda: restarts(w, name) > 1, lambda: pods(w, name))


def is_as_it_was(w: World, name: str) -> None:
    path = f"{w.scene.deployments}/{name}"
    w.scene.kube.patch(path, {"spec": {"template": {"spec": {"containers": container("64Mi")}}}})


def pods(w: World, name: str) -> list[Obj]:
    listed = w.scene.kube.get(
        f"/api/v1/namespaces/{w.scene.namespace}/pods?labelSelector=app={name}"
    )
    return [pod for pod in listed["items"] if "deletionTimestamp" not in pod["metadata"]]


def statuses(pod: Obj) -> list[Obj]:
    return list(pod.get("status", {}).get("containerStatuses") or [])


def ready(w: World, name: str) -> list[Obj]:
    return [pod for pod in pods(w, name) if any(one["ready"] for one in statuses(pod))]


def restarts(w: World, name: str) -> int:
    counts = (one["restartCount"] for pod in pods(w, name) for one in statuses(pod))
    return max(counts, default=0)


def path_of(w: World, pod: Obj) -> str:
    return f"/api/v1/namespaces/{w.scene.namespace}/pods/{pod['metadata']['name']}"


def is_evicted(w: World, name: str) -> None:
    for pod in pods(w, name):
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": pod["metadata"]}
        w.scene.kube.post(f"{path_of(w, pod)}/eviction", eviction)


def is_evicted_by_its_node(w: World, name: str) -> None:
    """Let the pods fail, which stay to be seen, as a kubelet does that runs out of memory."""
    for pod in pods(w, name):
        failed = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory"}
        w.scene.kube.patch(f"{path_of(w, pod)}/status", {"status": failed})


def loses_its_node(w: World, name: str) -> None:
    w.scene.kube.post("/api/v1/nodes", node_object(Node(GONE, cpu="64", memory="256Gi", pods=1000)))
    template(w, name, nodeSelector={"kubernetes.io/hostname": GONE})
    until("its pods have moved", lambda: on_node(w, name) == CEILING, lambda: pods(w, name))
    w.scene.kube.delete(f"/api/v1/nodes/{GONE}")


def on_node(w: World, name: str) -> int:
    return sum(pod["spec"].get("nodeName") == GONE for pod in pods(w, name))


def has_a_node(w: World, name: str) -> None:
    template(w, name, nodeSelector=None)


def changes_within_a_tick(w: World, name: str) -> None:
    """Lower the maximum while the provider has the tick wait."""
    w.inject(name, "provider", is_late(4.0))
    asked = w.gateway.count(name, "provider")
    until("a probe is under way", lambda: w.gateway.count(name, "provider") > asked)
    w.scene.change_pool(name, maxReplicas=2)


def is_as_before(w: World, name: str) -> None:
    w.mend(name, "provider")
    w.scene.change_pool(name, maxReplicas=10)


def goes_within_a_tick(w: World, name: str) -> None:
    w.inject(name, "provider", is_late(4.0))
    asked = w.gateway.count(name, "provider")
    until("a probe is under way", lambda: w.gateway.count(name, "provider") > asked)
    w.scene.kube.delete(f"{w.scene.pools}/{name}")


def comes_back(w: World, name: str) -> None:
    w.mend(name, "provider")
    w.scene.create_pool(name, name, **w.spec(name))


CASES = (
    case("deleted", "the Deployment deleted, and made anew", is_deleted, is_there,
         tells="Ready=False", reason=str(Reason.TARGET_NOT_FOUND), replicas=0),
    case("by-hand", "scaled to 1 by hand", by_hand, nothing, is_known=True, note="set back"),
    case("by-hand-again", "set back to 1 by hand, and once more", again_and_again, nothing,
         is_known=True, tells="Contested=True", reason=str(Reason.CONTESTED_BY_PERSON),
         replicas=1),
    case("taken", "taken by an HPA, which sets 2", is_taken, is_given_back, is_known=True,
         tells="Contested=True", reason=str(Reason.CONTESTED_BY_AUTOSCALER), replicas=2),
    case("rollout-stuck", "a rollout whose pods never are ready", is_never_ready, is_as_it_was),
    case("no-room", "a rollout whose pods no node has room for", has_no_room, is_as_it_was),
    case("out-of-memory", "pods that are killed for memory again and again",
         is_killed_for_memory, is_as_it_was),
    case("evicted", "all pods evicted", is_evicted, nothing),
    case("evicted-by-node", "all pods evicted by their nodes", is_evicted_by_its_node, nothing),
    case("node-gone", "the node of all pods deleted", loses_its_node, has_a_node),
    Case("pool-changed", Part.POOL, "maxReplicas lowered to 2 within a tick",
         changes_within_a_tick, is_as_before, 2, tells="", is_known=True),
    Case("pool-deleted", Part.POOL, "deleted within a tick, and made anew",
         goes_within_a_tick, comes_back, 3, tells=""),
)  # fmt: skip
