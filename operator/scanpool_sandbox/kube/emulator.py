"""The emulator as a whole: store, API, controllers, kubelets and HTTP server together."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from scanpool_sandbox.kube.access.audit import Audit
from scanpool_sandbox.kube.access.users import Tokens
from scanpool_sandbox.kube.api import Api
from scanpool_sandbox.kube.controllers.clusterroles import cluster_roles
from scanpool_sandbox.kube.controllers.definitions import (
    DEFINITIONS,
    definitions,
    serve_definition,
)
from scanpool_sandbox.kube.controllers.deployments import deployments
from scanpool_sandbox.kube.controllers.garbage import garbage
from scanpool_sandbox.kube.controllers.loop import run_controller
from scanpool_sandbox.kube.controllers.namespaces import namespaces, reconcile_namespace
from scanpool_sandbox.kube.controllers.nodes import Node, node_object, nodes
from scanpool_sandbox.kube.controllers.replicasets import replica_sets
from scanpool_sandbox.kube.controllers.scheduler import scheduler
from scanpool_sandbox.kube.controllers.statefulsets import stateful_sets
from scanpool_sandbox.kube.kubeconfig import write_kubeconfig
from scanpool_sandbox.kube.kubelet.images import Image, images_from
from scanpool_sandbox.kube.kubelet.kubelet import Kubelet
from scanpool_sandbox.kube.objects import Obj, namespace_of
from scanpool_sandbox.kube.resources import Registry
from scanpool_sandbox.kube.serve.server import Server
from scanpool_sandbox.kube.serve.verbs import ResourceHandlers
from scanpool_sandbox.kube.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scanpool_sandbox.kube.controllers.loop import Controller

_NAMESPACES = ("default", "kube-system", "kube-public")
_CONTROLLERS: tuple[Callable[[Api], Controller[Any]], ...] = (
    definitions,
    namespaces,
    garbage,
    nodes,
    scheduler,
    replica_sets,
    deployments,
    stateful_sets,
    cluster_roles,
)


class KubeEmulator:
    """A Kubernetes API server with its controllers and nodes, on 127.0.0.1.

    `nodes` exist from the start (without any, pods stay Pending). `images` maps repositories to
    programs or simulations; None simulates every image. `directory` holds pods' logs and
    kubeconfigs, a temporary one by default. `port` 0 picks a free one.

    Use it as an async context manager; leaving it kills every process it started.
    """

    def __init__(
        self,
        nodes: Sequence[Node] = (),
        images: Mapping[str, Image | Sequence[str]] | None = None,
        directory: Path | None = None,
        port: int = 0,
    ) -> None:
        self.store = Store()
        self.api = Api(Registry(), self.store)
        self.audit = Audit()
        self.url = ""
        self._tokens = Tokens()
        self._nodes = nodes
        self._images = images_from(images)
        self.directory = directory
        self._port = port
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start everything; the URL is known afterwards."""
        async with contextlib.AsyncExitStack() as stack:
            directory = self.directory
            if directory is None:
                directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self._prepare_store()
            kubelet = Kubelet(
                self.api, self._images, directory.resolve() / "pods", self._pod_kubeconfig
            )
            self.url = await self._serve(stack, kubelet)
            kubelet.start()
            stack.push_async_callback(kubelet.stop)
            self._start_controllers(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """Stop everything."""
        await self._stack.aclose()

    def token_for(self, namespace: str, service_account: str) -> str:
        """Return a bearer token of a ServiceAccount."""
        return self._tokens.issue(namespace, service_account)

    def write_kubeconfig(
        self, path: Path, token: str | None = None, namespace: str = "default"
    ) -> Path:
        """Write a kubeconfig with a token, or as administrator."""
        return write_kubeconfig(path, self.url, token, namespace)

    def _prepare_store(self) -> None:
        for resource in self.api.registry:
            self.store.open(resource.key)
        self.store.listen(DEFINITIONS, partial(serve_definition, self.api))
        for name in _NAMESPACES:
            self.api.create(self.api.resource("namespaces"), "", {"metadata": {"name": name}})
            reconcile_namespace(self.api, name)
        for node in self._nodes:
            self.api.create(self.api.resource("nodes"), "", node_object(node))

    async def _serve(self, stack: contextlib.AsyncExitStack, kubelet: Kubelet) -> str:
        handlers = ResourceHandlers(self.api, self._tokens, kubelet)
        server = Server(self.api, self._tokens, self.audit, handlers)
        # Watches would otherwise hold up the shutdown: handlers are cancelled at once.
        runner = web.AppRunner(
            server.application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", self._port)
        await site.start()
        host, port = runner.addresses[0][:2]
        return f"http://{host}:{port}"

    def _start_controllers(self, stack: contextlib.AsyncExitStack) -> None:
        tasks = [
            asyncio.create_task(run_controller(self.store, controller(self.api)))
            for controller in _CONTROLLERS
        ]

        async def stop() -> None:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        stack.push_async_callback(stop)

    def _pod_kubeconfig(self, pod: Obj, directory: Path) -> Path | None:
        name = pod["spec"].get("serviceAccountName", "default")
        accounts = self.api.resource("serviceaccounts")
        if self.store.get(accounts.key, namespace_of(pod), name) is None:
            return None
        path = directory / "kubeconfig"
        if path.exists():
            return path
        namespace = namespace_of(pod)
        return self.write_kubeconfig(path, self.token_for(namespace, name), namespace)
