"""Workers that are killed among their tasks: told before, where the pod template gives it away, and
after the first one."""

from typing import Any

import pytest

from sandbox.patience import until

NAME = "scan-worker"
QUEUE = "scan.vision"
WORKER = "celery -A app worker"

pytestmark = pytest.mark.any_cluster


def create(scene, replicas: int, container: dict[str, Any], **spec: Any) -> None:
    """Create a Deployment, and a pool that wants as many replicas."""
    scene.queues.publish(QUEUE, 10 * replicas)
    labels = {"app": NAME}
    worker = {"name": "worker", **scene.stage.worker, **container}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [worker], **spec}}
    deployment = {
        "replicas": replicas, "selector": {"matchLabels": labels}, "template": template
    }  # fmt: skip
    scene.kube.post(scene.deployments, {"metadata": {"name": NAME}, "spec": deployment})
    scene.create_pool(NAME, QUEUE)


def test_a_shell_in_front_of_the_worker_is_told_of_before_it_costs_anything(scene) -> None:
    create(scene, 1, {"command": ["sh", "-c", WORKER]})

    told = scene.wait_condition(NAME, "TasksCutOff", "True", "SignalNotPassedOn")["message"]
    assert "container worker starts its worker by sh -c" in told
    (event,) = until("it is an event", lambda: scene.events("SignalNotPassedOn"))
    assert event["type"] == "Warning"

    mended = {"name": "worker", **scene.stage.worker, "command": ["sh", "-c", f"exec {WORKER}"]}
    template = {"template": {"spec": {"containers": [mended]}}}
    scene.kube.patch(f"{scene.deployments}/{NAME}", {"spec": template})
    scene.wait_condition(NAME, "TasksCutOff", "Unknown", "NotMeasured")


@pytest.mark.usefixtures("running_pods")
def test_a_worker_that_was_killed_as_its_grace_ended_is_told_of(scene) -> None:
    create(scene, 2, {**scene.stage.deaf_worker}, terminationGracePeriodSeconds=1)
    scene.wait_status(NAME, replicas=2, readyReplicas=2)
    assert scene.condition(NAME, "TasksCutOff")["status"] == "Unknown"

    scene.queues.work_off(QUEUE, 10)
    told = scene.wait_condition(NAME, "TasksCutOff", "True", "GraceTooShort")["message"]
    assert told.startswith("within an hour 1 worker was killed as the 1 s of")
    assert f"last pod {NAME}-" in told


@pytest.mark.usefixtures("running_pods")
def test_a_worker_that_ends_in_time_is_all_right(scene) -> None:
    create(scene, 2, {})
    scene.wait_status(NAME, replicas=2, readyReplicas=2)

    scene.queues.work_off(QUEUE, 10)
    scene.wait_condition(NAME, "TasksCutOff", "False", "GraceSuffices")
