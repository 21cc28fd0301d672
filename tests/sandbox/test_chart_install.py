"""The chart on an API server: what an install grants, and what outlives it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cluster.access import open_client
from helm import CHART, helm, rendered
from sandbox.background import Background
from sandbox.kube_client import ROOT, KubeClient
from sandbox.operator_process import Operator
from sandbox.patience import until
from sandbox.scene import open_scene
from sandbox.stage import HOME, Stage
from scanpool_sandbox.kube import KubeEmulator, Node, Simulated
from scanpool_sandbox.rabbitmq_server import RabbitMQServer

RELEASE, NAMESPACE = "scanpool", "scanpool-system"
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scanworkerpools.scan.eco2.io"
POOLS = "/apis/scan.eco2.io/v1alpha1/namespaces/scan/scanworkerpools"
OPERATOR = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/scanpool"
NAME, QUEUE = "scan-worker", "scan.vision"
NODES = (Node("node-a", cpu="4", memory="8Gi", pods=100),)


@pytest.fixture
def admin(background: Background, tmp_path: Path) -> Iterator[KubeClient]:
    with background.running(KubeEmulator(NODES, images={"*": Simulated()})) as emulator:
        admin = emulator.write_kubeconfig(tmp_path / "kubeconfig")
        client = KubeClient(open_client(admin), admin, tmp_path / "kubectl-cache")
        yield client
        client.close()


def run(admin: KubeClient, *words: str | Path) -> str:
    done = helm(*words, "--namespace", NAMESPACE, kubeconfig=admin.kubeconfig)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def older_chart(tmp_path: Path) -> Path:
    """The chart with a CRD that shows no columns of its own."""
    chart = tmp_path / "older"
    shutil.copytree(CHART, chart)
    path = chart / "files" / "crds" / "scanworkerpools.yaml"
    crd = yaml.safe_load(path.read_text())
    del crd["spec"]["versions"][0]["additionalPrinterColumns"]
    path.write_text(yaml.safe_dump(crd))
    return chart


def test_the_crd_and_the_pools_outlive_an_upgrade_and_the_release(
    admin: KubeClient, older_chart: Path
) -> None:
    waiting = ("--create-namespace", "--wait", "--timeout", "60s")
    run(admin, "install", RELEASE, older_chart, *waiting)
    assert admin.get(OPERATOR)["status"]["readyReplicas"] == 2
    for name in ("namespace.yaml", "pool-minimal.yaml"):
        admin.kubectl("apply", "-f", f"manifests/samples/{name}")
    pool = admin.get(f"{POOLS}/{NAME}")["metadata"]["uid"]

    assert "additionalPrinterColumns" not in _version(admin)
    run(admin, "upgrade", RELEASE, CHART)
    assert _version(admin)["additionalPrinterColumns"]

    assert "CustomResourceDefinition" in run(admin, "uninstall", RELEASE)
    assert admin.find(OPERATOR) is None
    assert admin.get(f"{POOLS}/{NAME}")["metadata"]["uid"] == pool

    run(admin, "install", RELEASE, CHART)
    assert admin.get(f"{POOLS}/{NAME}")["metadata"]["uid"] == pool


def _version(admin: KubeClient) -> dict[str, object]:
    (version,) = admin.get(CRD)["spec"]["versions"]
    return dict(version)


def test_a_second_release_is_refused_instead_of_sharing_objects(admin: KubeClient) -> None:
    run(admin, "install", RELEASE, CHART, "--create-namespace")
    second = helm("install", "other", CHART, "--namespace", NAMESPACE, kubeconfig=admin.kubeconfig)
    assert second.returncode != 0
    assert 'must equal "other": current value is "scanpool"' in second.stderr


def test_the_server_takes_the_base_and_the_chart_alike(admin: KubeClient) -> None:
    admin.kubectl("create", "namespace", NAMESPACE)
    dry = ("apply", "--dry-run=server", "-f", "-")
    base = "---\n".join(
        path.read_text()
        for path in (*(ROOT / "manifests/base").glob("*.yaml"), *(ROOT / "crds").glob("*.yaml"))
        if path.name not in {"kustomization.yaml", "namespace.yaml"}
    )
    of_base = admin.kubectl(*dry, stdin=base).splitlines()
    of_chart = admin.kubectl(*dry, stdin=yaml.safe_dump_all(rendered())).splitlines()
    assert len(of_base) == 11
    assert sorted(of_chart) == sorted(of_base)
    assert admin.find(OPERATOR) is None


def test_with_a_role_alone_a_pool_is_scaled_and_nothing_is_refused(
    background: Background,
    rabbitmq: RabbitMQServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(background, tmp_path)
    rights = (
        "clusterrolebinding", "clusterrole", "targets-rolebinding", "targets-role",
        "lease-rolebinding", "lease-role", "serviceaccount",
    )  # fmt: skip
    for name in rights:
        stage.kube.kubectl("delete", "-f", f"manifests/base/{name}.yaml")
    try:
        with open_scene(stage, rabbitmq) as scene:
            named = f"watchNamespaces={{{scene.namespace}}}"
            # The stage has applied the CRD by hand.
            run(
                stage.kube, "install", RELEASE, CHART, "--set", named, "--set", "crds.install=false"
            )
            monkeypatch.setenv("SCANPOOL_NAMESPACES", scene.namespace)
            stage.operator = Operator(tmp_path / "operator", stage.kubeconfig)
            stage.operator.start()
            scene.queues.publish(QUEUE, 20)
            scene.create_deployment(NAME)
            scene.create_pool(NAME, QUEUE, memory={"enabled": False})
            scene.wait_status(NAME, replicas=2, readyReplicas=2)
            scene.wait_condition(NAME, "Ready", "True")
            asked = [entry for entry in stage.audit() if entry.resource]

            # What it may not see is said, and holds.
            scene.change_pool(NAME, memory={"enabled": True})
            until(
                "the pool says what it may not see",
                lambda: "memory.enabled: false" in scene.condition(NAME, "Ready")["message"],
            )
            assert scene.condition(NAME, "Ready")["reason"] == "KubernetesForbidden"
            assert scene.replicas(NAME) == 2
        assert {entry.code for entry in asked if entry.code in (401, 403)} == set()
        # The Lease is in the operator's own namespace.
        assert {entry.namespace for entry in asked if entry.resource != "leases"} == {
            scene.namespace
        }
        assert {entry.namespace for entry in asked if entry.resource == "leases"} == {HOME}
    finally:
        stage.close()
