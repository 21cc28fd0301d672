"""Others that write the same Deployment: a second operator, and something that takes back."""

from collections.abc import Iterator

import pytest

from sandbox.foreign import HPAS, SCALED_OBJECTS
from sandbox.operator_process import Operator
from sandbox.patience import until

NAME = "scan-worker"
QUEUE = "scan.vision"

pytestmark = pytest.mark.any_cluster


@pytest.fixture
def second(scene, tmp_path) -> Iterator[Operator]:
    """Another operator on the same API server, with the same rights."""
    operator = Operator(tmp_path, scene.stage.kubeconfig)
    operator.start()
    yield operator
    assert operator.stop() == 0
    assert "Traceback" not in operator.log


def test_a_second_operator_changes_nothing(scene, second) -> None:
    first = scene.stage.operator
    scene.queues.publish(QUEUE, 50)
    scene.create_deployment(NAME)
    scene.create_pool(NAME, QUEUE)
    expected = [1]
    for done, backlog, replicas in ((0, 50, 5), (30, 20, 2)):
        scene.queues.work_off(QUEUE, done)
        scene.wait_status(NAME, replicas=replicas, backlog=backlog)
        for operator in (first, second):
            operator.wait_ticks(1)
        expected.append(replicas)
        assert scene.stage.scales(scene.namespace, NAME) == expected
    # One write for each change, whoever made it, and no fight.
    assert len(scene.stage.scale_writes(scene.namespace)) == len(expected) - 1
    scene.wait_condition(NAME, "Ready", "True")


def set_back(scene, manager: str, replicas: int) -> None:
    """Write the Deployment's replicas as a field manager of that name does."""
    path = f"{scene.deployments}/{NAME}?fieldManager={manager}"
    scene.kube.patch(path, {"spec": {"replicas": replicas}})


def wait_left_alone(scene, reason: str) -> str:
    """Wait until the pool says who sets the replicas, and see that it changes nothing."""
    contested = scene.wait_condition(NAME, "Contested", "True", reason)
    before, there = len(scene.stage.scale_writes(scene.namespace)), scene.replicas(NAME)
    scene.stage.operator.wait_ticks(3)
    assert scene.replicas(NAME) == there
    assert len(scene.stage.scale_writes(scene.namespace)) == before
    scene.wait_condition(NAME, "Ready", "False", reason)
    scene.wait_status(NAME, limitedBy="Contested")
    return str(contested["message"])


def three_wanted(scene) -> None:
    scene.queues.publish(QUEUE, 30)
    scene.create_deployment(NAME)
    scene.create_pool(NAME, QUEUE)
    scene.wait_replicas(NAME, 3)
    # Not before the operator knows what it has done.
    scene.wait_status(NAME, replicas=3)


def test_a_person_may_set_replicas_once_and_is_told_the_second_time(scene) -> None:
    three_wanted(scene)
    set_back(scene, "kubectl-edit", 1)
    scene.wait_replicas(NAME, 3)
    scene.wait_status(NAME, replicas=3)
    assert scene.condition(NAME, "Contested")["status"] == "False"
    set_back(scene, "kubectl-edit", 1)

    told = wait_left_alone(scene, "ContestedByPerson")
    assert "a person or script (field manager kubectl-edit) has set the replicas of" in told
    assert "scan.eco2.io/paused-replicas" in told
    event, *_ = until("it is an event", lambda: scene.events("ContestedByPerson"))
    assert event["type"] == "Warning"
    assert event["involvedObject"]["name"] == NAME


def test_a_gitops_controller_is_named_after_its_first_revert(scene) -> None:
    three_wanted(scene)
    ticks = scene.stage.operator.ticks()
    set_back(scene, "argocd-controller", 1)

    scene.wait_condition(NAME, "Contested", "True", "ContestedByGitOps")
    # Its own two intervals, and what it takes to look.
    assert scene.stage.operator.ticks() - ticks <= 4
    told = wait_left_alone(scene, "ContestedByGitOps")
    assert "Argo CD (field manager argocd-controller)" in told
    assert "once since" in told
    assert "RespectIgnoreDifferences=true" in told


@pytest.mark.parametrize(("group", "version", "kind", "plural"), [HPAS, SCALED_OBJECTS])
def test_an_autoscaler_on_the_same_deployment_is_named_and_left_alone(
    scene, group: str, version: str, kind: str, plural: str
) -> None:
    three_wanted(scene)
    path = f"/apis/{group}/{version}/namespaces/{scene.namespace}/{plural}"
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
    other = {**ref, "name": "other"}
    for name, named in (("mine", ref), ("others", other)):
        metadata, spec = {"name": name}, {"scaleTargetRef": named, "maxReplicas": 5}
        api = {"apiVersion": f"{group}/{version}", "kind": kind}
        scene.kube.post(path, {**api, "metadata": metadata, "spec": spec})

    scene.queues.publish(QUEUE, 20)
    told = wait_left_alone(scene, "ContestedByAutoscaler")
    assert told.startswith(f"{kind} {scene.namespace}/mine has scaled Deployment {NAME} since 20")

    scene.kube.delete(f"{path}/mine")
    scene.wait_condition(NAME, "Contested", "False")
    scene.wait_replicas(NAME, 5)


def test_the_younger_of_two_pools_on_one_deployment_refuses(scene) -> None:
    three_wanted(scene)
    scene.queues.declare("scan.other")
    younger = scene.pool_object("younger", "scan.other", scaleTargetRef={"name": NAME})
    scene.kube.post(scene.pools, younger)

    told = scene.wait_condition("younger", "Contested", "True", "ContestedByPool")["message"]
    assert f"ScanWorkerPool {scene.namespace}/{NAME} has scaled Deployment {NAME} since" in told
    scene.wait_condition("younger", "ScalingActive", "False", "ContestedByPool")
    scene.stage.operator.wait_ticks(4)
    assert scene.replicas(NAME) == 3
    assert scene.condition(NAME, "Contested")["status"] == "False"

    # The target is the other one's once the first is gone.
    scene.kube.delete(f"{scene.pools}/{NAME}")
    scene.wait_condition("younger", "Contested", "False")
    scene.wait_replicas(NAME, 1)
