"""The server under contract: the emulator, or the cluster SCANPOOL_TEST_KUBECONFIG names."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from cluster.access import Cluster, eventually, open_client
from cluster.definitions import widgets
from cluster.operating import Operating
from cluster.operating import operating as operating_on
from sandbox.broker import Queues

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scanpool_sandbox.rabbitmq_server import RabbitMQServer

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture(scope="session")
def kubeconfig(
    named_kubeconfig: Path | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    if named_kubeconfig is not None:
        yield named_kubeconfig
        return
    directory = tmp_path_factory.mktemp("kube")
    command = [sys.executable, "-m", "scanpool_sandbox.kube", "--directory", str(directory)]
    with subprocess.Popen(
        [*command, "--node", "name=node-a"], stdout=subprocess.PIPE, text=True
    ) as emulator:
        try:
            assert emulator.stdout is not None
            assert emulator.stdout.readline().startswith("ready")
            yield directory / "kubeconfig"
        finally:
            emulator.terminate()
            emulator.wait()


@pytest.fixture(scope="session")
def server(kubeconfig: Path) -> Iterator[Cluster]:
    mark = secrets.token_hex(3)
    with open_client(kubeconfig) as http:
        cluster = Cluster(http, kubeconfig, f"contract-{mark}", f"{mark}.example.com")
        crd = f"{DEFINITIONS}/widgets.{cluster.group}"
        cluster.post("/api/v1/namespaces", {"metadata": {"name": cluster.namespace}})
        assert cluster.post(DEFINITIONS, widgets(cluster.group)).code == 201
        try:
            eventually(lambda: _is_established(cluster, crd))
            eventually(lambda: cluster.get(cluster.widgets).code == 200)
            yield cluster
        finally:
            cluster.delete(crd)
            cluster.delete(f"/api/v1/namespaces/{cluster.namespace}")


def _is_established(cluster: Cluster, path: str) -> bool:
    conditions: list[dict[str, Any]] = (
        cluster.get(path).body.get("status", {}).get("conditions") or []
    )
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


@pytest.fixture
def cluster(server: Cluster) -> Iterator[Cluster]:
    """The server with no widgets in the suite's namespace, before and after."""
    yield server
    for widget in server.get(server.widgets).body["items"]:
        path = f"{server.widgets}/{widget['metadata']['name']}"
        server.patch(path, {"metadata": {"finalizers": None}})
        server.delete(path)
    eventually(lambda: not server.get(server.widgets).body["items"])


@pytest.fixture(scope="module")
def operator(
    server: Cluster, rabbitmq: RabbitMQServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operating]:
    """The operator as a process on the server, for the pools of the suite's namespace."""
    vhost = f"{server.namespace}/scan"
    rabbitmq.create_vhost(vhost)
    url = f"{rabbitmq.management_url}/{quote(vhost, safe='')}"
    directory = tmp_path_factory.mktemp("operator")
    with (
        Queues(rabbitmq.amqp_url(vhost)) as queues,
        operating_on(server, url, queues, directory) as operating,
    ):
        yield operating
    rabbitmq.delete_vhost(vhost)


@pytest.fixture
def operating(cluster: Cluster, operator: Operating) -> Iterator[Operating]:
    """The operator with no pool, before and after."""
    assert cluster.namespace == operator.cluster.namespace
    yield operator
    operator.close()


@pytest.fixture(scope="session")
def has_rules(server: Cluster) -> bool:
    """Whether the server evaluates CEL and checks fields strictly: 1.25 and later."""
    major, minor, *_ = server.get("/version").body["gitVersion"].removeprefix("v").split(".")
    return (int(major), int(minor)) >= (1, 25)


@pytest.fixture(scope="session")
def kubectl_minor(server: Cluster) -> int:
    """The minor version of the kubectl in use; Debian 12 has 1.20."""
    version = json.loads(server.kubectl("version", "--client", "--output=json"))["clientVersion"]
    return int(version["gitVersion"].split(".")[1])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "controllers: needs controllers, not just an API server")
