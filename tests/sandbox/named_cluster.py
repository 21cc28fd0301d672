"""The cluster that SCANPOOL_TEST_KUBECONFIG names, in the place of the stand-in.

It has to be one without an operator of its own. What it offers decides what can be tested there:
without nodes that are ready no pod runs.
"""

import json
import os
import threading
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from kubernetes import client, config

from cluster.access import open_client
from sandbox.foreign import SCALED_OBJECTS, definition
from sandbox.kube_client import KubeClient, Obj
from sandbox.operator_process import Operator
from sandbox.stage import BASE, CRD, HOME

IMAGE = os.environ.get("SCANPOOL_TEST_IMAGE", "busybox")
"""Any with `sh` and `sleep` that the cluster's nodes have, or can pull."""
OBEDIENT = "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"
DEAF = "trap '' TERM; while :; do sleep 1; done"
ACCOUNT = f"/api/v1/namespaces/{HOME}/serviceaccounts/scanpool/token"
TOKEN_SECONDS = 7200
WATCH_SECONDS = 5
DEPLOYMENTS = "/apis/apps/v1/deployments"


class NamedCluster:
    """A cluster, an operator on it with exactly its own rights, and the replicas that it sets."""

    worker: Mapping[str, Any] = {"image": IMAGE, "command": ["sh", "-c", OBEDIENT]}
    deaf_worker: Mapping[str, Any] = {"image": IMAGE, "command": ["sh", "-c", DEAF]}

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        self.kube = KubeClient(open_client(kubeconfig), kubeconfig, directory / "kubectl-cache")
        assert self.kube.find(f"/api/v1/namespaces/{HOME}") is None, (
            f"the cluster of {kubeconfig} has a namespace {HOME} already: take one without an "
            "operator of its own"
        )
        self._made = [(part, "") for part in (CRD, *BASE)]
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scaledobjects.keda.sh"
        if self.kube.find(path) is None:
            self._made.append(("-", json.dumps(definition(*SCALED_OBJECTS))))
        for part, text in self._made:
            self.kube.kubectl("apply", "-f", part, stdin=text)
        self.kubeconfig = self._write_kubeconfig(kubeconfig, directory / "operator-kubeconfig")
        self.operator = Operator(directory / "operator", self.kubeconfig)
        self._replicas = _Replicas(kubeconfig)
        self._replicas.start()

    @property
    def runs_pods(self) -> bool:
        """Whether there is a node on which pods get ready."""
        nodes = self.kube.get("/api/v1/nodes")["items"]
        conditions = [one for node in nodes for one in node["status"].get("conditions", [])]
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def scales(self, namespace: str, deployment: str) -> list[int]:
        """All replicas that a Deployment was seen to be set to, without repetitions."""
        return list(self._replicas.seen[namespace, deployment])

    def scale_writes(self, namespace: str) -> list[Obj]:
        """The changes of replicas of which the operator has told there."""
        listed = self.kube.get(f"/api/v1/namespaces/{namespace}/events")["items"]
        return [one for one in listed if one["reason"] == "SuccessfulRescale"]

    def check_record(self) -> None:
        """What holds for all that the operator did, as far as its log shows."""
        for wrong in ("Traceback", "inconsistencies", "KubernetesForbidden", "is forbidden"):
            assert wrong not in self.operator.log

    def close(self) -> None:
        self.operator.kill()
        self._replicas.end()
        for part, text in reversed(self._made):
            self.kube.kubectl("delete", "--wait=false", "-f", part, stdin=text)
        self.kube.close()

    def _write_kubeconfig(self, admin: Path, path: Path) -> Path:
        """Write the admin's kubeconfig with a token of the operator's ServiceAccount instead."""
        settings = client.Configuration()
        config.load_kube_config(str(admin), client_configuration=settings)
        asked = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": TOKEN_SECONDS},
        }
        server: Obj = {"server": settings.host}
        if settings.ssl_ca_cert:
            server["certificate-authority"] = settings.ssl_ca_cert
        if not settings.verify_ssl:
            server["insecure-skip-tls-verify"] = True
        written = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": HOME, "cluster": server}],
            "users": [
                {"name": HOME, "user": {"token": self.kube.post(ACCOUNT, asked)["status"]["token"]}}
            ],
            "contexts": [
                {"name": HOME, "context": {"cluster": HOME, "user": HOME, "namespace": HOME}}
            ],
            "current-context": HOME,
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(written))
        return path


class _Replicas(threading.Thread):
    """Watches what the Deployments of the cluster are set to."""

    def __init__(self, kubeconfig: Path) -> None:
        super().__init__(name="watch of the Deployments")
        self._http = open_client(kubeconfig)
        self._over = threading.Event()
        self._uids: dict[tuple[str, str], str] = {}
        self.seen: defaultdict[tuple[str, str], list[int]] = defaultdict(list)

    def run(self) -> None:
        while not self._over.is_set():
            asked = {"watch": "true", "timeoutSeconds": str(WATCH_SECONDS)}
            with self._http.stream("GET", DEPLOYMENTS, params=asked) as response:
                self._take(response)

    def end(self) -> None:
        self._over.set()
        self.join()
        self._http.close()

    def _take(self, response: httpx.Response) -> None:
        for line in filter(None, response.iter_lines()):
            found = json.loads(line)["object"]
            metadata, replicas = found["metadata"], found["spec"]["replicas"]
            key = metadata["namespace"], metadata["name"]
            if self._uids.get(key) != metadata["uid"]:
                self._uids[key] = metadata["uid"]
                self.seen[key] = []
            if self.seen[key][-1:] != [replicas]:
                self.seen[key].append(replicas)
