"""The operator as a real process on an API server with RBAC, beside the real servers.

- `stage`: one API server and one operator for the whole session. When it ends, its record must
  show no traceback, no refused request and no status that lost a field.
- `scene`: a fresh namespace on it, whose Secret leads to a fresh vhost; `queues`: its messages.
- `provider`: an LLM provider with limits and a quota of its own.
- `prometheus_url`: one real Prometheus.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.background import Background
from sandbox.broker import Queues
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
        check_record(stage)
    finally:
        stage.close()


def check_record(stage: Stage) -> None:
    """What holds for all that the operator did, whatever the tests were about."""
    assert "Traceback" not in stage.operator.log
    # kopf's word for a field that the CRD has taken away.
    assert "inconsistencies" not in stage.operator.log
    refused = [
        entry
        for entry in stage.audit()
        if entry.code in (401, 403) and entry.time >= stage.granted_at
    ]
    assert not refused
    for written, stored in stage.statuses:
        assert stored == written


@pytest.fixture(scope="session")
def stage(background: Background, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(background, tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture
def scene(stage: Stage, rabbitmq: RabbitMQServer) -> Iterator[Scene]:
    with open_scene(stage, rabbitmq) as scene:
        yield scene


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
