"""The operator as a real process on an API server with RBAC, beside the real servers.

- `stage`: one API server and one operator for the whole session. When it ends, its record must
  show no traceback, no refused request and no status that lost a field.
- `named_cluster`: the same on the cluster that SCANPOOL_TEST_KUBECONFIG names.
- `scene`: a fresh namespace on one of them, whose Secret leads to a fresh vhost; `queues`: its
  messages.
- `provider`: an LLM provider with limits and a quota of its own.
- `prometheus_url`: one real Prometheus.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.background import Background
from sandbox.broker import Queues
from sandbox.named_cluster import NamedCluster
from sandbox.scene import PROVIDER, Scene, open_scene
from sandbox.stage import Stage
from scanpool_sandbox.openai_server import OpenAIServer
from scanpool_sandbox.prometheus_server import PrometheusServer
from scanpool_sandbox.rabbitmq_server import RabbitMQServer


@pytest.fixture(scope="session")
def background() -> Iterator[Background]:
    with Background() as background:
        yield background


@contextmanager
def open_stage(background: Background, directory: Path) -> Iterator[Stage]:
    stage = Stage(background, directory)
    try:
        stage.operator.start()
        yield stage
        stage.check_record()
    finally:
        stage.close()


@pytest.fixture(scope="session")
def stage(background: Background, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(background, tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture(scope="session")
def named_cluster(
    named_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NamedCluster]:
    named = NamedCluster(named_kubeconfig, tmp_path_factory.mktemp("named-cluster"))
    try:
        named.operator.start()
        yield named
        named.check_record()
    finally:
        named.close()


@pytest.fixture
def scene(
    request: pytest.FixtureRequest, named_kubeconfig: Path | None, rabbitmq: RabbitMQServer
) -> Iterator[Scene]:
    """On the stand-in; for tests marked `any_cluster` on the cluster that is named, if one is."""
    is_named = named_kubeconfig is not None and request.node.get_closest_marker("any_cluster")
    stage = request.getfixturevalue("named_cluster" if is_named else "stage")
    with open_scene(stage, rabbitmq) as scene:
        yield scene


@pytest.fixture
def running_pods(scene: Scene) -> None:
    """For tests that are about pods that run: a cluster may have no node for them."""
    if not scene.stage.runs_pods:
        pytest.skip("no node of the cluster is ready: pods do not run there")


@pytest.fixture
def queues(scene: Scene) -> Queues:
    return scene.queues


@pytest.fixture
def provider(background: Background) -> Iterator[OpenAIServer]:
    with background.running(OpenAIServer(PROVIDER)) as server:
        yield server


@pytest.fixture(scope="session")
def prometheus_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with PrometheusServer(tmp_path_factory.mktemp("prometheus"), {}) as server:
        yield server.url


def pytest_configure(config: pytest.Config) -> None:
    told = "any_cluster: runs on the cluster that SCANPOOL_TEST_KUBECONFIG names, too"
    config.addinivalue_line("markers", told)
