"""Others that write the same Deployment: a second operator, and something that takes back."""

from collections.abc import Iterator

import pytest

from sandbox.operator_process import Operator
from sandbox.patience import until

NAME = "scan-worker"
QUEUE = "scan.vision"


@pytest.fixture
def second(stage, tmp_path) -> Iterator[Operator]:
    """Another operator on the same API server, with the same rights."""
    operator = Operator(tmp_path, stage.kubeconfig)
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


def test_replicas_that_are_set_back_are_reported_with_the_remedy(scene) -> None:
    scene.queues.publish(QUEUE, 30)
    scene.create_deployment(NAME)
    scene.create_pool(NAME, QUEUE)
    for _ in range(2):
        scene.wait_replicas(NAME, 3)
        # Not before the operator knows what it has done.
        scene.wait_status(NAME, replicas=3)
        scene.set_replicas(NAME, 1)

    contested = scene.wait_condition(NAME, "Contested", "True", "ReplicasChangedElsewhere")
    assert "look for an HPA on the same Deployment, or a GitOps controller" in contested["message"]
    assert "--show-managed-fields" in contested["message"]
    (event,) = until("it is an event", lambda: scene.events("ReplicasChangedElsewhere"))
    assert event["type"] == "Warning"
    assert event["involvedObject"]["name"] == NAME
    # It still does its work.
    scene.wait_replicas(NAME, 3)
