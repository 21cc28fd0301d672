"""A pool at its fixed point stays there, at no cost to the API server, whoever restarts."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from sandbox.patience import until
from sandbox.scene import MODEL, PROVIDER, Scene, llm, management, open_scene
from scanpool_sandbox.openai_server import OpenAIServer

BUSY, IDLE, BROKEN = STEADY = ("busy", "idle", "broken")
LEARNING = "learning"
LEARNING_REPLICAS = 3
POOLS = (*STEADY, LEARNING)
# One that learns would move the share of those that are to stay as they are.
OTHER_MODEL = "gpt-5.2-mini"
OTHERS_TOKENS_PER_MINUTE = 600_000
OWN_TOKENS_PER_MINUTE = 1_200_000
GUESS = 500_000
"""Tokens per replica-minute, of each pool's spec."""
TICKS = 20


@pytest.fixture(scope="module")
def steady(stage, rabbitmq, background, prometheus_url) -> Iterator[Scene]:
    """Pools at rest: with a backlog, without one, without a queue; and one that learns its cost.

    The first two share a key and model.
    """
    server = OpenAIServer(replace(PROVIDER, models=(MODEL, OTHER_MODEL)))
    with background.running(server), open_scene(stage, rabbitmq) as scene:
        scene.queues.declare(IDLE)
        for name in (BUSY, LEARNING):
            scene.queues.publish(name, 30)
        for name in POOLS:
            scene.create_deployment(name, LEARNING_REPLICAS if name == LEARNING else 1)
        scene.create_pool(BROKEN, "no-such-queue")
        scene.create_pool(IDLE, IDLE, llm=llm(server.base_url))
        use = usage(prometheus_url, OTHERS_TOKENS_PER_MINUTE)
        scene.create_pool(BUSY, BUSY, llm=llm(server.base_url, usage=use))
        # Its queue is said to cost nothing, so nothing tells its own use from the key's: it keeps
        # the replicas that it has, and learns what they cost. While none of them was ready, the
        # use would be others', and the pool scale down.
        scene.wait_ready(LEARNING)
        broker = management(LEARNING)
        broker["queues"][0]["tokensPerMessage"] = 0
        scene.create_pool(
            LEARNING,
            LEARNING,
            rabbitmq=broker,
            llm=llm(
                server.base_url,
                model=OTHER_MODEL,
                usage=usage(prometheus_url, OWN_TOKENS_PER_MINUTE),
            ),
            # The others shrink at once; this one has the window that is usual.
            behavior={},
        )
        scene.wait_condition(BROKEN, "Ready", "False", "QueueNotFound")
        for name in (IDLE, BUSY):
            scene.wait_own_use(name)
        yield scene


def usage(prometheus_url: str, tokens_per_minute: int) -> dict[str, object]:
    query = f"vector({tokens_per_minute})"
    return {"windowSeconds": 10, "prometheus": {"url": prometheus_url, "query": query}}


def test_twenty_ticks_write_nothing(steady) -> None:
    stage = steady.stage
    assert steady.wait_status(BUSY, limitedBy="Tokens", replicas=2, readyReplicas=2)
    assert steady.status(IDLE)["replicas"] == 1
    assert steady.status(IDLE)["llm"]["budget"]["others"][0]["pool"].endswith(BUSY)
    # Whatever was decided before the last status was seen is written by the end of one more tick.
    stage.operator.wait_ticks(len(POOLS))
    before = {name: steady.pool(name)["metadata"]["resourceVersion"] for name in STEADY}
    settled = len(stage.writes())

    # Where there is room for hundreds of pods, one that comes is no news for a pool.
    steady.create_deployment("neighbor")
    stage.operator.wait_ticks(TICKS * len(POOLS))

    written = [entry for entry in stage.writes()[settled:] if entry.name != LEARNING]
    assert written == []
    after = {name: steady.pool(name)["metadata"]["resourceVersion"] for name in STEADY}
    assert after == before


def test_a_killed_operator_neither_forgets_nor_rushes(steady) -> None:
    stage = steady.stage
    until(
        "the cost of a replica is learned",
        lambda: steady.status(LEARNING)["llm"].get("tokensPerReplicaSource") == "Learned",
        lambda: steady.status(LEARNING),
    )
    steady.wait_status(LEARNING, replicas=LEARNING_REPLICAS, readyReplicas=LEARNING_REPLICAS)
    scaled = stage.scales(steady.namespace, LEARNING)

    stage.operator.kill()
    learned = steady.status(LEARNING)["checkpoint"]["tokensPerReplicaMinute"]
    assert OWN_TOKENS_PER_MINUTE / LEARNING_REPLICAS <= learned < GUESS, (
        "from the spec's guess to what is so"
    )
    steady.queues.purge(LEARNING)
    stage.operator.start()

    # Fewer replicas have to wait until the five minutes of the window have filled anew.
    status = steady.wait_status(LEARNING, backlog=0, limitedBy="Stabilization")
    assert status["llm"]["tokensPerReplicaSource"] == "Learned"
    assert status["checkpoint"]["tokensPerReplicaMinute"] == learned
    stage.operator.wait_ticks(2 * len(POOLS))
    assert stage.scales(steady.namespace, LEARNING) == scaled
