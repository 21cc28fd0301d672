"""The billing breaker: messages wait while the provider refuses to be paid."""

from sandbox.patience import until
from sandbox.scene import Scene, llm

QUEUE = "scan.vision"
BACKLOG = 20
"""Two replicas' worth. The token limit allows three."""


def start_pools(scene: Scene, base_url: str, *choices: str) -> None:
    """Start a pool for each choice, all on one queue and one account."""
    scene.queues.publish(QUEUE, BACKLOG)
    for choice in choices:
        name = choice.lower()
        scene.create_deployment(name)
        scene.create_pool(name, QUEUE, llm=llm(base_url, onQuotaExhausted=choice))
    for choice in choices:
        scene.wait_status(choice.lower(), replicas=2)
        scene.wait_condition(choice.lower(), "QuotaExhausted", "False", "QuotaAvailable")


def test_workers_go_while_nothing_is_paid_and_come_back(scene, provider) -> None:
    start_pools(scene, provider.base_url, "ScaleToZero", "ScaleToMin", "Hold")

    provider.provider.quota.set_remaining(0)
    scene.queues.publish(QUEUE, 10)
    for name, left in (("scaletozero", 0), ("scaletomin", 1), ("hold", 2)):
        exhausted = scene.wait_condition(name, "QuotaExhausted", "True", "QuotaExhausted")
        assert "insufficient_quota" in exhausted["message"]
        assert "top up the account" in exhausted["message"]
        scene.wait_status(name, replicas=left, readyReplicas=left, limitedBy="Quota", backlog=30)
    assert scene.queues.ready(QUEUE) == 30
    events = scene.events("QuotaExhausted")
    assert [event["type"] for event in events] == ["Warning"] * 3

    provider.provider.quota.set_remaining(None)
    # One replica tries first, unless all of them stayed.
    for name, expected in (
        ("scaletozero", [1, 2, 0, 1, 3]),
        ("scaletomin", [1, 2, 1, 3]),
        ("hold", [1, 2, 3]),
    ):
        scene.wait_condition(name, "QuotaExhausted", "False", "QuotaAvailable")
        scene.wait_status(name, replicas=3, readyReplicas=3)
        assert scene.stage.scales(scene.namespace, name) == expected


def test_an_open_breaker_survives_the_process(scene, provider) -> None:
    operator, name = scene.stage.operator, "scaletozero"
    start_pools(scene, provider.base_url, "ScaleToZero")
    provider.provider.quota.set_remaining(0)
    scene.wait_status(name, replicas=0, readyReplicas=0)

    # Nothing but the checkpoint can now tell the next process that the account was empty.
    assert operator.stop() == 0
    provider.provider.faults.outage = True
    operator.start()
    scene.wait_condition(name, "Ready", "False", "ProviderUnreachable")
    until("it has ticked twice", lambda: operator.ticks() >= 2)
    assert scene.condition(name, "QuotaExhausted")["status"] == "True"
    assert scene.replicas(name) == 0

    # So it starts with one replica, rather than with the two that the backlog asks for.
    provider.provider.quota.set_remaining(None)
    provider.provider.faults.outage = False
    scene.wait_replicas(name, 2)
    assert scene.stage.scales(scene.namespace, name) == [1, 2, 0, 1, 2]
