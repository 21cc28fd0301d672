"""What a replica takes where the object has no pod template: its newest pod tells."""

from collections.abc import Sequence
from typing import NamedTuple

from scanpool.kube.api import KubeApi
from scanpool.kube.objects import Placed, Workload, pod_template
from scanpool.kube.watch import PODS
from scanpool.models.observation import PodTemplate
from scanpool.models.reading import Unavailable
from scanpool.models.resource import Resource


class _Seen(NamedTuple):
    """The template that a pod of an object has shown."""

    uid: str
    pod: str
    template: PodTemplate


class PodTemplates:
    """Asks for one pod each time an object has a newer one; a pod's spec does not change."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._seen: dict[tuple[Resource, str, str], _Seen] = {}

    async def of(
        self, resource: Resource, one: Workload, pods: Sequence[Placed]
    ) -> PodTemplate | Unavailable | None:
        """Return the template of the newest pod that an object has had; None before the first."""
        key = resource, one.namespace, one.name
        known = self._seen.get(key)
        if known is not None and known.uid != one.uid:
            known = None
        newest = max(pods, key=lambda each: (each.pod.created_at, each.pod.name), default=None)
        if newest is None or (known is not None and known.pod == newest.pod.name):
            return None if known is None else known.template
        name = newest.pod.name
        named = {"fieldSelector": f"metadata.name={name}"}
        listed = await self._api.page(PODS.path(one.namespace), named)
        if isinstance(listed, Unavailable):
            return listed
        if listed["items"]:
            template = pod_template(one.namespace, listed["items"][0])
            self._seen[key] = known = _Seen(one.uid, name, template)
        # It may be gone already.
        return None if known is None else known.template
