"""How to talk to the Kubernetes API: where it is, in which thread, and what its refusals mean.

What the world does wrong comes back as `Unavailable`; nothing raises for it.
"""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable
from scanpool.threads import in_thread

# To connect and to answer, in seconds: a healthy API server takes milliseconds, and a tick must
# not wait for a sick one longer than it would for any other source.
REQUEST_TIMEOUT = (3, 10)

# Where a pod finds the namespace that it is in.
POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
DEFAULT_NAMESPACE = "default"

Json = dict[str, Any]


class NoClusterError(Exception):
    """Nothing says where the Kubernetes API is; the message says what to do."""


class KubeApi:
    """The client of the API, which blocks, in `threads` threads of an executor.

    With neither a kubeconfig nor a pod's ServiceAccount it raises NoClusterError.
    """

    def __init__(self, executor: ThreadPoolExecutor, threads: int) -> None:
        configuration = client.Configuration()
        paths = config.KUBE_CONFIG_DEFAULT_LOCATION.split(os.pathsep)
        try:
            if any(Path(path).expanduser().exists() for path in paths):
                config.load_kube_config(client_configuration=configuration)
                chosen = config.list_kube_config_contexts()[1]["context"].get("namespace")
            else:
                config.load_incluster_config(client_configuration=configuration)
                chosen = POD_NAMESPACE.read_text("utf-8") if POD_NAMESPACE.exists() else None
        except config.ConfigException as error:
            told = f"no Kubernetes cluster is configured ({error}): set KUBECONFIG"
            raise NoClusterError(told) from error
        configuration.connection_pool_maxsize = threads
        # The pool's next tick is the retry; the library's own would outlast the tick.
        configuration.retries = False
        self.namespace = chosen or DEFAULT_NAMESPACE
        """The one that counts where none is named, as for kubectl."""
        self._client = client.ApiClient(configuration)
        self._executor = executor
        self.core = client.CoreV1Api(self._client)
        self.apps = client.AppsV1Api(self._client)
        self.custom = client.CustomObjectsApi(self._client)

    async def call(
        self, method: Callable[..., Any], *args: object, **kwargs: object
    ) -> Json | Unavailable:
        """Make one request, a method of the clients above, and return the object that came."""
        return await in_thread(self._executor, _call, method, *args, **kwargs)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _call(method: Callable[..., Any], *args: object, **kwargs: object) -> Json | Unavailable:
    """Make one request, and return the object that the server sent, unread by the client.

    The client's typed models cost more than the request for a large list, and reject what a
    newer server sends.
    """
    try:
        response = method(*args, **kwargs, _preload_content=False, _request_timeout=REQUEST_TIMEOUT)
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


def _refused(code: int, phrase: str, body: str) -> Unavailable:
    try:
        said = json.loads(body)["message"]
    except (json.JSONDecodeError, KeyError, TypeError):
        said = f"{code} {phrase}"
    match code:
        case 401 | 403:
            told = (
                f"the Kubernetes API refuses the operator: {said}; "
                "apply manifests/base anew, or upgrade the chart's release"
            )
            return Unavailable(Reason.KUBERNETES_FORBIDDEN, told)
        case 404:
            return Unavailable(Reason.NOT_FOUND, said)
        case 409:
            return Unavailable(Reason.SCALE_CONFLICT, said)
    told = f"the Kubernetes API answered {code}: {said}"
    return Unavailable(Reason.KUBERNETES_UNAVAILABLE, told)
