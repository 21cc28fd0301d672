"""Which pools an operator looks after where several share them by labels."""

from collections.abc import Iterable

from scanpool.kube.answers import Json
from scanpool.kube.watch import Index
from scanpool.models.label_selector import LabelSelector


class Chosen:
    """Hands the pools that a selector selects on to an index, and takes all others from it."""

    def __init__(self, index: Index, selector: LabelSelector) -> None:
        self._index, self._selector = index, selector

    async def replace(self, namespace: str, objects: Iterable[Json]) -> None:
        """Take what there is in a namespace, in all of them if it is empty."""
        await self._index.replace(namespace, [one for one in objects if self._selects(one)])

    async def put(self, obj: Json) -> None:
        """Take one that is new or has changed: its labels perhaps, and then it is let go."""
        if self._selects(obj):
            await self._index.put(obj)
        else:
            await self._index.drop(obj)

    async def drop(self, obj: Json) -> None:
        """Let go of one that is gone."""
        await self._index.drop(obj)

    def _selects(self, obj: Json) -> bool:
        return self._selector.selects(obj["metadata"].get("labels") or {})
