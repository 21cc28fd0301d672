"""The billing breaker: messages wait while the provider refuses to be paid."""

from collections.abc import Iterator

import pytest

from sandbox.patience import until
from sandbox.scene import PROVIDER, Scene, llm, open_scene
from scanpool_sandbox.openai_provider import Provider
from scanpool_sandbox.openai_server import OpenAIServer

QUEUE = "scan.vision"
TO_ZERO, TO_MIN, HOLD = CHOICES = ("scale-to-zero", "scale-to-min", "hold")


@pytest.fixture(scope="module")
def exhausted(stage, rabbitmq, background) -> Iterator[tuple[Scene, Provider]]:
    """A pool for each choice, all on one queue and one account, which then has run dry.

    Two replicas before, and a backlog for three by then; the token limit allows three.
    """
    server = OpenAIServer(PROVIDER)
    with background.running(server), open_scene(stage, rabbitmq) as scene:
        scene.queues.publish(QUEUE, 20)
        for name in CHOICES:
            scene.create_deployment(name)
            choice = name.title().replace("-", "")
            scene.create_pool(name, QUEUE, llm=llm(server.base_url, onQuotaExhausted=choice))
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
    events = scene.events("QuotaExhausted")
    assert [e["type"] for e in events if e["involvedObject"]["name"] == name] == ["Warning"]
    assert scene.queues.ready(QUEUE) == 30


def test_an_open_breaker_survives_the_process(exhausted) -> None:
    scene, provider = exhausted
    operator = scene.stage.operator
    scene.wait_status(TO_ZERO, replicas=0, readyReplicas=0)

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
    provider.faults.outage = False


def test_workers_come_back_once_the_account_is_topped_up(exhausted) -> None:
    scene, provider = exhausted
    provider.quota.set_remaining(None)
    # One replica tries first, unless more of them stayed. That goes for the process that was
    # started in between, too: without the checkpoint it would ask for all three at once.
    for name, expected in (
        (TO_ZERO, [1, 2, 0, 1, 3]),
        (TO_MIN, [1, 2, 1, 3]),
        (HOLD, [1, 2, 3]),
    ):
        scene.wait_condition(name, "QuotaExhausted", "False", "QuotaAvailable")
        scene.wait_status(name, replicas=3, readyReplicas=3)
        assert scene.stage.scales(scene.namespace, name) == expected
