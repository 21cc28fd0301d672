"""The operator may do exactly what it does."""

import yaml

from sandbox.consumers import Consumer, connected, held, pod_names
from sandbox.kube_client import ROOT
from sandbox.patience import until
from sandbox.scene import Scene
from sandbox.workloads import create_stateful_set

NAME = "scan-worker"
NUMBERED = "numbered"
QUEUE = "scan.vision"


def granted() -> set[tuple[str, str, str]]:
    roles = (
        yaml.safe_load((ROOT / f"manifests/base/{name}.yaml").read_text())
        for name in ("clusterrole", "lease-role")
    )
    return {
        (verb, group, resource)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_every_right_is_used_and_nothing_is_done_without_one(scene) -> None:
    scene.queues.publish(QUEUE, 20)
    scene.create_deployment(NAME)
    scene.create_pool(NAME, QUEUE)
    scene.wait_status(NAME, replicas=2, readyReplicas=2)
    with connected(scene) as connection:
        # Pods that hold nothing are marked before they go.
        Consumer(connection, QUEUE, pod_names(scene)[0])
        connection.process_data_events(time_limit=0.1)
        until("the statistics show it", lambda: held(scene) == 1)
        scene.queues.work_off(QUEUE, 15)
        scene.wait_status(NAME, replicas=1)
    create_stateful_set(scene, NUMBERED)
    scene.queues.publish(NUMBERED, 20)
    ref = {"kind": "StatefulSet", "name": NUMBERED}
    scene.create_pool(NUMBERED, NUMBERED, scaleTargetRef=ref)
    scene.wait_status(NUMBERED, replicas=2, readyReplicas=2)

    # A watch is on record once the server has ended it.
    until("every right was used", lambda: granted() <= used(scene), lambda: used(scene))
    assert [entry for entry in scene.stage.audit() if entry.code in (401, 403)] == []
    assert used(scene) == granted()


def used(scene: Scene) -> set[tuple[str, str, str]]:
    return {
        (
            entry.verb,
            entry.group,
            entry.resource + (f"/{entry.subresource}" if entry.subresource else ""),
        )
        for entry in scene.stage.audit()
        if entry.resource
    }
