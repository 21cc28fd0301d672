"""Idle pods go first: a scale-down takes none that holds a message."""

import pytest

from sandbox.consumers import Consumer, connected, held, pod_names
from sandbox.patience import until

NAME = "scan-worker"
QUEUE = "scan.vision"

pytestmark = [pytest.mark.any_cluster, pytest.mark.usefixtures("running_pods")]


def test_of_six_workers_a_scale_down_to_four_takes_the_two_that_are_idle(scene) -> None:
    scene.queues.publish(QUEUE, 6)
    scene.create_deployment(NAME)
    one_each = {"name": QUEUE, "messagesPerReplica": 1}
    broker = {**scene.pool_object(NAME, QUEUE)["spec"]["rabbitmq"], "queues": [one_each]}
    scene.create_pool(NAME, QUEUE, rabbitmq=broker)
    scene.wait_status(NAME, replicas=6, readyReplicas=6)
    names = pod_names(scene)
    assert len(names) == 6

    with connected(scene) as connection:
        workers = {name: Consumer(connection, QUEUE, name) for name in names}

        def each_has_had(messages: int) -> bool:
            connection.process_data_events(time_limit=0.1)
            return all(len(one.tags) == messages for one in workers.values())

        until("each worker holds a message", lambda: each_has_had(1))
        # So that nothing is decided before the statistics tell what the workers hold.
        scene.annotate_pool(NAME, **{"scan.eco2.io/paused": "true"})
        scene.wait_condition(NAME, "ScalingActive", "False", "Paused")
        for name in (idle := names[2:4]):
            workers[name].work_off()
        connection.process_data_events(time_limit=0.1)
        until("the statistics show it", lambda: held(scene) == 4, lambda: held(scene))

        scene.annotate_pool(NAME, **{"scan.eco2.io/paused": None})
        scene.wait_status(NAME, replicas=4, readyReplicas=4)
        until("two pods are gone", lambda: len(pod_names(scene)) == 4)
        assert set(pod_names(scene)) == set(names) - set(idle)
        # Nobody has been given what another one had.
        assert each_has_had(1)
        assert scene.queues.ready(QUEUE) == 0
