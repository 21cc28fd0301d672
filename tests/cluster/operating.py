"""The operator as a process on the server under contract, in the suite's namespace.

It asks the server for nothing that only the emulator has: RBAC as manifests/base has it under names
of the suite's own, a ServiceAccount's token, and a real broker on this machine.
"""

from __future__ import annotations

import base64
import json
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import yaml
from kubernetes import config

from cluster.access import eventually
from helm import ROOT
from sandbox.operator_process import Operator
from sandbox.patience import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster.access import Answer, Cluster
    from sandbox.broker import Queues

Obj = dict[str, Any]

RBAC = "/apis/rbac.authorization.k8s.io/v1"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
API_VERSION = "scan.eco2.io/v1alpha1"
HOME = "scanpool-system"
RIGHTS = (
    "serviceaccount", "clusterrole", "clusterrolebinding", "targets-role", "targets-rolebinding",
    "lease-role", "lease-rolebinding",
)  # fmt: skip
PLURALS = {
    "ServiceAccount": "serviceaccounts", "Role": "roles", "RoleBinding": "rolebindings",
    "ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings",
}  # fmt: skip
SECRET, KEY = "broker", "url"
AT_ONCE = [{"type": "Pods", "value": 100, "periodSeconds": 1}]
PER_REPLICA = 10
"""Messages."""


class Operating:
    """An operator at work, and the words to talk about its pools."""

    def __init__(self, cluster: Cluster, operator: Operator, queues: Queues) -> None:
        self.cluster, self.operator, self.queues = cluster, operator, queues

    @property
    def pools(self) -> str:
        return f"/apis/{API_VERSION}/namespaces/{self.cluster.namespace}/scanworkerpools"

    def create_pool(self, name: str, ref: Obj, **changes: Any) -> None:
        """Create a pool that follows the queue of its name, ticks every second, scales at once."""
        self.queues.declare(name)
        spec = {
            "scaleTargetRef": ref,
            "maxReplicas": 8,
            "pollingIntervalSeconds": 1,
            "memory": {"enabled": False},
            "rabbitmq": {
                "managementUrlSecretRef": {"name": SECRET, "key": KEY},
                "queues": [{"name": name, "messagesPerReplica": PER_REPLICA}],
            },
            "behavior": {
                "scaleUp": {"policies": AT_ONCE},
                "scaleDown": {"policies": AT_ONCE, "stabilizationWindowSeconds": 0},
            },
            **changes,
        }
        body = {
            "apiVersion": API_VERSION,
            "kind": "ScanWorkerPool",
            "metadata": {"name": name},
            "spec": spec,
        }
        made(self.cluster.post(self.pools, body))

    def status(self, name: str) -> Obj:
        return dict(self.cluster.get(f"{self.pools}/{name}").body.get("status") or {})

    def wait_status(self, name: str, **expected: object) -> None:
        until(
            f"{name} shows {expected}",
            lambda: all(self.status(name).get(k) == v for k, v in expected.items()),
            lambda: self.status(name),
        )

    def wait_condition(self, name: str, kind: str, status: str, reason: str = "") -> str:
        """Wait until a condition holds; return its message."""

        def holds() -> str | None:
            for one in self.status(name).get("conditions", []):
                if (one["type"], one["status"]) == (kind, status) and reason in ("", one["reason"]):
                    return str(one["message"])
            return None

        told = until(f"{kind} of {name} is {status} {reason}", holds, lambda: self.status(name))
        return told or ""

    def wait_replicas(self, path: str, replicas: int) -> None:
        """Wait until the object at a path asks for so many replicas, by its scale."""
        until(
            f"{path} has {replicas} replicas",
            lambda: self.replicas(path) == replicas,
            lambda: [self.replicas(path), self.cluster.get(self.pools).body],
        )

    def replicas(self, path: str) -> int:
        return int(self.cluster.get(f"{path}/scale").body["spec"].get("replicas", 0))

    def close(self) -> None:
        """Take the pools away, so that the next test finds none."""
        for pool in self.cluster.get(self.pools).body["items"]:
            name = pool["metadata"]["name"]
            self.cluster.delete(f"{self.pools}/{name}")
            self.queues.delete(name)


@contextmanager
def operating(
    cluster: Cluster, management_url: str, queues: Queues, directory: Path
) -> Iterator[Operating]:
    """Install what the operator needs, start it, and leave nothing behind."""
    with ExitStack() as stack:
        installed(cluster, stack)
        encoded = base64.b64encode(management_url.encode()).decode()
        secret = {"metadata": {"name": SECRET}, "data": {KEY: encoded}}
        made(cluster.post(cluster.core("secrets"), secret))
        stack.callback(cluster.delete, f"{cluster.core('secrets')}/{SECRET}")
        kubeconfig = directory / "operator-kubeconfig"
        write_kubeconfig(cluster, kubeconfig)
        operator = Operator(directory / "operator", kubeconfig, "--namespace", cluster.namespace)
        operator.start()
        stack.callback(operator.stop)
        yield Operating(cluster, operator, queues)
        assert "Traceback" not in operator.log


def installed(cluster: Cluster, stack: ExitStack) -> None:
    """Apply the CRD, where the server has none, and the rights, under names of the suite's own."""
    crd = yaml.safe_load((ROOT / "crds/scanworkerpools.yaml").read_text())
    path = f"{CRDS}/{crd['metadata']['name']}"
    if cluster.get(path).code != 200:
        made(cluster.post(CRDS, crd))
        stack.callback(cluster.delete, path)
    eventually(lambda: cluster.get(f"/apis/{API_VERSION}/scanworkerpools").code == 200)
    for name in RIGHTS:
        text = (ROOT / f"manifests/base/{name}.yaml").read_text()
        body = yaml.safe_load(text.replace(HOME, cluster.namespace))
        kind, metadata = body["kind"], body["metadata"]
        if kind.startswith("Cluster"):
            metadata["name"] = f"{cluster.namespace}-{metadata['name']}"
        if body.get("roleRef", {}).get("kind") == "ClusterRole":
            body["roleRef"]["name"] = f"{cluster.namespace}-{body['roleRef']['name']}"
        where = cluster.core(PLURALS[kind]) if kind == "ServiceAccount" else rbac(cluster, kind)
        made(cluster.post(where, body))
        stack.callback(cluster.delete, f"{where}/{metadata['name']}")


def rbac(cluster: Cluster, kind: str) -> str:
    """The path of a kind of RBAC's."""
    within = "" if kind.startswith("Cluster") else f"/namespaces/{cluster.namespace}"
    return f"{RBAC}{within}/{PLURALS[kind]}"


def write_kubeconfig(cluster: Cluster, path: Path) -> None:
    """Write a kubeconfig like the administrator's, with the token of the ServiceAccount."""
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = made(cluster.post(f"{cluster.core('serviceaccounts')}/scanpool/token", asked))
    named = yaml.safe_load(cluster.kubeconfig.read_text())
    _, current = config.list_kube_config_contexts(str(cluster.kubeconfig))
    (server,) = (
        one["cluster"] for one in named["clusters"] if one["name"] == current["context"]["cluster"]
    )
    context = {"cluster": "c", "user": "u", "namespace": cluster.namespace}
    written = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": server}],
        "users": [{"name": "u", "user": {"token": token["status"]["token"]}}],
        "contexts": [{"name": "c", "context": context}],
        "current-context": "c",
    }
    path.write_text(json.dumps(written))


def made(answer: Answer) -> Obj:
    assert answer.code in (200, 201), answer.body
    return dict(answer.body)
