"""The operator as a process beside the real servers, with a gateway before what shall fail.

The cases of a class in acts.py run at once: `calm` is before the faults, `failing` with all of
them, `mended` after them.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from faults.case import Case
from faults.gateway import Gateway
from faults.held import Held
from faults.world import CEILING, World, key
from sandbox.background import Background
from sandbox.conftest import open_stage
from sandbox.scene import PROVIDER, open_scene
from sandbox.stage import Stage
from scanpool_sandbox.openai_server import OpenAIServer
from scanpool_sandbox.prometheus_server import PrometheusServer
from scanpool_sandbox.rabbitmq_server import RabbitMQServer

TICKS_OF_A_FAULT = 3


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # Other modules name their cases by themselves.
    if metafunc.cls is not None and "case" in metafunc.fixturenames:
        metafunc.parametrize("case", metafunc.cls.cases, ids=lambda case: case.name)


@pytest.fixture(scope="session")
def background() -> Iterator[Background]:
    with Background() as background:
        yield background


@pytest.fixture(scope="session")
def stage(background: Background, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(background, tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture(scope="session")
def steady_prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    with PrometheusServer(tmp_path_factory.mktemp("prometheus"), {}) as server:
        yield server


@pytest.fixture(scope="class")
def cases(request: pytest.FixtureRequest) -> tuple[Case, ...]:
    return tuple(request.cls.cases)


@pytest.fixture(scope="class")
def world(
    cases: tuple[Case, ...],
    stage: Stage,
    rabbitmq: RabbitMQServer,
    background: Background,
    steady_prometheus: PrometheusServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    openai = OpenAIServer(replace(PROVIDER, api_keys=tuple(key(case.name) for case in cases)))
    killable = PrometheusServer(tmp_path_factory.mktemp("killable"), {})
    with background.running(openai):
        upstreams = {
            "provider": openai.url,
            "prometheus": steady_prometheus.url,
            "broker": f"http://127.0.0.1:{rabbitmq.ports.management}",
        }
        gateway = Gateway(upstreams)
        with background.running(gateway), open_scene(stage, rabbitmq) as scene:
            world = World(scene, gateway, upstreams, rabbitmq, killable, background)
            yield world
            for worker in world.workers:
                worker.end()
            world.closing.close()
            killable.stop()


@pytest.fixture(scope="class")
def calm(world: World, cases: tuple[Case, ...]) -> World:
    """Every pool with the replicas that its limit feeds, while its queue asks for more."""
    for case in cases:
        world.start(case.name, case.part, case.prepare, case.spec)
    for case in cases:
        world.scene.wait_replicas(case.name, CEILING)
    for case in cases:
        world.scene.wait_condition(case.name, "Ready", "True", "Reconciled")
    return world


@pytest.fixture(scope="class")
def held(calm: World) -> Held:
    return Held(calm.scene.stage.operator)


@pytest.fixture(scope="class")
def failing(calm: World, held: Held, cases: tuple[Case, ...]) -> World:
    assert held
    for case in cases:
        case.inject(calm, case.name)
    return calm


@pytest.fixture(scope="class")
def mended(failing: World, cases: tuple[Case, ...]) -> World:
    """The same, some ticks after the last fault was told."""
    failing.scene.stage.operator.wait_ticks(TICKS_OF_A_FAULT * len(cases))
    for case in cases:
        case.mend(failing, case.name)
    return failing
