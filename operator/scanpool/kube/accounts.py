"""The ConfigMap in which all shards of the operator write which keys they use, as hashes."""

from collections.abc import Mapping

from scanpool.kube.api import KubeApi
from scanpool.kube.watch import Kind
from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable

CONFIG_MAPS = Kind("/api/v1", "configmaps")
NAME = "scanpool-shards"


class Accounts:
    """The ConfigMap's data, in the namespace that the client is in."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def read(self) -> Mapping[str, str] | Unavailable | None:
        """Return what is written in it; None if there is none."""
        found = await self._api.get(CONFIG_MAPS.path_of(self._api.namespace, NAME))
        if isinstance(found, Unavailable):
            return None if found.reason is Reason.NOT_FOUND else found
        return found.get("data") or {}

    async def create(self, data: Mapping[str, str]) -> Unavailable | None:
        """Make it; refused with SCALE_CONFLICT if another shard was faster."""
        body = {"metadata": {"name": NAME}, "data": dict(data)}
        done = await self._api.create(CONFIG_MAPS.path(self._api.namespace), body)
        return done if isinstance(done, Unavailable) else None

    async def change(self, entry: str, text: str) -> Unavailable | None:
        """Write one entry, and leave those of others alone."""
        path = CONFIG_MAPS.path_of(self._api.namespace, NAME)
        done = await self._api.patch(path, {"data": {entry: text}})
        return done if isinstance(done, Unavailable) else None
