"""An operator as a process on the server under contract, with one pool, and a gateway between.

What it needs of the server is made for it, in the suite's namespace and under the suite's name:
beside an operator that is installed there it changes nothing.
"""

from __future__ import annotations

import base64
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cluster.access import Cluster, eventually, open_client, settings_of, trust
from faults.gateway import Gateway
from sandbox.broker import Queues
from sandbox.operator_process import Operator
from sandbox.patience import until
from scanpool_sandbox.kube.kubeconfig import write_kubeconfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.access import Obj
    from sandbox.background import Background
    from scanpool_sandbox.rabbitmq_server import RabbitMQServer

ROOT = Path(__file__).parents[2]
BASE = ROOT / "manifests" / "base"
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scanworkerpools.scan.eco2.io"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
TOKEN = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
TOKEN_SECONDS = 3600
NAME = "scan-worker"
SECRET, KEY = "scan-secret", "RABBITMQ_API_URL"
PER_REPLICA = 10
AT_ONCE = [{"type": "Pods", "value": 100, "periodSeconds": 1}]
WATCH_SECONDS = 5


class Seen(threading.Thread):
    """All replicas that the Deployment is ever set to, by a watch, without repetitions."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(name="watch of the Deployment")
        self._cluster, self._path = cluster, cluster.apps("deployments")
        self._over = threading.Event()
        self.replicas: list[int] = []

    def run(self) -> None:
        with open_client(self._cluster.kubeconfig) as http:
            cluster = Cluster(http, self._cluster.kubeconfig, self._cluster.namespace, "")
            version = ""
            while not self._over.is_set():
                since = {"resourceVersion": version} if version else {}
                bound = {"timeoutSeconds": str(WATCH_SECONDS)}
                with cluster.watch(self._path, **bound, **since) as events:
                    for event in events:
                        version = self._take(event["object"])

    def end(self) -> None:
        self._over.set()
        self.join()

    def _take(self, deployment: Obj) -> str:
        replicas = deployment["spec"]["replicas"]
        if self.replicas[-1:] != [replicas]:
            self.replicas.append(replicas)
        return str(deployment["metadata"]["resourceVersion"])


class Way:
    """The operator's way to the server."""

    def __init__(self, gateway: Gateway, background: Background) -> None:
        self._gateway, self._background = gateway, background

    def cut(self) -> None:
        """Let the server be away, until `mend`."""
        self._background.run(self._gateway.refuse())

    def mend(self) -> None:
        self._background.run(self._gateway.accept())


class Operated:
    """The pool NAME, its Deployment and queue, and the operator that works it."""

    def __init__(
        self, cluster: Cluster, operator: Operator, queues: Queues, way: Way, seen: Seen
    ) -> None:
        self._cluster, self.operator, self._queues = cluster, operator, queues
        self.way, self.seen = way, seen
        self._wanted = 0

    def wants(self, replicas: int) -> None:
        """Let the queue ask for so many, and for none in between."""
        self._wanted = replicas
        more = replicas * PER_REPLICA - self._queues.ready(NAME)
        if more > 0:
            self._queues.publish(NAME, more)
        else:
            self._queues.work_off(NAME, -more)

    def wait_status(self, replicas: int) -> None:
        """Wait until the pool shows these replicas, asked for by its queue."""
        expected = {"replicas": replicas, "backlog": replicas * PER_REPLICA}
        until(
            f"the pool shows {expected}",
            lambda: expected.items() <= self.status().items(),
            self.status,
        )

    def check(self) -> None:
        """See that no message is lost, and that nothing has failed inside of the operator."""
        assert self._queues.ready(NAME) == self._wanted * PER_REPLICA
        assert "Traceback" not in self.operator.log

    def status(self) -> Obj:
        path = f"{pools(self._cluster)}/{NAME}"
        return dict(self._cluster.get(path).body.get("status") or {})


def pools(cluster: Cluster) -> str:
    return f"/apis/scan.eco2.io/v1alpha1/namespaces/{cluster.namespace}/scanworkerpools"


