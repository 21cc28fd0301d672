"""The Kubernetes API, as the operator needs it; the only module that talks to it.

Every method blocks and is meant for a thread. What the world does wrong comes back as
`Unavailable`; nothing raises for it.
"""

import base64
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from scanpool import cluster_objects
from scanpool.models.conditions import Reason
from scanpool.models.crd import GROUP, KIND, PLURAL, VERSION
from scanpool.models.fields import SecretKeyRef
from scanpool.models.observation import Node, Target
from scanpool.models.reading import Available, Reading, Unavailable

# To connect and to answer, in seconds: a healthy API server takes milliseconds, and a tick must
# not wait for a sick one longer than it would for any other source.
REQUEST_TIMEOUT = (3, 10)
METRICS_GROUP, METRICS_VERSION = "metrics.k8s.io", "v1beta1"
# Finished pods hold no room; what no node runs yet holds none either.
ON_A_NODE = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
# The API server answers from its watch cache: fresh enough to plan with, and cheap for it.
FROM_CACHE = "0"
COMPONENT = "scanpool"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

Json = dict[str, Any]


class NoClusterError(Exception):
    """Nothing says where the Kubernetes API is; the message says what to do."""


class Cluster:
    """The objects that the operator reads, and the three kinds of write that it makes.

    `threads` is the number of threads that call it at once; `clock` tells seconds since the epoch.

    Raises:
        NoClusterError: if there is neither a kubeconfig nor a pod's ServiceAccount.

    """

    def __init__(self, threads: int, clock: Callable[[], float]) -> None:
        configuration = client.Configuration()
        try:
            _locate(configuration)
        except config.ConfigException as error:
            raise NoClusterError(
                f"no Kubernetes cluster is configured ({error}): set KUBECONFIG"
            ) from error
        configuration.connection_pool_maxsize = threads
        # The pool's next tick is the retry; the library's own would outlast the tick.
        configuration.retries = False
        self._api = client.ApiClient(configuration)
        self._core = client.CoreV1Api(self._api)
        self._apps = client.AppsV1Api(self._api)
        self._custom = client.CustomObjectsApi(self._api)
        self._clock = clock

    def read_target(self, namespace: str, name: str) -> Reading[Target]:
        """Read a Deployment, its pods and, where metrics.k8s.io is served, their working sets."""
        deployment = self._call(self._apps.read_namespaced_deployment, name, namespace)
        if isinstance(deployment, Unavailable):
            return _missing(
                deployment,
                Reason.TARGET_NOT_FOUND,
                f"Deployment {namespace}/{name} does not exist: create it, or correct "
                "spec.scaleTargetRef.name",
            )
        selector = cluster_objects.selector(deployment["spec"]["selector"])
        pods = self._call(
            self._core.list_namespaced_pod,
            namespace,
            label_selector=selector,
            resource_version=FROM_CACHE,
        )
        if isinstance(pods, Unavailable):
            return pods
        metrics = self._call(
            self._custom.list_namespaced_custom_object,
            METRICS_GROUP, METRICS_VERSION, namespace, "pods",
            label_selector=selector,
        )  # fmt: skip
        return Available(
            cluster_objects.target(deployment, pods["items"], _items(metrics)),
            self._clock(),
            "kubernetes",
        )

    def read_nodes(self) -> Reading[tuple[Node, ...]]:
        """Read all nodes, what the pods on them request and, where served, what they use."""
        nodes = self._call(self._core.list_node, resource_version=FROM_CACHE)
        if isinstance(nodes, Unavailable):
            return nodes
        pods = self._call(
            self._core.list_pod_for_all_namespaces,
            field_selector=ON_A_NODE,
            resource_version=FROM_CACHE,
        )
        if isinstance(pods, Unavailable):
            return pods
        metrics = self._call(
            self._custom.list_cluster_custom_object, METRICS_GROUP, METRICS_VERSION, "nodes"
        )
        return Available(
            cluster_objects.nodes(nodes["items"], pods["items"], _items(metrics)),
            self._clock(),
            "kubernetes",
        )

    def read_secret(self, namespace: str, ref: SecretKeyRef) -> Reading[cluster_objects.SecretText]:
        """Read one key of a Secret. The value never appears in a message."""
        where = f"Secret {namespace}/{ref.name}"
        secret = self._call(self._core.read_namespaced_secret, ref.name, namespace)
        if isinstance(secret, Unavailable):
            return _missing(secret, Reason.SECRET_NOT_FOUND, f"{where} does not exist: create it")
        encoded = (secret.get("data") or {}).get(ref.key)
        if encoded is None:
            return Unavailable(Reason.SECRET_KEY_NOT_FOUND, f"{where} has no key {ref.key}: add it")
        try:
            value = base64.b64decode(encoded, validate=True).decode().strip()
        except ValueError:
            return Unavailable(
                Reason.SECRET_KEY_NOT_FOUND, f"{where}, key {ref.key}, is not text: set it anew"
            )
        if not value:
            return Unavailable(
                Reason.SECRET_KEY_NOT_FOUND, f"{where}, key {ref.key}, is empty: set it"
            )
        version = secret["metadata"]["resourceVersion"]
        return Available(cluster_objects.SecretText(value, version), self._clock(), "kubernetes")

    def scale(self, namespace: str, name: str, current: int, desired: int) -> Unavailable | None:
        """Set a Deployment's replicas from `current` to `desired`; None if that was done.

        Nothing is written if someone else has changed the replicas since they were observed, nor
        if anyone writes the Deployment in between: the next tick then decides anew.
        """
        scale = self._call(self._apps.read_namespaced_deployment_scale, name, namespace)
        if isinstance(scale, Unavailable):
            return scale
        found = scale["spec"].get("replicas", 0)
        if found != current:
            return Unavailable(
                Reason.SCALE_CONFLICT,
                f"Deployment {namespace}/{name} went from {current} to {found} replicas while "
                "this tick was deciding; the next one decides anew",
            )
        patch = {
            "metadata": {"resourceVersion": scale["metadata"]["resourceVersion"]},
            "spec": {"replicas": desired},
        }
        done = self._call(
            self._apps.patch_namespaced_deployment_scale,
            name,
            namespace,
            patch,
            _content_type=MERGE_PATCH,
        )
        return done if isinstance(done, Unavailable) else None

    def write_status(self, namespace: str, name: str, status: Mapping[str, Any]) -> Reading[Json]:
        """Replace the status of a pool, and return the pool as it then is.

        Replaced as a whole, so that nothing of an older status stays behind.
        """
        written = self._call(
            self._custom.patch_namespaced_custom_object_status,
            GROUP, VERSION, namespace, PLURAL, name,
            [{"op": "add", "path": "/status", "value": status}],
            _content_type=JSON_PATCH,
        )  # fmt: skip
        if isinstance(written, Unavailable):
            return written
        return Available(written, self._clock(), "kubernetes")

    def emit_event(
        self, namespace: str, name: str, uid: str, *, warning: bool, reason: str, message: str
    ) -> Unavailable | None:
        """Add an Event to a pool; None if that was done."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        timestamp = now.isoformat(timespec="seconds").replace("+00:00", "Z")
        event = {
            "metadata": {"generateName": f"{name}."[:200], "namespace": namespace},
            "involvedObject": {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": KIND,
                "namespace": namespace,
                "name": name,
                "uid": uid,
            },
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": message[:1024],
            "firstTimestamp": timestamp,
            "lastTimestamp": timestamp,
            "count": 1,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": COMPONENT,
        }
        done = self._call(self._core.create_namespaced_event, namespace, event)
        return done if isinstance(done, Unavailable) else None

    def read_pool(self, namespace: str, name: str) -> Reading[Json]:
        """Read a ScanWorkerPool as it is."""
        pool = self._call(
            self._custom.get_namespaced_custom_object, GROUP, VERSION, namespace, PLURAL, name
        )
        if isinstance(pool, Unavailable):
            return pool
        return Available(pool, self._clock(), "kubernetes")

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def _call(
        self, method: Callable[..., Any], *args: object, **kwargs: object
    ) -> Json | Unavailable:
        """Make one request, and return the object that the server sent, unread by the client.

        The client's typed models cost more than the request for a large list, and reject what a
        newer server sends.
        """
        try:
            response = method(
                *args, **kwargs, _preload_content=False, _request_timeout=REQUEST_TIMEOUT
            )
            body: object = json.loads(response.data)
        except ApiException as error:
            return _refused(error.status or 0, error.reason or "", error.body or "")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Unavailable(
                Reason.KUBERNETES_UNAVAILABLE,
                f"the Kubernetes API does not answer ({type(error).__name__}); "
                "nothing is changed until it does",
            )
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return Unavailable(
                Reason.KUBERNETES_UNAVAILABLE,
                "the Kubernetes API sent something else than JSON objects: see whether a proxy "
                "answers in its place",
            )
        if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            return _refused(response.status, response.reason or "", json.dumps(body))
        return body


def _locate(configuration: client.Configuration) -> None:
    paths = config.KUBE_CONFIG_DEFAULT_LOCATION.split(os.pathsep)
    if any(Path(path).expanduser().exists() for path in paths):
        config.load_kube_config(client_configuration=configuration)
    else:
        config.load_incluster_config(client_configuration=configuration)


def _items(listed: Json | Unavailable) -> list[Json]:
    """Return a list's items; none where metrics.k8s.io is not served: it is a bonus."""
    return [] if isinstance(listed, Unavailable) else listed["items"]


def _missing(refusal: Unavailable, reason: Reason, message: str) -> Unavailable:
    """Say what a 404 means for this object; leave every other refusal as it is."""
    return Unavailable(reason, message) if refusal.reason is Reason.NOT_FOUND else refusal


def _refused(code: int, phrase: str, body: str) -> Unavailable:
    try:
        said = json.loads(body)["message"]
    except (json.JSONDecodeError, KeyError, TypeError):
        said = f"{code} {phrase}"
    match code:
        case 401 | 403:
            return Unavailable(
                Reason.KUBERNETES_FORBIDDEN,
                f"the Kubernetes API refuses the operator: {said}; apply manifests/base anew",
            )
        case 404:
            return Unavailable(Reason.NOT_FOUND, said)
        case 409:
            return Unavailable(Reason.SCALE_CONFLICT, said)
        case _:
            return Unavailable(
                Reason.KUBERNETES_UNAVAILABLE, f"the Kubernetes API answered {code}: {said}"
            )
