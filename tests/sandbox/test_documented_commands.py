"""Commands of the documents that a cluster can answer, as they stand there but for placeholders."""

import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.access import open_client
from documented import INSTALL, LOOK, run_by
from sandbox.background import Background
from sandbox.broker import Queues
from sandbox.foreign import definition
from sandbox.kube_client import ROOT, KubeClient
from sandbox.patience import until
from sandbox.scene import Scene
from sandbox.shell import shell
from scanpool_sandbox.kube import KubeEmulator, Node, Simulated

NAME, QUEUE = "scan-worker", "scan.vision"
IMAGE = f"registry.example/scanpool@sha256:{'0' * 64}"
PROMETHEUS_OPERATOR = (
    definition("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"),
    definition("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules"),
)
# A person goes through it in this order, whatever the page on which a command stands.
ORDER = (
    "apply --server-side -f crds/",
    "apply -k manifests/base",
    "apply -k manifests/overlays/keda",
    "set image",
    "rollout status",
    "get pods",
    "rollout restart",
    "label namespace",
    "apply -k manifests/monitoring",
    "apply -f manifests/samples",
    "explain swp",
    "delete --ignore-not-found -k manifests/base",
    "delete -f crds/",
    "-f install.yaml",
    "delete crd",
)


@pytest.fixture
def admin(background: Background, tmp_path: Path) -> Iterator[KubeClient]:
    nodes = [Node("node-a", cpu="4", memory="8Gi", pods=100)]
    with background.running(KubeEmulator(nodes, images={"*": Simulated()})) as emulator:
        admin = emulator.write_kubeconfig(tmp_path / "kubeconfig")
        client = KubeClient(open_client(admin), admin, tmp_path / "kubectl-cache")
        yield client
        client.close()


def place(command: str) -> int:
    (number,) = (number for number, words in enumerate(ORDER) if words in command)
    return number


def test_an_install_goes_as_it_is_told(admin: KubeClient, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for room in ("crds", "manifests"):
        (checkout / room).symlink_to(ROOT / room)
    install_yaml = runpy.run_path(str(ROOT / "scripts" / "release.py"))["install_yaml"]
    (checkout / "install.yaml").write_text(install_yaml(IMAGE))
    for one in PROMETHEUS_OPERATOR:
        admin.kubectl("apply", "-f", "-", stdin=json.dumps(one))
    admin.kubectl("apply", "-f", "manifests/samples/namespace.yaml")

    commands = sorted(run_by(INSTALL), key=place)
    assert {place(one) for one in commands} == set(range(len(ORDER)))
    for command in commands:
        shell(command, admin.kubeconfig, checkout, REGISTRY="registry.example")

    crds = admin.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]
    assert [one for one in crds if one["spec"]["group"] == "scan.eco2.io"] == []
    operator = admin.get("/apis/apps/v1/namespaces/scanpool-system/deployments/scanpool")
    (container,) = operator["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGE


def test_a_pool_can_be_looked_at_as_it_is_told(
    scene: Scene, queues: Queues, tmp_path: Path
) -> None:
    queues.publish(QUEUE, 25)
    scene.create_deployment(NAME)
    scene.create_pool(NAME, QUEUE)
    scene.wait_status(NAME, replicas=3, readyReplicas=3)

    said = {
        command: shell(_filled_in(command, scene), scene.kube.kubeconfig, tmp_path)
        for command in run_by(LOOK)
    }

    assert [command for command, text in said.items() if not text.strip()] == []
    about = {one: text for one, text in said.items() if re.search(r"swp|explain", one)}
    assert [one for one, text in about.items() if NAME not in text] == []
    # `kubectl scale swp` was among them.
    until("the maximum is what was asked for", lambda: _spec(scene)["maxReplicas"] == 2)
    scene.wait_replicas(NAME, 2)


def _spec(scene: Scene) -> dict[str, Any]:
    return dict(scene.pool(NAME)["spec"])


def _filled_in(command: str, scene: Scene) -> str:
    """Put names in place of the placeholders, and the namespace where a command leaves it open."""
    line = re.sub(r"\b(NAME|POOL)\b", NAME, command).replace("--replicas=N", "--replicas=2")
    line = re.sub(r"-n (NAMESPACE|scan)\b", f"-n {scene.namespace}", line)
    if line == "kubectl scale deployment":
        line += f" {NAME} --replicas=1"
    if " -n " not in line and " -A" not in line:
        line = line.replace("kubectl ", f"kubectl -n {scene.namespace} ", 1)
    return line
