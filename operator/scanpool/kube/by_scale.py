"""The objects of a kind of which only the /scale tells how many replicas, and which pods."""

from collections.abc import Iterable
from dataclasses import replace

from scanpool.kube.answers import Json
from scanpool.kube.api import KubeApi
from scanpool.kube.indices import At, at
from scanpool.kube.objects import Workload
from scanpool.kube.scalable import Scalable, Scale, scalable, scale
from scanpool.kube.watch import SCALE, Kind
from scanpool.models.reading import Unavailable
from scanpool.models.resource import Resource


class ByScale:
    """Watched objects; the scale of one is read once for each of its versions."""

    def __init__(self, api: KubeApi, resource: Resource) -> None:
        self._api, self._resource = api, resource
        self._kept: dict[At, Scalable] = {}
        self._scales: dict[At, Scale] = {}

    async def replace(self, namespace: str, objects: Iterable[Json]) -> None:
        """Take what there is in a namespace, in all of them if it is empty."""
        there = {at(one): one for one in objects}
        for key in [key for key in self._kept if namespace in ("", key[0]) and key not in there]:
            self._forget(key)
        for one in there.values():
            await self.put(one)

    async def put(self, obj: Json) -> None:
        """Take one that is new or has changed."""
        key, kept = at(obj), scalable(obj)
        self._kept[key] = kept
        known = self._scales.get(key)
        if known is not None and known.version != kept.version:
            del self._scales[key]

    async def drop(self, obj: Json) -> None:
        """Let go of one that is gone."""
        self._forget(at(obj))

    async def get(self, namespace: str, name: str) -> Workload | Unavailable | None:
        """Return one by its name; unavailable where its scale is, and None if there is none."""
        key = namespace, name
        if (found := self._kept.get(key)) is None:
            return None
        if (known := self._scales.get(key)) is not None:
            return found.scaled_as(known)
        told = await self._api.get(Kind.of(self._resource).path_of(namespace, name, SCALE))
        if isinstance(told, Unavailable):
            return told
        read = scale(told, f"{self._resource.kind} {namespace}/{name}")
        if isinstance(read, Unavailable):
            return read
        if self._kept.get(key) is found:
            # Whatever the watch tells next is another version, or this one.
            self._scales[key] = read
        return found.scaled_as(read)

    def scaled(self, namespace: str, name: str, replicas: int) -> None:
        """Take what was just written, which the watch tells a moment later."""
        if (known := self._scales.get((namespace, name))) is not None:
            self._scales[namespace, name] = replace(known, replicas=replicas)

    def _forget(self, key: At) -> None:
        self._kept.pop(key, None)
        self._scales.pop(key, None)
