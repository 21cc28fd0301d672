"""How the contract suite talks to an API server: raw requests, and kubectl."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from kubernetes import client, config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Obj = dict[str, Any]
PATIENCE_SECONDS = 30.0
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Answer:
    code: int
    body: Any
    headers: httpx.Headers

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))

    @property
    def version(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])


def open_client(kubeconfig: Path) -> httpx.Client:
    """An HTTP client with the credentials of a kubeconfig, read by the official library."""
    settings = settings_of(kubeconfig)
    headers = {"User-Agent": "contract/1"}
    for credential in settings.auth_settings().values():
        headers[credential["key"]] = credential["value"]
    tls = trust(settings)
    if settings.cert_file:
        tls.load_cert_chain(settings.cert_file, settings.key_file)
    return httpx.Client(
        base_url=settings.host, headers=headers, verify=tls, timeout=PATIENCE_SECONDS
    )


def settings_of(kubeconfig: Path) -> client.Configuration:
    settings = client.Configuration()
    config.load_kube_config(str(kubeconfig), client_configuration=settings)
    return settings


def trust(settings: client.Configuration) -> ssl.SSLContext:
    """Return which server is the right one, as a kubeconfig says."""
    tls = ssl.create_default_context(cafile=settings.ssl_ca_cert)
    if not settings.verify_ssl:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    return tls


class Cluster:
    """An API server, with a namespace and a CRD group of the suite's own."""

    def __init__(self, http: httpx.Client, kubeconfig: Path, namespace: str, group: str) -> None:
        self._http = http
        self.kubeconfig = kubeconfig
        self.namespace = namespace
        self.group = group

    @property
    def widgets(self) -> str:
        return f"/apis/{self.group}/v1/namespaces/{self.namespace}/widgets"

    def core(self, plural: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/{plural}"

    def apps(self, plural: str) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/{plural}"

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        user: str = "",
        accept: str = "application/json",
        **query: Any,
    ) -> Answer:
        headers = {"Content-Type": content_type, "Accept": accept}
        if user:
            headers["Impersonate-User"] = user
        content = None if body is None else json.dumps(body)
        response = self._http.request(method, path, content=content, headers=headers, params=query)
        is_json = "json" in response.headers.get("Content-Type", "")
        decoded = response.json() if is_json else {"message": response.text}
        return Answer(response.status_code, decoded, response.headers)

    def get(self, path: str, **options: Any) -> Answer:
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any, **options: Any) -> Answer:
        return self.request("POST", path, body, **options)

    def put(self, path: str, body: Any, **options: Any) -> Answer:
        return self.request("PUT", path, body, **options)

    def patch(self, path: str, body: Any, kind: str = MERGE, **options: Any) -> Answer:
        return self.request("PATCH", path, body, content_type=kind, **options)

    def apply(self, path: str, body: Obj, manager: str, **options: Any) -> Answer:
        return self.patch(path, body, APPLY, fieldManager=manager, **options)

    def delete(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.request("DELETE", path, body, **options)

    def widget(self, name: str, spec: Obj | None = None, **metadata: Any) -> Obj:
        return {
            "apiVersion": f"{self.group}/v1",
            "kind": "Widget",
            "metadata": {"name": name, **metadata},
            "spec": {"size": 1} if spec is None else spec,
        }

    def make_widget(self, name: str, spec: Obj | None = None, **metadata: Any) -> Obj:
        answer = self.post(self.widgets, self.widget(name, spec, **metadata))
        assert answer.code == 201, answer.body
        return dict(answer.body)

    @contextmanager
    def watch(self, path: str, **query: Any) -> Iterator[Iterator[Obj]]:
        """Events of a watch, as they come."""
        query = {"watch": "true", "timeoutSeconds": "30", **query}
        with self._http.stream("GET", path, params=query) as response:
            yield (json.loads(line) for line in response.iter_lines() if line)

    def kubectl(self, *words: str, stdin: str = "", check: bool = True) -> str:
        """What kubectl prints, on either stream."""
        done = subprocess.run(
            ["kubectl", f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", *words],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * PATIENCE_SECONDS,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout
        return done.stdout


def eventually(probe: Callable[[], Any]) -> Any:
    """Wait for a probe to become true; what it last said is in the failure."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := probe()):
        assert time.monotonic() < deadline, f"still {found!r} after {PATIENCE_SECONDS} s"
        time.sleep(0.05)
    return found
