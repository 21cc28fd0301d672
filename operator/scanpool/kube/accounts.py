"""The ConfigMap in which all shards of the operator write which keys they use, as hashes."""

from collections.abc import Mapping

from scanpool.kube.api import MERGE_PATCH, KubeApi
from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable

NAME = "scanpool-shards"


class Accounts:
    """The ConfigMap's data, in the namespace that the client is in."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def read(self) -> Mapping[str, str] | Unavailable | None:
        """Return what is written in it; None if there is none."""
        core, namespace = self._api.core, self._api.namespace
        found = await self._api.call(core.read_namespaced_config_map, NAME, namespace)
        if isinstance(found, Unavailable):
            return None if found.reason is Reason.NOT_FOUND else found
        return found.get("data") or {}

    async def create(self, data: Mapping[str, str]) -> Unavailable | None:
        """Make it; refused with SCALE_CONFLICT if another shard was faster."""
        body = {"metadata": {"name": NAME}, "data": dict(data)}
        create = self._api.core.create_namespaced_config_map
        done = await self._api.write(create, self._api.namespace, body)
        return done if isinstance(done, Unavailable) else None

    async def change(self, entry: str, text: str) -> Unavailable | None:
        """Write one entry, and leave those of others alone."""
        patch, body = self._api.core.patch_namespaced_config_map, {"data": {entry: text}}
        named = (NAME, self._api.namespace)
        done = await self._api.write(patch, *named, body, _content_type=MERGE_PATCH)
        return done if isinstance(done, Unavailable) else None
