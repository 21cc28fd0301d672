"""Faults of the API server, which all pools share: one case after the other."""

from collections.abc import Iterator

import pytest

from faults.acts import RECOVERY_SECONDS, events_of, no_tick_failed
from faults.case import Case
from faults.cases import api_server
from faults.cases.api_server import HOME as OPERATORS
from faults.cases.api_server import WANTED
from faults.gateway import Gateway
from faults.held import Held
from faults.world import World
from sandbox.background import Background
from sandbox.patience import until
from sandbox.scene import PER_REPLICA, Scene, management, open_scene
from sandbox.shown import secrets_in, shown_of
from sandbox.stage import HOME, Stage
from scanpool_sandbox.kube.kubeconfig import write_kubeconfig
from scanpool_sandbox.prometheus_server import PrometheusServer
from scanpool_sandbox.rabbitmq_server import RabbitMQServer

READY = 3
TICKS = 4
SLOWEST_TICK_SECONDS = 60.0
"""After which it is given up. Of a slow API server it waits for each look and each write."""
POLLING_SECONDS = 1

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def world(
    background: Background, rabbitmq: RabbitMQServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """An operator whose way to the API server is the gateway; the test's is not."""
    directory = tmp_path_factory.mktemp("stage")
    stage = Stage(background, directory)
    gateway = Gateway({"kube": stage.emulator.url})
    with background.running(gateway):
        token = stage.emulator.token_for(HOME, "scanpool")
        write_kubeconfig(stage.kubeconfig, gateway.url(*OPERATORS), token, HOME)
        stage.operator.start()
        unused = PrometheusServer(tmp_path_factory.mktemp("unused"), {})
        with open_scene(stage, rabbitmq) as scene:
            yield World(scene, gateway, {}, rabbitmq, unused, background)
        assert stage.operator.stop() == 0
    stage.close()


def calm(scene: Scene, name: str) -> None:
    scene.queues.publish(name, READY * PER_REPLICA)
    scene.create_deployment(name)
    scene.create_pool(name, name, rabbitmq=management(name), pollingIntervalSeconds=POLLING_SECONDS)
    scene.wait_replicas(name, READY)
    scene.wait_condition(name, "Ready", "True", "Reconciled")


def see(world: World, case: Case) -> None:
    """See what the case says of the time in which the fault is there."""
    scene, operator = world.scene, world.scene.stage.operator
    if case.tells:
        kind, _, status = case.tells.partition("=")
        scene.wait_condition(case.name, kind, status, case.reason)
        until("it is an Event", lambda: events_of(world, case), scene.events)
    operator.wait_quiet(case.lasts_seconds)
    operator.wait_ticks(TICKS, TICKS * SLOWEST_TICK_SECONDS)
    until(
        f"{case.name} has {case.replicas} replicas",
        lambda: scene.replicas(case.name) == case.replicas,
        lambda: scene.status(case.name),
        RECOVERY_SECONDS,
    )
    assert operator.health() == 200


@pytest.mark.parametrize("case", api_server.CASES, ids=lambda case: case.name)
def test_a_fault_of_the_api_server_is_told_held_and_recovered_from(
    world: World, case: Case
) -> None:
    scene, operator = world.scene, world.scene.stage.operator
    calm(scene, case.name)
    held = Held(operator)
    case.inject(world, case.name)
    try:
        scene.queues.publish(case.name, (WANTED - READY) * PER_REPLICA)
        see(world, case)
    finally:
        case.mend(world, case.name)
    scene.wait_replicas(case.name, case.after)
    scene.wait_status(case.name, replicas=case.after)
    scene.wait_condition(case.name, "Ready", "True", "Reconciled")
    # The watch is there again.
    scene.change_pool(case.name, maxReplicas=READY + 1)
    scene.wait_replicas(case.name, READY + 1)
    assert scene.stage.scales(scene.namespace, case.name) == [1, READY, WANTED, READY + 1]
    assert scene.queues.ready(case.name) == WANTED * PER_REPLICA
    assert secrets_in(shown_of(scene), world.rabbitmq.password, world.rabbitmq.user) == []
    no_tick_failed(operator)
    held.check()
    scene.kube.delete(f"{scene.pools}/{case.name}")
