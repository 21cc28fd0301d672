"""An API server and the operator on it, with a record of what the operator did there."""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.access import open_client
from sandbox.background import Background
from sandbox.foreign import HPAS, SCALED_OBJECTS, definition
from sandbox.kube_client import KubeClient, Obj
from sandbox.operator_process import Operator
from scanpool_sandbox.kube import KubeEmulator, Node, Program, Simulated
from scanpool_sandbox.kube.access.audit import AuditEntry
from scanpool_sandbox.kube.objects import name_of, namespace_of
from scanpool_sandbox.kube.store import Change

HOME = "scanpool-system"
OPERATOR_USER = f"system:serviceaccount:{HOME}:scanpool"
NODES = (Node("node-a", cpu="64", memory="256Gi", pods=1000),)
"""Room for everything: no memory ceiling binds unless a test wants one."""
WORKER = "scan-worker"
DEAF = "deaf-worker"
DEAF_CODE = "import signal as s; s.signal(s.SIGTERM, s.SIG_IGN)\nwhile True: s.pause()"
IMAGES = {
    WORKER: Program((sys.executable, "-m", "celery")),
    DEAF: Program((sys.executable, "-c", DEAF_CODE)),
    "*": Simulated(),
}
"""Real workers for the tests that are about them, some that ignore SIGTERM, else simulated ones."""
CRD = "crds/scanworkerpools.yaml"
BASE = tuple(
    f"manifests/base/{name}.yaml"
    for name in (
        "namespace", "serviceaccount", "clusterrole", "clusterrolebinding", "targets-role",
        "targets-rolebinding", "lease-role", "lease-rolebinding",
    )
)  # fmt: skip
DEPLOYMENTS = ("apps", "deployments")


class Stage:
    """One emulator, and one operator with exactly its own rights."""

    runs_pods = True
    worker: Mapping[str, Any] = {"image": "worker"}
    deaf_worker: Mapping[str, Any] = {"image": DEAF}

    def __init__(self, background: Background, directory: Path) -> None:
        self._background = background
        self._directory = directory
        self._scales: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self.statuses: list[tuple[Obj, Obj]] = []
        """Each status that the operator wrote, and what the API server kept of it."""
        self.kubeconfig = directory / "operator-kubeconfig"
        self.operator = Operator(directory / "operator", self.kubeconfig)
        self._open(KubeEmulator(NODES, images=IMAGES))

    def _open(self, emulator: KubeEmulator) -> None:
        self.emulator = self._background.run(emulator.__aenter__())
        self.emulator.store.listen(DEPLOYMENTS, self._note_replicas)
        self._note_statuses()
        admin = self.emulator.write_kubeconfig(self._directory / "admin-kubeconfig")
        self.kube = KubeClient(open_client(admin), admin, self._directory / "kubectl-cache")
        self.kube.kubectl("apply", *(part for path in (CRD, *BASE) for part in ("-f", path)))
        for kind in (HPAS, SCALED_OBJECTS):
            self.kube.kubectl("apply", "-f", "-", stdin=json.dumps(definition(*kind)))
        # An operator that is already there asks before it may: that is no lack of its rights.
        self.granted_at = time.time()
        token = self.emulator.token_for(HOME, "scanpool")
        self.emulator.write_kubeconfig(self.kubeconfig, token, HOME)

    def stop_api(self) -> None:
        """Take the API server away, with all that it knew."""
        self.kube.close()
        self._background.run(self.emulator.__aexit__(None, None, None))

    def restart_api(self) -> None:
        """Bring an empty API server up in the place of the old one.

        As after the loss of etcd's history, tokens stay valid and revisions do not go back.
        """
        port = int(self.emulator.url.rpartition(":")[2])
        emulator = KubeEmulator(NODES, images=IMAGES, port=port)
        emulator._tokens = self.emulator._tokens
        emulator.store.revision = self.emulator.store.revision
        self._open(emulator)

    def close(self) -> None:
        self.operator.kill()
        self.stop_api()

    def audit(self) -> list[AuditEntry]:
        """All requests that the operator has made, oldest first."""
        entries = self._background.call(lambda: list(self.emulator.audit))
        return [entry for entry in entries if entry.user == OPERATOR_USER]

    def writes(self, namespace: str = "") -> list[AuditEntry]:
        """Those of them that could change something, but for the Lease, which says who acts."""
        return [
            entry
            for entry in self.audit()
            if entry.is_write and entry.resource != "leases" and namespace in ("", entry.namespace)
        ]

    def scale_writes(self, namespace: str) -> list[AuditEntry]:
        """The successful ones that set replicas."""
        return [
            entry
            for entry in self.writes(namespace)
            if entry.subresource == "scale" and entry.code == 200
        ]

    def scales(self, namespace: str, deployment: str) -> list[int]:
        """All replicas that a Deployment was ever set to, without repetitions."""
        return list(self._scales[namespace, deployment])

    def check_record(self) -> None:
        """What holds for all that the operator did, whatever the tests were about."""
        assert "Traceback" not in self.operator.log
        # kopf's word for a field that the CRD has taken away.
        assert "inconsistencies" not in self.operator.log
        refused = [
            entry
            for entry in self.audit()
            if entry.code in (401, 403) and entry.time >= self.granted_at
        ]
        assert not refused
        for written, stored in self.statuses:
            assert stored == written

    def _note_replicas(self, change: Change) -> None:
        obj = change.object
        seen = self._scales[namespace_of(obj), name_of(obj)]
        replicas = obj["spec"]["replicas"]
        if change.type == "ADDED":
            seen.clear()
        if seen[-1:] != [replicas]:
            seen.append(replicas)

    def _note_statuses(self) -> None:
        api = self.emulator.api
        apply = api.patch

        def patch(*args: Any) -> Obj:
            stored = apply(*args)
            resource, *_, subresource = args
            if (resource.plural, subresource) == ("scanworkerpools", "status"):
                self.statuses.append((args[4][0]["value"], stored["status"]))
            return stored

        api.patch = patch  # type: ignore[method-assign, assignment]
