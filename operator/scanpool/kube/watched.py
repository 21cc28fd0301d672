"""What the operator knows of the cluster without asking: the watches and their indices."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import quote

from scanpool.kube.api import KubeApi
from scanpool.kube.indices import Deployments, Nodes, Pods
from scanpool.kube.watch import Index, Watch
from scanpool.models.conditions import Reason
from scanpool.models.names import GROUP, PLURAL, VERSION
from scanpool.models.observation import Node, Target
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.units import Clock

T = TypeVar("T")

EVERYWHERE = ""
CORE, APPS, POOLS = "/api/v1", "/apis/apps/v1", f"/apis/{GROUP}/{VERSION}"


class Watched:
    """The Deployments and pods of the namespaces that are looked after, and the cluster's nodes.

    Without namespaces it is all of them. Nodes, and the pods of all namespaces on them, are watched
    once a pool asks for them: whoever names namespaces may have no rights beyond.
    """

    def __init__(
        self,
        api: KubeApi,
        namespaces: Sequence[str],
        restarted: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._api, self._restarted, self._clock = api, restarted, clock
        self._scopes = tuple(namespaces) or (EVERYWHERE,)
        self._tasks: set[asyncio.Task[None]] = set()
        self._deployments, self._pods = Deployments(), Pods()
        self._of_deployments = self._begin(APPS, "deployments", self._scopes, self._deployments)
        self._of_pods = self._begin(CORE, "pods", self._scopes, self._pods)
        self._nodes = Nodes()
        self._of_nodes: tuple[Watch, ...] = ()
        self._on_nodes = self._pods

    def watch_pools(self, index: Index) -> tuple[Watch, ...]:
        """Watch the ScanWorkerPools, too."""
        return tuple(self._begin(POOLS, PLURAL, self._scopes, index).values())

    async def close(self) -> None:
        """End all watches."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def scope(self, namespace: str) -> str:
        """Return what is watched together with a namespace; empty for all of them."""
        return namespace if namespace in self._scopes else EVERYWHERE

    async def read_target(self, namespace: str, name: str) -> Reading[Target]:
        """Return a Deployment and its pods; unavailable while either may be out of date."""
        scope = self.scope(namespace)
        for watch in (self._of_deployments[scope], self._of_pods[scope]):
            if (trouble := await watch.trouble()) is not None:
                return trouble
        found = self._deployments.get(namespace, name)
        if found is None:
            return Unavailable(
                Reason.TARGET_NOT_FOUND,
                f"Deployment {namespace}/{name} does not exist: create it, or correct "
                "spec.scaleTargetRef.name",
            )
        there = tuple(self._pods.of(found))
        return self._seen(
            Target(
                uid=found.uid,
                replicas=found.replicas,
                selector=found.selector,
                template=found.template,
                pods=tuple(one.pod for one in there if one.stays),
                draining=sum(one.drains for one in there),
            )
        )

    async def read_nodes(self) -> Reading[tuple[Node, ...]]:
        """Return all nodes, with what the pods on them request."""
        if not self._of_nodes:
            self._of_nodes = self._begin_nodes()
        for watch in self._of_nodes:
            if (trouble := await watch.trouble()) is not None:
                return _out_of_sight(trouble)
        return self._seen(self._nodes.with_pods(self._on_nodes))

    def scaled(self, namespace: str, name: str, replicas: int) -> None:
        """Take what was just written: the next tick may come before the watch tells of it."""
        self._deployments.scaled(namespace, name, replicas)

    def _begin_nodes(self) -> tuple[Watch, ...]:
        nodes = self._begin(CORE, "nodes", (EVERYWHERE,), self._nodes)
        if EVERYWHERE in self._of_pods:
            return nodes[EVERYWHERE], self._of_pods[EVERYWHERE]
        self._on_nodes = Pods()
        pods = self._begin(CORE, "pods", (EVERYWHERE,), self._on_nodes)
        return nodes[EVERYWHERE], pods[EVERYWHERE]

    def _begin(
        self, group: str, plural: str, scopes: Sequence[str], index: Index
    ) -> dict[str, Watch]:
        found = {}
        for scope in scopes:
            where = f"/namespaces/{quote(scope, safe='')}" if scope else ""
            path = f"{group}{where}/{plural}"
            found[scope] = Watch(self._api, path, scope, index, self._restarted)
            self._tasks.add(asyncio.create_task(found[scope].run(), name=f"watch {path}"))
        return found

    def _seen(self, value: T) -> Available[T]:
        return Available(value, self._clock(), "kubernetes")


def _out_of_sight(refusal: Unavailable) -> Unavailable:
    """Say what a pool can do without where the operator has rights in namespaces only."""
    if refusal.reason is not Reason.KUBERNETES_FORBIDDEN:
        return refusal
    told = f"{refusal.message}; an operator of named namespaces needs memory.enabled: false"
    return Unavailable(refusal.reason, told)
