"""Pools of StatefulSets and of a kind of somebody's own, beside consumers, nodes and rivals."""

import json
import time
from collections.abc import Iterator

import pytest

from sandbox.consumers import Consumer, connected, held
from sandbox.foreign import HPAS
from sandbox.patience import until
from sandbox.scene import Scene, open_scene
from sandbox.stage import Stage
from sandbox.workloads import (
    CRD,
    GRANT,
    GROUP,
    KIND,
    create_pod,
    create_stateful_set,
    create_worker_group,
)

NAME = "numbered"
QUEUE = "scan.vision"
REF = {"apiVersion": f"{GROUP}/v1", "kind": KIND, "name": NAME}


@pytest.fixture
def strangers(background, tmp_path) -> Iterator[Stage]:
    """A stage of its own: what the operator is refused here is no lack of its rights."""
    stage = Stage(background, tmp_path)
    try:
        stage.kube.kubectl("apply", "-f", "-", stdin=json.dumps(CRD))
        stage.operator.start()
        yield stage
        stage.check_record()
    finally:
        stage.close()


@pytest.fixture
def group(strangers, rabbitmq) -> Iterator[Scene]:
    """A scene in which a pool may name a worker group."""
    with open_scene(strangers, rabbitmq) as scene:
        yield scene


def replicas(scene: Scene, path: str) -> int:
    return int(scene.kube.get(f"{path}/scale")["spec"].get("replicas", 0))


def test_idle_pods_of_a_stateful_set_are_not_marked_in_vain(scene) -> None:
    path = create_stateful_set(scene, NAME, 3)
    scene.queues.publish(QUEUE, 30)
    scene.create_pool(NAME, QUEUE, scaleTargetRef={"kind": "StatefulSet", "name": NAME})
    scene.wait_status(NAME, replicas=3, readyReplicas=3)
    with connected(scene) as connection:
        Consumer(connection, QUEUE, f"{NAME}-2")
        connection.process_data_events(time_limit=0.1)
        until("the statistics show it", lambda: held(scene) == 1)
        scene.queues.work_off(QUEUE, 25)
        until("it has one replica", lambda: replicas(scene, path) == 1)
    marked = [one for one in scene.stage.writes(scene.namespace) if one.resource == "pods"]
    assert marked == []
    scene.wait_status(NAME, replicas=1, readyReplicas=1)
    assert scene.kube.find(f"/api/v1/namespaces/{scene.namespace}/pods/{NAME}-0") is not None


def test_a_kind_of_ones_own_is_scaled_once_it_is_granted(group) -> None:
    path = create_worker_group(group, NAME)
    group.queues.publish(QUEUE, 40)
    group.create_pool(NAME, QUEUE, scaleTargetRef=REF)
    told = group.wait_condition(NAME, "Ready", "False", "KubernetesForbidden")["message"]
    assert 'resources: ["workergroups/scale"], verbs: [get, patch]' in told
    assert replicas(group, path) == 1

    group.stage.kube.kubectl("apply", "-f", GRANT)
    group.wait_condition(NAME, "Ready", "True")
    # From here on nothing may be refused.
    group.stage.granted_at = time.time()
    # It has no pod template: one pod has to tell what a replica takes, and where it may run.
    group.wait_status(NAME, limitedBy="Memory", desiredReplicas=1)
    create_pod(group, NAME, 0)
    until("it has four replicas", lambda: replicas(group, path) == 4, lambda: group.status(NAME))
    group.wait_status(NAME, readyReplicas=1, selector=f"app={NAME}")
    assert group.status(NAME)["memory"]["perReplica"] == "64Mi"
    (event,) = group.events("SuccessfulRescale")
    assert f"Scaled {KIND} {NAME} from 1 to 4" in event["message"]


def test_an_autoscaler_of_the_same_name_and_another_kind_is_no_rival(scene) -> None:
    path = create_stateful_set(scene, NAME)
    scene.queues.publish(QUEUE, 20)
    scene.create_pool(NAME, QUEUE, scaleTargetRef={"kind": "StatefulSet", "name": NAME})
    until("it has two replicas", lambda: replicas(scene, path) == 2, lambda: scene.status(NAME))
    group, version, kind, plural = HPAS
    hpas = f"/apis/{group}/{version}/namespaces/{scene.namespace}/{plural}"

    def create_hpa(name: str, scaled: str) -> None:
        ref = {"apiVersion": "apps/v1", "kind": scaled, "name": NAME}
        api = {"apiVersion": f"{group}/{version}", "kind": kind, "metadata": {"name": name}}
        scene.kube.post(hpas, {**api, "spec": {"scaleTargetRef": ref, "maxReplicas": 5}})

    create_hpa("of-a-deployment", "Deployment")
    scene.stage.operator.wait_ticks(4)
    assert scene.condition(NAME, "Contested")["status"] == "False"

    create_hpa("of-this", "StatefulSet")

    told = scene.wait_condition(NAME, "Contested", "True", "ContestedByAutoscaler")["message"]
    assert f"{scene.namespace}/of-this has scaled StatefulSet {NAME} since" in told
