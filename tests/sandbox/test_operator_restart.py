"""What a new process of the operator knows, and what it must not do before it knows more."""

from sandbox.patience import until
from sandbox.scene import Scene

NAME = "scan-worker"
QUEUE = "scan.vision"
LONG_SECONDS = 600
"""A polling interval that lets exactly one tick happen: the first."""


def restart_for_one_tick(scene: Scene) -> None:
    """Start the operator and wait until the pool's first tick has happened."""
    operator = scene.stage.operator
    operator.start()
    until("a tick has happened", operator.ticks)


def test_the_first_tick_holds_whatever_the_queue_says(scene, queues) -> None:
    operator, stage = scene.stage.operator, scene.stage
    queues.publish(QUEUE, 30)
    scene.create_deployment(NAME)
    scene.create_pool(NAME, QUEUE)
    scene.wait_status(NAME, replicas=3, desiredReplicas=3)

    for messages, then in ((60, 6), (20, 2)):
        before = stage.scales(scene.namespace, NAME)
        operator.kill()
        queues.purge(QUEUE)
        queues.publish(QUEUE, messages)
        scene.change_pool(NAME, pollingIntervalSeconds=LONG_SECONDS)
        restart_for_one_tick(scene)

        status = scene.wait_status(NAME, limitedBy="Hold", backlog=messages)
        assert [step["step"] for step in status["steps"]] == ["hold"]
        assert stage.scales(scene.namespace, NAME) == before

        scene.change_pool(NAME, pollingIntervalSeconds=1)
        scene.wait_status(NAME, replicas=then)
