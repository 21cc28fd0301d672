"""All nodes' kubelets in one: a worker for every bound pod, metrics and logs."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.errors import bad_request
from scanpool_sandbox.kube.kubelet.pods import PodWorker
from scanpool_sandbox.kube.objects import Obj, name_of, namespace_of, rfc3339
from scanpool_sandbox.kube.writing.deletion import DeleteOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scanpool_sandbox.kube.api import Api
    from scanpool_sandbox.kube.kubelet.images import Images
    from scanpool_sandbox.kube.kubelet.processes import Usage
    from scanpool_sandbox.kube.resources import Resource
    from scanpool_sandbox.kube.store import Change

_PODS = ("", "pods")
_NANO = 1_000_000_000
_KIBI = 1024
_log = logging.getLogger(__name__)


class Kubelet:
    """Starts and stops pod workers as pods are bound and deleted."""

    def __init__(
        self,
        api: Api,
        images: Images,
        directory: Path,
        kubeconfig: Callable[[Obj, Path], Path | None],
    ) -> None:
        self._api = api
        self._images = images
        self._directory = directory
        self._kubeconfig = kubeconfig
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stops: dict[str, asyncio.Task[None]] = {}
        self._samples: dict[tuple[str, str], tuple[float, float]] = {}

    def start(self) -> None:
        """Begin to look after pods."""
        self._unlisten = self._api.store.listen(_PODS, self._on_change)

    async def stop(self) -> None:
        """Kill everything."""
        self._unlisten()
        for worker in self._workers.values():
            worker.kill()
        tasks = [*self._stops.values(), *self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_change(self, change: Change) -> None:
        pod = change.object
        uid = pod["metadata"]["uid"]
        if change.type == "DELETED":
            self._forget(uid)
        elif pod["metadata"].get("deletionTimestamp"):
            self._begin_stop(pod)
        elif pod["spec"].get("nodeName") and uid not in self._workers:
            where = self._directory / f"{namespace_of(pod)}_{name_of(pod)}_{uid}"
            worker = PodWorker(self._api, pod, self._images, where, self._kubeconfig)
            self._workers[uid] = worker
            self._tasks[uid] = asyncio.create_task(self._run(worker, pod))

    @staticmethod
    async def _run(worker: PodWorker, pod: Obj) -> None:
        try:
            await worker.run()
        except Exception:  # noqa: BLE001 - one pod must not take the others down
            _log.exception("pod %s/%s failed", namespace_of(pod), name_of(pod))

    def _forget(self, uid: str) -> None:
        worker = self._workers.pop(uid, None)
        if worker is not None:
            worker.kill()
        task = self._tasks.pop(uid, None)
        if task is not None:
            task.cancel()

    def _begin_stop(self, pod: Obj) -> None:
        uid = pod["metadata"]["uid"]
        grace = pod["metadata"].get("deletionGracePeriodSeconds", 0)
        running = self._stops.get(uid)
        if running is not None and grace:
            return
        stop = asyncio.create_task(self._stop_pod(pod, grace))
        self._stops[uid] = stop
        stop.add_done_callback(lambda done: self._forget_stop(uid, done))

    def _forget_stop(self, uid: str, done: asyncio.Task[None]) -> None:
        if self._stops.get(uid) is done:
            del self._stops[uid]

    async def _stop_pod(self, pod: Obj, grace_seconds: float) -> None:
        worker = self._workers.get(pod["metadata"]["uid"])
        if worker is not None:
            await worker.stop(grace_seconds)
        options = DeleteOptions(grace_period_seconds=0, uid=pod["metadata"]["uid"])
        self._api.delete_if_there(self._api.resource("pods"), pod, options)

    async def log(self, pod: Obj, container: str) -> str:
        """Return what a container printed so far; raises 400 when it has not started."""
        name = container or pod["spec"]["containers"][0]["name"]
        worker = self._workers.get(pod["metadata"]["uid"])
        path = worker.log_path(name) if worker else None
        if path is None or not path.exists():
            raise bad_request(
                f'container "{name}" in pod "{name_of(pod)}" is waiting to start or keeps no log'
            )
        return path.read_text("utf-8", errors="replace")

    def metrics(self, resource: Resource, namespace: str) -> list[Obj]:
        """Return the PodMetrics, or NodeMetrics, of this moment."""
        pods = [p for p in self._api.store.items(_PODS, namespace) if self._measured(p)]
        if resource.namespaced:
            return [self._pod_metrics(pod) for pod in pods]
        return [self._node_metrics(node, pods) for node in self._api.store.items(("", "nodes"))]

    def _measured(self, pod: Obj) -> bool:
        worker = self._workers.get(pod["metadata"]["uid"])
        return worker is not None and bool(worker.usage())

    def _rate(self, uid: str, container: str, usage: Usage) -> float:
        """Return cores used since the last look; a second look sooner than 1 s reuses it."""
        now = time.monotonic()
        before, cpu = self._samples.get((uid, container), (now - 1.0, 0.0))
        self._samples[uid, container] = (now, usage.cpu_seconds)
        return max(0.0, usage.cpu_seconds - cpu) / max(now - before, 1.0)

    def _pod_metrics(self, pod: Obj) -> Obj:
        uid = pod["metadata"]["uid"]
        return {
            "kind": "PodMetrics",
            "apiVersion": "metrics.k8s.io/v1beta1",
            "metadata": {
                "name": name_of(pod),
                "namespace": namespace_of(pod),
                "labels": pod["metadata"].get("labels") or {},
                "creationTimestamp": rfc3339(),
            },
            "timestamp": rfc3339(),
            "window": "10s",
            "containers": [
                {"name": name, "usage": _quantities(self._rate(uid, name, usage), usage)}
                for name, usage in self._workers[uid].usage().items()
            ],
        }

    def _node_metrics(self, node: Obj, pods: list[Obj]) -> Obj:
        memory, cores = 0, 0.0
        for pod in pods:
            if pod["spec"]["nodeName"] != name_of(node):
                continue
            uid = pod["metadata"]["uid"]
            for name, usage in self._workers[uid].usage().items():
                memory += usage.memory_bytes
                cores += self._rate(f"{uid}@node", name, usage)
        return {
            "kind": "NodeMetrics",
            "apiVersion": "metrics.k8s.io/v1beta1",
            "metadata": {"name": name_of(node), "creationTimestamp": rfc3339()},
            "timestamp": rfc3339(),
            "window": "10s",
            "usage": {"cpu": f"{int(cores * _NANO)}n", "memory": f"{memory // _KIBI}Ki"},
        }


def _quantities(cores: float, usage: Usage) -> Obj:
    return {"cpu": f"{int(cores * _NANO)}n", "memory": f"{usage.memory_bytes // _KIBI}Ki"}
