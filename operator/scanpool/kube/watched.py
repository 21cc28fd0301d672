"""What the operator knows of the cluster without asking: the watches and their indices."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain
from typing import TypeVar

from scanpool.kube import placement, scalers
from scanpool.kube.api import KubeApi
from scanpool.kube.ends import Ends
from scanpool.kube.indices import Nodes, Pods
from scanpool.kube.pod_templates import PodTemplates
from scanpool.kube.rules import ByNamespace
from scanpool.kube.scalers import Scaled, Scalers
from scanpool.kube.targets import Targets
from scanpool.kube.watch import PODS, POOLS, Both, Index, Kind, Watch
from scanpool.models.conditions import Reason
from scanpool.models.observation import Node, PodTemplate, Target
from scanpool.models.placement import NamespaceRules
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.rivals import Rival
from scanpool.models.spec import ScaleTargetRef
from scanpool.models.units import Clock

T = TypeVar("T")

EVERYWHERE = ""
NODES = Kind("/api/v1", "nodes")
HPAS = Kind("/apis/autoscaling/v2", "horizontalpodautoscalers", may_be_missing=True)
QUOTAS = Kind("/api/v1", "resourcequotas", may_be_missing=True)
RANGES = Kind("/api/v1", "limitranges", may_be_missing=True)
SCALED_OBJECTS = Kind("/apis/keda.sh/v1alpha1", "scaledobjects", may_be_missing=True)


class Watched:
    """What pools scale, its pods and scalers in the namespaces that are looked after; the nodes.

    Without namespaces it is all of them. Nodes, the pods of all namespaces on them, and quotas are
    watched once a pool asks for them: whoever names namespaces may have no rights beyond.
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
        self._targets, self._templates = Targets(api, self._begin_in_scopes), PodTemplates(api)
        self._pods, self._ends = Pods(), Ends()
        self._of_pods = self._begin(PODS, self._scopes, Both(self._pods, self._ends))
        self._pools = Scalers(scalers.pool)
        self._hpas, self._scaled_objects = Scalers(scalers.hpa), Scalers(scalers.scaled_object)
        self._of_hpas = self._begin(HPAS, self._scopes, self._hpas)
        self._of_scaled_objects = self._begin(SCALED_OBJECTS, self._scopes, self._scaled_objects)
        self._nodes = Nodes()
        self._of_nodes: tuple[Watch, ...] = ()
        self._on_nodes = self._pods
        self._quotas = ByNamespace(placement.quota)
        self._ranges = ByNamespace(placement.limit_ranges)
        self._of_rules: tuple[dict[str, Watch], ...] = ()

    def watch_pools(self, index: Index) -> tuple[Watch, ...]:
        """Watch the ScanWorkerPools, too; all that an index does not choose are known as rivals."""
        return tuple(self._begin(POOLS, self._scopes, Both(self._pools, index)).values())

    async def close(self) -> None:
        """End all watches."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def scope(self, namespace: str) -> str:
        """Return what is watched together with a namespace; empty for all of them."""
        return namespace if namespace in self._scopes else EVERYWHERE

    async def read_target(self, namespace: str, ref: ScaleTargetRef) -> Reading[Target]:
        """Return what a pool scales and its pods; unavailable while either may be out of date."""
        scope = self.scope(namespace)
        target = await self._targets.find(namespace, scope, ref)
        if isinstance(target, Unavailable):
            return target
        if (trouble := await self._of_pods[scope].trouble()) is not None:
            return trouble
        resource, found = target
        there = tuple(self._pods.of(found))
        staying = [one for one in there if one.stays]
        youngest = max(staying, key=lambda one: one.pod.created_at, default=None)
        template: PodTemplate | Unavailable | None = found.template
        if template is None:
            template = await self._templates.of(resource, found, there)
        if isinstance(template, Unavailable):
            return template
        return self._seen(
            Target(
                uid=found.uid,
                replicas=found.replicas,
                selector=found.selector,
                template=template,
                pods=tuple(one.pod for one in staying),
                draining=sum(one.drains for one in there),
                leaving_from=tuple(
                    one.pod.node for one in there if one.drains and one.pod.node is not None
                ),
                writers=found.writers,
                ended=self._ends.of(found),
                asked={} if youngest is None else youngest.asked,
                ports=() if youngest is None else youngest.ports,
                resource=resource,
            )
        )

    async def read_rivals(
        self, namespace: str, pool: str, ref: ScaleTargetRef
    ) -> Reading[tuple[Rival, ...]]:
        """Return who else means to scale a pool's target: older pools, HPAs and ScaledObjects.

        Unavailable where nobody is known, and not all may be.
        """
        scope, target = self.scope(namespace), Scaled.of(namespace, ref)
        troubles = [
            await watch.trouble()
            for watch in (self._of_hpas[scope], self._of_scaled_objects[scope])
        ]
        found = (
            *self._pools.older(target, pool),
            *self._hpas.of(target),
            *self._scaled_objects.of(target),
        )
        for trouble in troubles:
            if trouble is not None and not found:
                return trouble
        return self._seen(found)

    async def read_nodes(self) -> Reading[tuple[Node, ...]]:
        """Return all nodes, with what the pods on them request."""
        if not self._of_nodes:
            self._of_nodes = self._begin_nodes()
        for watch in self._of_nodes:
            if (trouble := await watch.trouble()) is not None:
                return _out_of_sight(trouble)
        return self._seen(self._nodes.with_pods(self._on_nodes))

    async def read_rules(self, namespace: str) -> Reading[NamespaceRules]:
        """Return what a namespace's ResourceQuotas and LimitRanges let its pods ask for."""
        if not self._of_rules:
            self._of_rules = (
                self._begin(QUOTAS, self._scopes, self._quotas),
                self._begin(RANGES, self._scopes, self._ranges),
            )
        for watches in self._of_rules:
            if (trouble := await watches[self.scope(namespace)].trouble()) is not None:
                return trouble
        ranges = chain.from_iterable(self._ranges.of(namespace))
        return self._seen(NamespaceRules(self._quotas.of(namespace), tuple(ranges)))

    def scaled(self, namespace: str, ref: ScaleTargetRef, replicas: int) -> None:
        """Take what was just written: the next tick may come before the watch tells of it."""
        self._targets.scaled(namespace, ref, replicas)

    def _begin_nodes(self) -> tuple[Watch, ...]:
        nodes = self._begin(NODES, (EVERYWHERE,), self._nodes)
        if EVERYWHERE in self._of_pods:
            return nodes[EVERYWHERE], self._of_pods[EVERYWHERE]
        self._on_nodes = Pods()
        pods = self._begin(PODS, (EVERYWHERE,), self._on_nodes)
        return nodes[EVERYWHERE], pods[EVERYWHERE]

    def _begin_in_scopes(self, kind: Kind, index: Index) -> dict[str, Watch]:
        return self._begin(kind, self._scopes, index)

    def _begin(self, kind: Kind, scopes: Sequence[str], index: Index) -> dict[str, Watch]:
        found = {}
        for scope in scopes:
            found[scope] = Watch(self._api, kind, scope, index, self._restarted)
            name = f"watch {kind.path(scope)}"
            self._tasks.add(asyncio.create_task(found[scope].run(), name=name))
        return found

    def _seen(self, value: T) -> Available[T]:
        return Available(value, self._clock(), "kubernetes")


def _out_of_sight(refusal: Unavailable) -> Unavailable:
    """Say what a pool can do without where the operator has rights in namespaces only."""
    if refusal.reason is not Reason.KUBERNETES_FORBIDDEN:
        return refusal
    told = f"{refusal.message}; an operator of named namespaces needs memory.enabled: false"
    return Unavailable(refusal.reason, told)
