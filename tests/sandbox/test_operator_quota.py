"""The billing breaker: messages wait while the provider refuses to be paid."""

import pytest

from sandbox.patience import until
from sandbox.scene import Scene, llm

NAME = "scan-worker"
QUEUE = "scan.vision"
BACKLOG = 20
"""Two replicas' worth. The token limit allows three."""


def start_pool(scene: Scene, base_url: str, choice: str) -> None:
    scene.queues.publish(QUEUE, BACKLOG)
    scene.create_deployment(NAME)
    scene.create_pool(NAME, QUEUE, llm=llm(base_url, onQuotaExhausted=choice))
    scene.wait_status(NAME, replicas=2)
    scene.wait_condition(NAME, "QuotaExhausted", "False", "QuotaAvailable")


@pytest.mark.parametrize(
    ("choice", "expected"),
    # One replica tries first, unless all of them stayed.
    [("ScaleToZero", [1, 2, 0, 1, 3]), ("ScaleToMin", [1, 2, 1, 3]), ("Hold", [1, 2, 3])],
)
def test_workers_go_while_nothing_is_paid_and_come_back(scene, provider, choice, expected) -> None:
    start_pool(scene, provider.base_url, choice)

    provider.provider.quota.set_remaining(0)
    exhausted = scene.wait_condition(NAME, "QuotaExhausted", "True", "QuotaExhausted")
    assert "insufficient_quota" in exhausted["message"]
    assert "top up the account" in exhausted["message"]
    scene.queues.publish(QUEUE, 10)
    left = {"ScaleToZero": 0, "ScaleToMin": 1, "Hold": 2}[choice]
    scene.wait_status(NAME, replicas=left, readyReplicas=left, limitedBy="Quota", backlog=30)
    assert scene.queues.ready(QUEUE) == 30
    (event,) = scene.events("QuotaExhausted")
    assert event["type"] == "Warning"

    provider.provider.quota.set_remaining(None)
    scene.wait_condition(NAME, "QuotaExhausted", "False", "QuotaAvailable")
    scene.wait_status(NAME, replicas=3, readyReplicas=3)
    assert scene.stage.scales(scene.namespace, NAME) == expected


def test_an_open_breaker_survives_the_process(scene, provider) -> None:
    operator = scene.stage.operator
    start_pool(scene, provider.base_url, "ScaleToZero")
    provider.provider.quota.set_remaining(0)
    scene.wait_status(NAME, replicas=0, readyReplicas=0)

    # Nothing but the checkpoint can now tell the next process that the account was empty.
    assert operator.stop() == 0
    provider.provider.faults.outage = True
    operator.start()
    scene.wait_condition(NAME, "Ready", "False", "ProviderUnreachable")
    until("it has ticked often", lambda: operator.ticks() >= 3)
    assert scene.condition(NAME, "QuotaExhausted")["status"] == "True"
    assert scene.replicas(NAME) == 0

    # So it starts with one replica, rather than with the two that the backlog asks for.
    provider.provider.quota.set_remaining(None)
    provider.provider.faults.outage = False
    scene.wait_replicas(NAME, 2)
    assert scene.stage.scales(scene.namespace, NAME) == [1, 2, 0, 1, 2]
