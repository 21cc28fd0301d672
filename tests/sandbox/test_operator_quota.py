"""The billing breaker: messages wait while the provider refuses to be paid."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from sandbox.patience import until
from sandbox.scene import API_KEY, KEY, PROVIDER, SECRET, Scene, llm, open_scene
from scanpool_sandbox.openai_provider import Provider
from scanpool_sandbox.openai_server import OpenAIServer

QUEUE = "scan.vision"
TO_ZERO, TO_MIN, HOLD = CHOICES = ("scale-to-zero", "scale-to-min", "hold")
MAX_REPLICAS = 3
"""The slow start is over a minute after the breaker has closed: it then allows four."""
OTHER_KEY = "sk-scene-other"
SHARED = replace(PROVIDER, api_keys=(KEY, OTHER_KEY), tokens_per_minute=10_000_000)
"""Room for all replicas of three pools that share the key: no token ceiling binds."""
AN_HOUR = {"intervalSeconds": 3600}


@pytest.fixture(scope="module")
def exhausted(stage, rabbitmq, background) -> Iterator[tuple[Scene, Provider]]:
    """A pool for each choice, all on one queue and one account, which then has run dry.

    Two replicas before, and a backlog for three by then.
    """
    server = OpenAIServer(SHARED)
    with background.running(server), open_scene(stage, rabbitmq) as scene:
        scene.queues.publish(QUEUE, 20)
        for name in CHOICES:
            scene.create_deployment(name)
            choice = name.title().replace("-", "")
            wanted = llm(server.base_url, onQuotaExhausted=choice)
            scene.create_pool(name, QUEUE, llm=wanted, maxReplicas=MAX_REPLICAS)
        for name in CHOICES:
            scene.wait_status(name, replicas=2)
            scene.wait_condition(name, "QuotaExhausted", "False", "QuotaAvailable")
        server.provider.quota.set_remaining(0)
        for name in CHOICES:
            scene.wait_condition(name, "QuotaExhausted", "True", "QuotaExhausted")
        scene.queues.publish(QUEUE, 10)
        yield scene, server.provider


@pytest.mark.parametrize(("name", "left"), [(TO_ZERO, 0), (TO_MIN, 1), (HOLD, 2)])
def test_messages_wait_while_nothing_is_paid(exhausted, name, left) -> None:
    scene, _ = exhausted
    scene.wait_status(name, replicas=left, readyReplicas=left, limitedBy="Quota", backlog=30)
    message = scene.condition(name, "QuotaExhausted")["message"]
    assert "insufficient_quota" in message
    assert "top up the account" in message
    assert "next try within" in message
    assert told(scene, name) == [("Warning", "QuotaExhausted")]
    assert scene.queues.ready(QUEUE) == 30


def test_an_open_breaker_survives_the_process(exhausted) -> None:
    scene, provider = exhausted
    operator = scene.stage.operator
    scene.wait_status(TO_ZERO, replicas=0, readyReplicas=0)
    refusals = scene.status(TO_ZERO)["checkpoint"]["quotaRefusals"]

    # Nothing but the checkpoint can now tell the next process that the account was empty.
    assert operator.stop() == 0
    provider.faults.outage = True
    operator.start()
    for name in CHOICES:
        scene.wait_condition(name, "Ready", "False", "ProviderUnreachable")
    until("each has ticked twice", lambda: operator.ticks() >= 2 * len(CHOICES))
    for name in CHOICES:
        assert scene.condition(name, "QuotaExhausted")["status"] == "True"
    assert scene.replicas(TO_ZERO) == 0
    assert scene.status(TO_ZERO)["checkpoint"]["quotaRefusals"] >= refusals
    provider.faults.outage = False


@pytest.mark.long
def test_workers_come_back_slowly_once_the_account_is_topped_up(exhausted) -> None:
    scene, provider = exhausted
    provider.quota.set_remaining(None)
    touch_spec(scene, TO_ZERO)
    for name in CHOICES:
        scene.wait_condition(name, "QuotaExhausted", "False", "QuotaRecovering")
    scene.wait_condition(TO_ZERO, "ScalingLimited", "True", "QuotaRecovering")
    # One replica tries first, unless more of them stayed. That goes for the process that was
    # started in between, too: without the checkpoint it would ask for all three at once.
    for name in CHOICES:
        scene.wait_status(name, replicas=2, readyReplicas=2)
    for name, expected in (
        (TO_ZERO, [1, 2, 0, 1, 2, 3]),
        (TO_MIN, [1, 2, 1, 2, 3]),
        (HOLD, [1, 2, 3]),
    ):
        scene.wait_status(name, replicas=3, readyReplicas=3)
        scene.wait_condition(name, "QuotaExhausted", "False", "QuotaAvailable")
        assert scene.stage.scales(scene.namespace, name) == expected
        assert told(scene, name) == [
            ("Warning", "QuotaExhausted"),
            ("Normal", "QuotaRecovering"),
            ("Normal", "QuotaAvailable"),
        ]


def touch_spec(scene: Scene, name: str) -> None:
    scene.change_pool(name, memory={"targetUtilizationPercent": 80})


def touch_secret(scene: Scene, _: str) -> None:
    annotations = {"example.com/paid": "yes"}
    scene.kube.patch(f"{scene.secrets}/{SECRET}", {"metadata": {"annotations": annotations}})


def change_key(scene: Scene, _: str) -> None:
    scene.change_secret(**{API_KEY: OTHER_KEY})


@pytest.mark.parametrize("change", [touch_spec, touch_secret, change_key])
def test_whoever_tops_up_the_account_can_say_so(
    stage, rabbitmq, background, change: Callable[[Scene, str], None]
) -> None:
    server = OpenAIServer(replace(SHARED, quota_tokens=0))
    with background.running(server), open_scene(stage, rabbitmq) as scene:
        scene.queues.publish(QUEUE, 10)
        scene.create_deployment(TO_MIN)
        scene.create_pool(TO_MIN, QUEUE, llm=llm(server.base_url, probe=AN_HOUR))
        scene.wait_condition(TO_MIN, "QuotaExhausted", "True", "QuotaExhausted")
        server.provider.quota.set_remaining(None)
        stage.operator.wait_ticks(2 * (1 + len(CHOICES)))
        assert scene.condition(TO_MIN, "QuotaExhausted")["status"] == "True"

        change(scene, TO_MIN)

        scene.wait_condition(TO_MIN, "QuotaExhausted", "False", "QuotaRecovering")


def told(scene: Scene, name: str) -> list[tuple[str, str]]:
    """Types and reasons of a pool's Events about the breaker, oldest first."""
    events = [event for event in scene.events() if event["reason"].startswith("Quota")]
    events.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
    return [(e["type"], e["reason"]) for e in events if e["involvedObject"]["name"] == name]
