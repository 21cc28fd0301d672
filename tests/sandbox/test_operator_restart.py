"""What a new process of the operator knows, and what it must not do before it knows more."""

from sandbox.patience import until

GROWN, SHRUNK = POOLS = ("grown", "shrunk")
"""Each with the queue of its name, which changes while no operator runs."""
LONG_SECONDS = 600
"""A polling interval that lets exactly one tick happen: the first."""


def test_the_first_tick_holds_whatever_the_queue_says(scene, queues) -> None:
    operator, stage = scene.stage.operator, scene.stage
    for name in POOLS:
        queues.publish(name, 30)
        scene.create_deployment(name)
        scene.create_pool(name, name)
    for name in POOLS:
        scene.wait_status(name, replicas=3, desiredReplicas=3)
    # The broker may have been asked while it counted still.
    before = {name: stage.scales(scene.namespace, name) for name in POOLS}

    operator.kill()
    queues.publish(GROWN, 30)
    queues.purge(SHRUNK)
    for name in POOLS:
        scene.change_pool(name, pollingIntervalSeconds=LONG_SECONDS)
    # Without an election, which would have it follow the pools until the Lease has run out.
    operator.start("--leader-elect=false")
    until("each has ticked once", lambda: operator.ticks() == len(POOLS), operator.ticks)

    for name, messages in ((GROWN, 60), (SHRUNK, 0)):
        status = scene.wait_status(name, limitedBy="Hold", backlog=messages)
        assert [step["step"] for step in status["steps"]] == ["hold"]
        assert stage.scales(scene.namespace, name) == before[name]

    for name, then in ((GROWN, 6), (SHRUNK, 1)):
        scene.change_pool(name, pollingIntervalSeconds=1)
        scene.wait_status(name, replicas=then)
        assert stage.scales(scene.namespace, name) == [*before[name], then]

    operator.stop()
    operator.start()