@contextmanager
def operated(
    cluster: Cluster, rabbitmq: RabbitMQServer, background: Background, directory: Path
) -> Iterator[Operated]:
    """Start all of it, and take away what it made."""
    settings, vhost = settings_of(cluster.kubeconfig), cluster.namespace
    gateway = Gateway({"kube": settings.host}, trust(settings))
    with ExitStack() as stack:
        rabbitmq.create_vhost(vhost)
        stack.callback(rabbitmq.delete_vhost, vhost)
        queues = stack.enter_context(Queues(rabbitmq.amqp_url(vhost)))
        queues.declare(NAME)
        token = stack.enter_context(granted(cluster))
        stack.enter_context(defined(cluster))
        for path, body in parts(cluster, f"{rabbitmq.management_url}/{vhost}"):
            stack.callback(cluster.delete, create(cluster, path, body))
        stack.enter_context(background.running(gateway))
        kubeconfig = write_kubeconfig(
            directory / "kubeconfig", gateway.url("operator", "kube"), token, cluster.namespace
        )
        operator = Operator(directory / "operator", kubeconfig, "--namespace", cluster.namespace)
        seen = Seen(cluster)
        seen.start()
        stack.callback(seen.end)
        eventually(lambda: seen.replicas)
        operator.start()
        stack.callback(operator.kill)
        yield Operated(cluster, operator, queues, Way(gateway, background), seen)


@contextmanager
def defined(cluster: Cluster) -> Iterator[None]:
    """Have the CRD, which is taken away again where it was not there before."""
    was_there = cluster.get(DEFINITION).code == 200
    if not was_there:
        definition = yaml.safe_load((ROOT / "crds" / "scanworkerpools.yaml").read_text())
        create(cluster, DEFINITION.rpartition("/")[0], definition)
        eventually(lambda: cluster.get(pools(cluster)).code == 200)
    try:
        yield
    finally:
        if not was_there:
            cluster.delete(DEFINITION)


@contextmanager
def granted(cluster: Cluster) -> Iterator[str]:
    """Have a ServiceAccount with the rights of manifests/base, and a token of it."""
    name = cluster.namespace
    subject = {"kind": "ServiceAccount", "name": "scanpool", "namespace": name}
    home = f"{RBAC}/namespaces/{name}"
    with ExitStack() as stack:
        account = create(
            cluster, cluster.core("serviceaccounts"), {"metadata": {"name": "scanpool"}}
        )
        stack.callback(cluster.delete, account)
        for kind, manifest, roles, bindings in (
            ("ClusterRole", "clusterrole", f"{RBAC}/clusterroles", f"{RBAC}/clusterrolebindings"),
            ("Role", "lease-role", f"{home}/roles", f"{home}/rolebindings"),
        ):
            rules = yaml.safe_load((BASE / f"{manifest}.yaml").read_text())["rules"]
            ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
            named: Obj = {"metadata": {"name": name}}
            role = create(cluster, roles, {**named, "rules": rules})
            stack.callback(cluster.delete, role)
            binding = create(cluster, bindings, {**named, "roleRef": ref, "subjects": [subject]})
            stack.callback(cluster.delete, binding)
        asked = {**TOKEN, "spec": {"expirationSeconds": TOKEN_SECONDS}}
        answer = cluster.post(f"{account}/token", asked)
        assert answer.code == 201, answer.body
        yield answer.body["status"]["token"]


def parts(cluster: Cluster, url: str) -> Iterator[tuple[str, Obj]]:
    """Yield Deployment, Secret and pool, and where to create them."""
    encoded = base64.b64encode(url.encode()).decode()
    labels = {"app": NAME}
    # No node has it: the pods need not run, and no image is there for them.
    nowhere = {"nodeSelector": {"scan.eco2.io/nowhere": "true"}}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "worker", "image": "worker"}], **nowhere},
    }
    worker = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    yield cluster.apps("deployments"), {"metadata": {"name": NAME}, "spec": worker}
    yield cluster.core("secrets"), {"metadata": {"name": SECRET}, "data": {KEY: encoded}}
    yield pools(cluster), pool()


def pool() -> Obj:
    queue = {"name": NAME, "messagesPerReplica": PER_REPLICA}
    at_once: dict[str, Any] = {"policies": AT_ONCE, "stabilizationWindowSeconds": 0}
    return {
        "apiVersion": "scan.eco2.io/v1alpha1",
        "kind": "ScanWorkerPool",
        "metadata": {"name": NAME},
        "spec": {
            "scaleTargetRef": {"name": NAME},
            "maxReplicas": 10,
            "pollingIntervalSeconds": 1,
            # No node has room for pods that none may take.
            "memory": {"enabled": False},
            "rabbitmq": {
                "managementUrlSecretRef": {"name": SECRET, "key": KEY},
                "queues": [queue],
            },
            "behavior": {"scaleUp": {"policies": AT_ONCE}, "scaleDown": at_once},
        },
    }


def create(cluster: Cluster, path: str, body: Obj) -> str:
    """Create an object, and return where it is."""
    answer = cluster.post(path, body)
    assert answer.code == 201, answer.body
    return f"{path}/{body['metadata']['name']}"
