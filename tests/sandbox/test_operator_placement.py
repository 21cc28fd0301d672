"""A pool is never scaled past what its nodes take, and its status says which node lacks what."""

from typing import Any

import pytest

from sandbox.kube_client import Obj
from sandbox.patience import until

NAME = "scan-worker"
QUEUE = "scan.vision"
HOST = "kubernetes.io/hostname"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
MINE = {"matchLabels": {"app": NAME}}
CLOSED = ("NoSchedule", "NoExecute")

pytestmark = pytest.mark.any_cluster


def open_nodes(scene) -> int:
    """How many nodes take pods that tolerate nothing."""
    nodes = scene.kube.get("/api/v1/nodes")["items"]
    taken = [node["spec"] for node in nodes if not node["spec"].get("unschedulable")]
    found = sum(
        not any(taint["effect"] in CLOSED for taint in spec.get("taints", [])) for spec in taken
    )
    if not found:
        pytest.skip("the cluster has no node: nothing bounds a pool there")
    return found


def create(scene, wanted: int = 5, **spec: Any) -> None:
    """Create a pool whose queue asks for so many replicas."""
    scene.queues.publish(QUEUE, 10 * wanted)
    container = {"name": "worker", **scene.stage.worker, **spec.pop("container", {})}
    template = {
        "metadata": {"labels": MINE["matchLabels"]},
        "spec": {"containers": [container], **spec},
    }
    deployment = {"replicas": 1, "selector": MINE, "template": template}
    scene.kube.post(scene.deployments, {"metadata": {"name": NAME}, "spec": deployment})
    scene.create_pool(NAME, QUEUE, maxReplicas=wanted)


def lacks(scene) -> list[Obj]:
    return list(scene.status(NAME).get("memory", {}).get("lacks", []))


def stays_at(scene, replicas: int, lacking: str) -> None:
    scene.wait_status(NAME, replicas=replicas, limitedBy="Memory")
    scene.stage.operator.wait_ticks(3)
    assert max(scene.stage.scales(scene.namespace, NAME)) == replicas
    until("the status says what is lacking", lambda: lacking in str(lacks(scene)))
    assert lacking in scene.condition(NAME, "ScalingLimited")["message"]


HOST_PORT = {"containerPort": 80, "hostPort": 38080}
ANTI_AFFINITY = {"podAntiAffinity": {REQUIRED: [{"topologyKey": HOST, "labelSelector": MINE}]}}
SPREAD = [
    {
        "topologyKey": HOST,
        "maxSkew": 2,
        "minDomains": 1000,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": MINE,
    }
]


@pytest.mark.parametrize(
    ("spec", "each", "lacking"),
    [
        ({"affinity": ANTI_AFFINITY}, 1, f"anti-affinity: a replica has its {HOST}"),
        ({"topologySpreadConstraints": SPREAD}, 2, "topology spread"),
        ({"container": {"ports": [HOST_PORT]}}, 1, "host port 38080"),
    ],
)
def test_replicas_that_must_be_apart_or_spread_or_have_a_port_of_the_node(
    scene, spec: dict[str, Any], each: int, lacking: str
) -> None:
    fits = each * open_nodes(scene)
    create(scene, fits + 1, **spec)

    stays_at(scene, fits, lacking)


def test_replicas_that_need_what_no_node_has(scene) -> None:
    assert open_nodes(scene)
    limits = {"limits": {"example.com/gpu": "1"}}
    create(scene, container={"resources": limits})

    stays_at(scene, 1, "example.com/gpu")
    (found,) = lacks(scene)
    assert found["names"]


def test_replicas_whose_node_affinity_no_node_has(scene) -> None:
    assert open_nodes(scene)
    expression = {"key": "example.com/disk", "operator": "In", "values": ["ssd"]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    create(scene, affinity={"nodeAffinity": {REQUIRED: terms}})

    # Not even the first one has a node, which is what the message tells.
    scene.wait_status(NAME, replicas=1, desiredReplicas=1)
    scene.stage.operator.wait_ticks(3)
    assert scene.stage.scales(scene.namespace, NAME) == [1]
    until("it is told", lambda: "labels of the required node affinity" in str(lacks(scene)))


def test_replicas_that_a_quota_refuses(scene) -> None:
    """The stand-in counts nothing by itself; a real API server comes to the same."""
    assert open_nodes(scene)
    quotas = f"/api/v1/namespaces/{scene.namespace}/resourcequotas"
    hard = {"pods": "1"}
    scene.kube.post(quotas, {"metadata": {"name": "team"}, "spec": {"hard": hard}})
    scene.kube.patch(f"{quotas}/team/status", {"status": {"hard": hard, "used": hard}})
    create(scene)

    scene.wait_status(NAME, replicas=1, limitedBy="Memory")
    scene.stage.operator.wait_ticks(3)
    assert scene.stage.scales(scene.namespace, NAME) == [1]
    told = "ResourceQuota team leaves pods for 0 more"
    assert told in scene.status(NAME)["memory"]["refused"]
    assert told in scene.condition(NAME, "ScalingLimited")["message"]
