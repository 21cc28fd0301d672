"""Where pods serve metrics, for Prometheus to find them: GET /sandbox/scrape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanpool_sandbox.kube.objects import name_of, namespace_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scanpool_sandbox.kube.objects import Obj

METRICS_PORT = "metrics"
"""The name of the container port at which a pod is scraped."""


def targets(pods: Iterable[Obj]) -> list[dict[str, Any]]:
    """Return the running pods with a port of that name, as Prometheus's HTTP discovery takes them.

    Each has its `namespace` and `pod` as labels, as Prometheus has them from a cluster.
    """
    return [
        {
            "targets": [f"{pod['status']['podIP']}:{port['containerPort']}"],
            "labels": {"namespace": namespace_of(pod), "pod": name_of(pod)},
        }
        for pod in pods
        if pod.get("status", {}).get("phase") == "Running"
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or []
        if port.get("name") == METRICS_PORT
    ]
