"""Pools, their CRD, the API server and the operator itself come and go."""

import time

import httpx

from sandbox.conftest import open_stage
from sandbox.patience import until
from sandbox.scene import MANAGEMENT_URL, Scene, open_scene
from sandbox.stage import CRD

NAME = "scan-worker"
QUEUE = "scan.vision"
PROMPT_SECONDS = 10.0
"""Kubernetes gives a pod 30 s between SIGTERM and SIGKILL; the operator needs one or two."""


def scaled_pool(scene: Scene) -> None:
    scene.queues.publish(QUEUE, 30)
    scene.create_deployment(NAME)
    scene.create_pool(NAME, QUEUE)
    scene.wait_status(NAME, replicas=3, readyReplicas=3)


def test_a_deleted_pool_leaves_its_deployment_and_can_come_back(scene) -> None:
    scaled_pool(scene)
    assert scene.is_shown()

    scene.kube.delete(f"{scene.pools}/{NAME}")
    assert scene.kube.find(f"{scene.pools}/{NAME}") is None
    until("its metrics are gone", lambda: not scene.is_shown())
    assert scene.replicas(NAME) == 3

    scene.queues.publish(QUEUE, 10)
    scene.create_pool(NAME, QUEUE)
    scene.wait_status(NAME, replicas=4)
    assert scene.is_shown()
    assert scene.stage.scales(scene.namespace, NAME) == [1, 3, 4]


def test_a_pool_can_be_deleted_while_no_operator_runs(scene) -> None:
    operator = scene.stage.operator
    scaled_pool(scene)
    asked_at = time.monotonic()
    assert operator.stop() == 0
    assert time.monotonic() - asked_at < PROMPT_SECONDS

    scene.kube.delete(f"{scene.pools}/{NAME}")
    assert scene.kube.find(f"{scene.pools}/{NAME}") is None
    assert scene.replicas(NAME) == 3

    operator.start()
    scene.create_pool("other", QUEUE)
    scene.wait_condition("other", "Ready", "False", "TargetNotFound")
    assert f'pool="{NAME}"' not in operator.metrics()
    assert scene.replicas(NAME) == 3


def test_the_crd_can_go_and_come_back(scene) -> None:
    operator = scene.stage.operator
    scaled_pool(scene)

    scene.kube.kubectl("delete", "-f", CRD)
    until("the operator forgets the pool", lambda: not scene.is_shown())
    assert scene.replicas(NAME) == 3
    assert operator.health() == httpx.codes.OK

    scene.kube.kubectl("apply", "-f", CRD)
    scene.kube.kubectl("wait", "--for=condition=Established", "-f", CRD, "--timeout=30s")
    scene.queues.publish(QUEUE, 10)
    until("pools are served", lambda: scene.kube.find(scene.pools))
    scene.create_pool(NAME, QUEUE)
    scene.wait_status(NAME, replicas=4)


def test_the_operator_waits_for_an_api_server_that_is_away(background, tmp_path, rabbitmq) -> None:
    with open_stage(background, tmp_path) as stage, open_scene(stage, rabbitmq) as scene:
        operator = stage.operator
        scaled_pool(scene)
        url = scene.secret(MANAGEMENT_URL)

        stage.stop_api()
        operator.wait_ticks(3)
        assert operator.health() == httpx.codes.OK
        assert scene.is_shown()

        # No watch was there to tell that the pool is gone: what it scaled must be left alone.
        stage.restart_api()
        scene.create_namespace()
        scene.create_secret(**{MANAGEMENT_URL: url})
        scene.create_deployment(NAME)
        until("the operator has forgotten the pool", lambda: not scene.is_shown())
        assert stage.scales(scene.namespace, NAME) == [1]

        scene.create_pool(NAME, QUEUE)
        scene.wait_status(NAME, replicas=3, readyReplicas=3)
        assert operator.health() == httpx.codes.OK
