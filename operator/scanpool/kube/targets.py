"""What pools scale, of whatever kind: a kind is watched from the first pool on that names it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from scanpool.kube import rights
from scanpool.kube.api import KubeApi
from scanpool.kube.by_scale import ByScale
from scanpool.kube.indices import Workloads
from scanpool.kube.kinds import Kinds
from scanpool.kube.objects import Workload
from scanpool.kube.watch import Index, Kind, Watch
from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable
from scanpool.models.resource import APPS, DEPLOYMENTS, Resource
from scanpool.models.spec import ScaleTargetRef

Begin = Callable[[Kind, Index], Mapping[str, Watch]]


class Found(NamedTuple):
    """A pool's target, and what it is asked for as."""

    resource: Resource
    workload: Workload


class _Objects(Index, Protocol):
    """The objects of a kind, by their names."""

    async def get(self, namespace: str, name: str) -> Workload | Unavailable | None:
        """Return one; None if there is none."""

    def scaled(self, namespace: str, name: str, replicas: int) -> None:
        """Take what was just written."""


class _Watched(NamedTuple):
    """The objects of a kind, and their watches by scope."""

    objects: _Objects
    watches: Mapping[str, Watch]


class Targets:
    """The objects that pools name, by their kinds.

    What apps/v1 serves tells replicas and selector itself, of everything else the /scale does.
    `begin` starts the watches of a kind.
    """

    def __init__(self, api: KubeApi, begin: Begin) -> None:
        self._api, self._begin = api, begin
        self._kinds = Kinds(api)
        self._watched: dict[Resource, _Watched] = {}
        self._of(DEPLOYMENTS)

    async def find(self, namespace: str, scope: str, ref: ScaleTargetRef) -> Found | Unavailable:
        """Return what a pool scales; unavailable while that may be out of date.

        `scope` is what is watched together with the namespace; empty for all of them.
        """
        resource = await self._kinds.find(ref)
        if isinstance(resource, Unavailable):
            return resource
        watched = self._of(resource)
        found: Workload | Unavailable | None = await watched.watches[scope].trouble()
        if found is None:
            found = await watched.objects.get(namespace, ref.name)
        if isinstance(found, Workload):
            return Found(resource, found)
        if isinstance(found, Unavailable) and found.reason is not Reason.NOT_FOUND:
            return rights.told(found, resource, namespace)
        # Gone, or its kind is, or its kind's /scale.
        self._kinds.doubt(ref)
        return Unavailable(
            Reason.TARGET_NOT_FOUND,
            f"{ref.kind} {namespace}/{ref.name} does not exist: create it, or correct "
            "spec.scaleTargetRef",
        )

    def scaled(self, namespace: str, ref: ScaleTargetRef, replicas: int) -> None:
        """Take what was just written: the next tick may come before the watch tells of it."""
        for resource, watched in self._watched.items():
            if (resource.api_version, resource.kind) == (ref.api_version, ref.kind):
                watched.objects.scaled(namespace, ref.name, replicas)

    def _of(self, resource: Resource) -> _Watched:
        if (found := self._watched.get(resource)) is not None:
            return found
        objects = Workloads() if resource.group == APPS else ByScale(self._api, resource)
        found = self._watched[resource] = _Watched(objects, self._begin(Kind.of(resource), objects))
        return found
