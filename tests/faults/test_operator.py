"""Faults of the operator as a process: one case after the other."""

from collections.abc import Iterator

import pytest

from faults.acts import no_tick_failed
from faults.case import Case
from faults.cases import operator as faults
from faults.cases.operator import FIRST, LEAST, WANTED, wants
from faults.faulty import DIRECTORY, Switches
from faults.faulty import __file__ as faulty
from faults.gateway import Gateway
from faults.held import Held
from faults.world import Part, World
from sandbox.background import Background
from sandbox.operator_process import Operator
from sandbox.scene import MANAGEMENT_URL, PER_REPLICA, management, open_scene
from sandbox.shown import secrets_in, shown_of
from sandbox.stage import Stage
from scanpool_sandbox.prometheus_server import PrometheusServer
from scanpool_sandbox.rabbitmq_server import RabbitMQServer

POLLING_SECONDS = 1
pytestmark = pytest.mark.long


@pytest.fixture
def world(
    background: Background,
    rabbitmq: RabbitMQServer,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    """An operator of its own for each case, as that is what suffers."""
    directory = tmp_path_factory.mktemp("stage")
    monkeypatch.setenv(DIRECTORY, str(directory))
    Switches(directory).set_clock(0.0)
    stage = Stage(background, directory)
    stage.operator = Operator(directory / "operator", stage.kubeconfig, program=(faulty,))
    stage.operator.start()
    unused = PrometheusServer(directory, {})
    gateway = Gateway({"broker": f"http://127.0.0.1:{rabbitmq.ports.management}"})
    with background.running(gateway), open_scene(stage, rabbitmq) as scene:
        yield World(scene, gateway, {}, rabbitmq, unused, background)
    stage.close()


@pytest.mark.parametrize("case", faults.CASES, ids=lambda case: case.name)
def test_a_fault_of_the_operator_breaks_nothing(world: World, case: Case) -> None:
    scene, name = world.scene, case.name
    world.parts[name] = Part.OPERATOR
    scene.create_secret(name, **{MANAGEMENT_URL: world.management_url(name)})
    scene.queues.publish(name, LEAST * PER_REPLICA)
    scene.create_deployment(name)
    scene.create_pool(
        name, name, rabbitmq=management(name, secret=name), pollingIntervalSeconds=POLLING_SECONDS
    )
    scene.wait_status(name, replicas=LEAST)
    held = Held(scene.stage.operator)
    case.inject(world, name)
    if not case.is_known:
        assert scene.stage.scales(scene.namespace, name) == [FIRST, LEAST]
    wants(world, name, WANTED)
    scene.wait_replicas(name, case.replicas)
    case.mend(world, name)
    scene.wait_status(name, replicas=case.after, backlog=WANTED * PER_REPLICA)
    scene.wait_condition(name, "Ready", "True", "Reconciled")

    had = scene.stage.scales(scene.namespace, name)
    assert had[:2] == [FIRST, LEAST]
    assert set(had[1:]) <= set(range(LEAST, case.most + 1))
    if not case.is_known:
        assert had == [FIRST, LEAST, WANTED]
    assert scene.queues.ready(name) == WANTED * PER_REPLICA
    # It still gives back what is not asked for.
    wants(world, name, LEAST)
    scene.wait_replicas(name, LEAST)
    assert secrets_in(shown_of(scene), world.rabbitmq.password, world.rabbitmq.user) == []
    no_tick_failed(scene.stage.operator)
    if scene.stage.operator.pid == held.pid:
        held.check()
