"""One Lease by its name: read it, and write it if nobody else has since."""

from scanpool.kube.api import KubeApi
from scanpool.kube.watch import Kind
from scanpool.models.conditions import Reason
from scanpool.models.lease import Lease
from scanpool.models.reading import Unavailable

GROUP_VERSION = "coordination.k8s.io/v1"
LEASES = Kind(f"/apis/{GROUP_VERSION}", "leases")


class Leases:
    """The Lease `name` in the namespace that the client is in."""

    def __init__(self, api: KubeApi, name: str) -> None:
        self._api, self.namespace, self.name = api, api.namespace, name

    async def read(self) -> Lease | Unavailable | None:
        """Return the Lease as it is; None if there is none."""
        found = await self._api.get(LEASES.path_of(self.namespace, self.name))
        if isinstance(found, Unavailable):
            return None if found.reason is Reason.NOT_FOUND else found
        return Lease.from_body(found)

    async def write(self, lease: Lease) -> Lease | Unavailable:
        """Write the Lease, and return it as it then is.

        It is made if `lease` has no version. Refused with SCALE_CONFLICT if there is one by now, or
        if it is of another version: somebody else was faster.
        """
        metadata = {"name": self.name}
        body = {
            "apiVersion": GROUP_VERSION,
            "kind": "Lease",
            "metadata": metadata,
            "spec": lease.to_spec(),
        }
        if lease.version:
            metadata["resourceVersion"] = lease.version
            written = await self._api.replace(LEASES.path_of(self.namespace, self.name), body)
        else:
            written = await self._api.create(LEASES.path(self.namespace), body)
        return written if isinstance(written, Unavailable) else Lease.from_body(written)
