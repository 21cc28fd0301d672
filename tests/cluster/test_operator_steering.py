"""Pauses, Observe, activation, cooldown, schedules and fallbacks, on any API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cluster.operating import Operating, made

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.access import Cluster

NAME = "worker"
ALL_YEAR = {"name": "all-year", "start": "0 0 1 1 *", "end": "59 23 31 12 *"}


@pytest.fixture
def deployment(cluster: Cluster) -> Iterator[str]:
    """The path of a Deployment of one replica."""
    labels = {"app": NAME}
    container = {"name": "main", "image": "registry.k8s.io/pause:3.9"}
    pod = {"containers": [container], "terminationGracePeriodSeconds": 1}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    deployments = cluster.apps("deployments")
    made(cluster.post(deployments, {"metadata": {"name": NAME}, "spec": spec}))
    yield f"{deployments}/{NAME}"
    cluster.delete(f"{deployments}/{NAME}")


def two_replicas(operating: Operating, deployment: str, **changes: Any) -> None:
    """Have a pool at two replicas, with 20 messages."""
    operating.queues.publish(NAME, 20)
    operating.create_pool(NAME, {"name": NAME}, **changes)
    operating.wait_status(NAME, replicas=2)
    operating.wait_replicas(deployment, 2)


def change(operating: Operating, **body: Any) -> None:
    made(operating.cluster.patch(f"{operating.pools}/{NAME}", body))


@pytest.mark.parametrize(
    ("annotation", "value", "shown", "with_more", "with_fewer"),
    [
        ("paused", "true", "Both", 2, 2),
        ("paused-scale-in", "true", "In", 6, 6),
        ("paused-scale-out", "true", "Out", 2, 1),
        ("paused-replicas", "3", "AtReplicas", 3, 3),
    ],
)
def test_a_pause_holds_its_directions_and_ends_with_its_annotation(
    operating: Operating,
    deployment: str,
    annotation: str,
    value: str,
    shown: str,
    with_more: int,
    with_fewer: int,
) -> None:
    two_replicas(operating, deployment)
    key = f"scan.eco2.io/{annotation}"
    change(operating, metadata={"annotations": {key: value}})
    operating.wait_status(NAME, paused=shown)

    operating.queues.publish(NAME, 40)
    operating.wait_status(NAME, backlog=60, replicas=with_more)
    assert operating.replicas(deployment) == with_more
    operating.queues.work_off(NAME, 55)
    operating.wait_status(NAME, backlog=5, replicas=with_fewer)
    assert operating.replicas(deployment) == with_fewer
    assert shown in operating.cluster.kubectl("get", "swp", NAME)

    change(operating, metadata={"annotations": {key: None}})
    operating.wait_replicas(deployment, 1)


def test_what_a_pool_that_observes_would_have_done_is_told_and_left_undone(
    operating: Operating, deployment: str
) -> None:
    operating.queues.publish(NAME, 20)
    operating.create_pool(NAME, {"name": NAME}, mode="Observe")
    operating.wait_status(NAME, backlog=20, desiredReplicas=2)
    operating.operator.wait_ticks(2)

    observed = operating.status(NAME)["observed"]
    assert (observed["changes"], operating.replicas(deployment)) == (1, 1)
    (last,) = observed["last"]
    assert (last["fromReplicas"], last["toReplicas"]) == (1, 2)

    change(operating, spec={"mode": "Enforce"})
    operating.wait_replicas(deployment, 2)


def test_a_pool_at_zero_starts_above_its_activation_and_ends_after_its_cooldown(
    operating: Operating, deployment: str
) -> None:
    operating.create_pool(NAME, {"name": NAME}, minReplicas=0, cooldownSeconds=0)
    operating.wait_replicas(deployment, 0)
    rabbitmq = operating.cluster.get(f"{operating.pools}/{NAME}").body["spec"]["rabbitmq"]
    rabbitmq["queues"][0]["activationMessages"] = 5
    change(operating, spec={"rabbitmq": rabbitmq, "cooldownSeconds": 3600})
    operating.queues.publish(NAME, 5)
    operating.wait_status(NAME, backlog=5, limitedBy="Activation")
    assert operating.replicas(deployment) == 0

    operating.queues.publish(NAME, 1)
    operating.wait_replicas(deployment, 1)

    operating.queues.work_off(NAME, 6)
    operating.wait_status(NAME, backlog=0, replicas=1)
    operating.operator.wait_ticks(3)
    assert operating.replicas(deployment) == 1
    change(operating, spec={"cooldownSeconds": 0})
    operating.wait_replicas(deployment, 0)


def test_a_schedule_sets_the_bounds_while_it_is_in_force(
    operating: Operating, deployment: str
) -> None:
    operating.create_pool(
        NAME, {"name": NAME}, schedules=[{**ALL_YEAR, "minReplicas": 3, "maxReplicas": 4}]
    )
    operating.wait_status(NAME, schedule="all-year")
    operating.wait_replicas(deployment, 3)
    operating.queues.publish(NAME, 80)
    operating.wait_replicas(deployment, 4)

    change(operating, spec={"schedules": []})

    operating.wait_replicas(deployment, 8)


@pytest.mark.parametrize(
    ("behavior", "replicas", "expected"),
    [
        ("static", 4, 4),
        ("static", 1, 1),
        ("currentReplicas", 4, 2),
        ("currentReplicasIfHigher", 4, 4),
        ("currentReplicasIfHigher", 1, 2),
        ("currentReplicasIfLower", 4, 2),
        ("currentReplicasIfLower", 1, 1),
    ],
)
def test_a_depth_that_stays_unknown_has_its_fallback(
    operating: Operating, deployment: str, behavior: str, replicas: int, expected: int
) -> None:
    fallback = {"failureThreshold": 2, "replicas": replicas, "behavior": behavior}
    two_replicas(operating, deployment, fallback=fallback)

    operating.queues.delete(NAME)

    operating.wait_condition(NAME, "Ready", "False", "QueueNotFound")
    operating.wait_replicas(deployment, expected)
    operating.operator.wait_ticks(4)
    assert operating.replicas(deployment) == expected
