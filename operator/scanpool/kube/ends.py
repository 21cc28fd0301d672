"""How pods ended that were told to go: the API server forgets them a moment later."""

from collections.abc import Iterable
from typing import NamedTuple

from scanpool.kube.indices import at
from scanpool.kube.objects import Json, Workload
from scanpool.kube.stopping import ended
from scanpool.models.stopping import Ended

KEPT_SECONDS = 3600.0
"""By the times of the pods themselves: a watch has no clock of its own."""


class _Kept(NamedTuple):
    labels: dict[str, str]
    ended: Ended


class Ends:
    """The ends of the last hour, as far as the watch of the pods has heard them."""

    def __init__(self) -> None:
        # By namespace: each tick of a pool looks at those of its own.
        self._kept: dict[str, dict[str, _Kept]] = {}

    async def replace(self, _: str, objects: Iterable[Json]) -> None:
        """Look at what there is; what has gone meanwhile is not known to have ended."""
        for one in objects:
            self._look(one)

    async def put(self, obj: Json) -> None:
        """Look at one that is new or has changed."""
        self._look(obj)

    async def drop(self, obj: Json) -> None:
        """Look at one that is gone, for the last time."""
        self._look(obj)

    def of(self, target: Workload) -> tuple[Ended, ...]:
        """Return the ends of pods that a target selects, by their names."""
        return tuple(
            kept.ended
            for _, kept in sorted(self._kept.get(target.namespace, {}).items())
            if target.rules.selects(kept.labels)
        )

    def _look(self, pod: Json) -> None:
        found = ended(pod)
        if found is None:
            return
        oldest = found.at - KEPT_SECONDS
        for namespace, there in list(self._kept.items()):
            young = {name: kept for name, kept in there.items() if kept.ended.at > oldest}
            if young:
                self._kept[namespace] = young
            else:
                del self._kept[namespace]
        namespace, name = at(pod)
        kept = _Kept(pod["metadata"].get("labels") or {}, found)
        self._kept.setdefault(namespace, {})[name] = kept
