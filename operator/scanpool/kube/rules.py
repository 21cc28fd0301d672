"""What namespaces let their pods ask for: their ResourceQuotas and LimitRanges, by namespace."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Json = Mapping[str, Any]


class ByNamespace(Generic[T]):
    """The objects of one kind, by namespace; `kept` makes of an object what is kept of it."""

    def __init__(self, kept: Callable[[Json], T]) -> None:
        self._kept_of = kept
        self._kept: defaultdict[str, dict[str, T]] = defaultdict(dict)

    async def replace(self, namespace: str, objects: Iterable[Json]) -> None:
        """Take what there is in a namespace, in all of them if it is empty."""
        if namespace:
            self._kept.pop(namespace, None)
        else:
            self._kept.clear()
        for one in objects:
            await self.put(one)

    async def put(self, obj: Json) -> None:
        """Take one that is new or has changed."""
        metadata = obj["metadata"]
        self._kept[metadata["namespace"]][metadata["name"]] = self._kept_of(obj)

    async def drop(self, obj: Json) -> None:
        """Let go of one that is gone."""
        metadata = obj["metadata"]
        there = self._kept[metadata["namespace"]]
        there.pop(metadata["name"], None)
        if not there:
            del self._kept[metadata["namespace"]]

    def of(self, namespace: str) -> tuple[T, ...]:
        """Return those of a namespace, by their names."""
        return tuple(one for _, one in sorted(self._kept.get(namespace, {}).items()))
