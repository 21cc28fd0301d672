"""One Lease by its name: read it, and write it if nobody else has since."""

from scanpool.kube.api import KubeApi
from scanpool.models.conditions import Reason
from scanpool.models.lease import Lease
from scanpool.models.reading import Unavailable

# By the client that sends bodies as they are: the one of this group writes times without their
# microseconds where these are 0, which the API server does not take for a time of a Lease.
LEASES = ("coordination.k8s.io", "v1")
PLURAL = "leases"


class Leases:
    """The Lease `name` in the namespace that the client is in."""

    def __init__(self, api: KubeApi, name: str) -> None:
        self._api, self.namespace, self.name = api, api.namespace, name

    async def read(self) -> Lease | Unavailable | None:
        """Return the Lease as it is; None if there is none."""
        read, named = self._api.custom.get_namespaced_custom_object, (PLURAL, self.name)
        found = await self._api.call(read, *LEASES, self.namespace, *named)
        if isinstance(found, Unavailable):
            return None if found.reason is Reason.NOT_FOUND else found
        return Lease.from_body(found)

    async def write(self, lease: Lease) -> Lease | Unavailable:
        """Write the Lease, and return it as it then is.

        It is made if `lease` has no version. Refused with SCALE_CONFLICT if there is one by now, or
        if it is of another version: somebody else was faster.
        """
        api, metadata = self._api.custom, {"name": self.name}
        body = {
            "apiVersion": "/".join(LEASES),
            "kind": "Lease",
            "metadata": metadata,
            "spec": lease.to_spec(),
        }
        if lease.version:
            metadata["resourceVersion"] = lease.version
            replace, named = api.replace_namespaced_custom_object, (PLURAL, self.name)
            written = await self._api.call(replace, *LEASES, self.namespace, *named, body)
        else:
            create = api.create_namespaced_custom_object
            written = await self._api.call(create, *LEASES, self.namespace, PLURAL, body)
        return written if isinstance(written, Unavailable) else Lease.from_body(written)
