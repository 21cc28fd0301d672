"""A pool at its fixed point stays there, at no cost to the API server, whoever restarts."""

from collections.abc import Iterator

import pytest

from sandbox.patience import until
from sandbox.scene import AT_ONCE, PROVIDER, Scene, llm, management, open_scene
from scanpool_sandbox.openai_server import OpenAIServer

BUSY, IDLE, BROKEN = "busy", "idle", "broken"
POOLS = (BUSY, IDLE, BROKEN)
USED_TOKENS_PER_MINUTE = 1_200_000
"""All of it the pool's own: its queue is said to cost nothing, so nothing tells it apart."""
TICKS = 20


@pytest.fixture(scope="module")
def steady(stage, rabbitmq, background, prometheus_url) -> Iterator[Scene]:
    """Three pools that have come to rest: with a backlog, without one, and without its queue."""
    server = OpenAIServer(PROVIDER)
    with background.running(server), open_scene(stage, rabbitmq) as scene:
        scene.queues.publish(BUSY, 30)
        scene.queues.declare(IDLE)
        for name in POOLS:
            scene.create_deployment(name)
        broker = management(BUSY)
        broker["queues"][0]["tokensPerMessage"] = 0
        use = {"url": prometheus_url, "query": f"vector({USED_TOKENS_PER_MINUTE})"}
        scene.create_pool(
            BUSY,
            BUSY,
            rabbitmq=broker,
            behavior={"scaleUp": {"policies": AT_ONCE}},
            llm=llm(server.base_url, usage={"windowSeconds": 10, "prometheus": use}),
        )
        scene.create_pool(IDLE, IDLE, llm=llm(server.base_url))
        scene.create_pool(BROKEN, "no-such-queue")
        scene.wait_condition(BROKEN, "Ready", "False", "QueueNotFound")
        # Known only once the broker shows the new queue's statistics.
        until(
            "the use of the idle pool is known",
            lambda: scene.status(IDLE)["llm"].get("usedTokensPerMinute") == 0,
            lambda: scene.status(IDLE),
        )
        until(
            "the cost of a replica is learned",
            lambda: scene.status(BUSY)["llm"].get("tokensPerReplicaSource") == "Learned",
            lambda: scene.status(BUSY),
        )
        yield scene


def test_twenty_ticks_write_nothing(steady) -> None:
    stage = steady.stage
    assert steady.status(BUSY)["replicas"] == 3
    assert steady.status(IDLE)["replicas"] == 1
    before = {name: steady.pool(name)["metadata"]["resourceVersion"] for name in POOLS}
    # Whatever was decided before the last status was seen is written by the end of one more tick.
    stage.operator.wait_ticks(len(POOLS))
    settled = len(stage.writes())

    stage.operator.wait_ticks(TICKS * len(POOLS))

    assert stage.writes()[settled:] == []
    after = {name: steady.pool(name)["metadata"]["resourceVersion"] for name in POOLS}
    assert after == before


def test_a_killed_operator_neither_forgets_nor_rushes(steady) -> None:
    stage, queues = steady.stage, steady.queues
    learned = steady.status(BUSY)["checkpoint"]["tokensPerReplicaMinute"]
    assert learned == USED_TOKENS_PER_MINUTE / 3
    scaled = stage.scales(steady.namespace, BUSY)

    stage.operator.kill()
    queues.purge(BUSY)
    stage.operator.start()

    # Fewer replicas have to wait until the five minutes of the window have filled anew.
    status = steady.wait_status(BUSY, backlog=0, limitedBy="Stabilization")
    assert status["llm"]["tokensPerReplicaSource"] == "Learned"
    assert status["checkpoint"]["tokensPerReplicaMinute"] == learned
    stage.operator.wait_ticks(2 * len(POOLS))
    assert stage.scales(steady.namespace, BUSY) == scaled
