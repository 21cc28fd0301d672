"""Which resource a kind is, and whether it has a /scale, as the API's discovery says."""

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import NamedTuple

from scanpool.kube.answers import Json
from scanpool.kube.api import KubeApi
from scanpool.kube.watch import MISSING_SECONDS
from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable
from scanpool.models.resource import DEPLOYMENTS, Resource
from scanpool.models.spec import ScaleTargetRef

Named = tuple[str, str]
"""apiVersion and kind."""

# What every cluster serves, and most pools scale, is not asked for.
ALWAYS: Mapping[Named, Resource] = {("apps/v1", "Deployment"): DEPLOYMENTS}
MISSING = frozenset({Reason.KIND_NOT_FOUND, Reason.SCALE_NOT_FOUND})


class _Known(NamedTuple):
    """What a kind was found to be, and when."""

    answer: Resource | Unavailable
    at: float


class Kinds:
    """Asks once for each kind; what is missing is asked for again after a while."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._known: dict[Named, _Known] = {}
        self._asking = asyncio.Lock()

    async def find(self, ref: ScaleTargetRef) -> Resource | Unavailable:
        """Return what a pool's target is asked for as, or why it cannot be scaled."""
        named = (ref.api_version, ref.kind)
        if (always := ALWAYS.get(named)) is not None:
            return always
        async with self._asking:
            known = self._known.get(named)
            if known is not None and (isinstance(known.answer, Resource) or not _is_old(known)):
                return known.answer
            answer = await self._ask(ref)
            if isinstance(answer, Resource) or answer.reason in MISSING:
                self._known[named] = _Known(answer, monotonic())
            return answer

    def doubt(self, ref: ScaleTargetRef) -> None:
        """Take that a kind may not be served as it was found, unless that was only just."""
        known = self._known.get((ref.api_version, ref.kind))
        if known is not None and _is_old(known):
            del self._known[ref.api_version, ref.kind]

    async def _ask(self, ref: ScaleTargetRef) -> Resource | Unavailable:
        group, _, version = ref.api_version.rpartition("/")
        asked = Resource(group, version, ref.kind, "")
        listing = await self._api.get(asked.path)
        if not isinstance(listing, Unavailable):
            return _resource(ref, asked, listing)
        if listing.reason is not Reason.NOT_FOUND:
            return listing
        return Unavailable(
            Reason.KIND_NOT_FOUND,
            f"the Kubernetes API serves no {ref.api_version}: install what brings it, or correct "
            "spec.scaleTargetRef.apiVersion",
        )


def _is_old(known: _Known) -> bool:
    return known.at + MISSING_SECONDS < monotonic()


def _resource(ref: ScaleTargetRef, asked: Resource, listing: Json) -> Resource | Unavailable:
    """Return the resource of a kind, by the list of all that are in its group and version."""
    served = {one["name"]: one for one in listing["resources"]}
    plural = next((name for name, one in served.items() if _is(one, ref.kind)), None)
    if plural is None:
        return Unavailable(
            Reason.KIND_NOT_FOUND,
            f"{ref.api_version} has no kind {ref.kind} in a namespace: correct kind or apiVersion "
            "of spec.scaleTargetRef, or install what brings it",
        )
    if f"{plural}/scale" not in served:
        return Unavailable(
            Reason.SCALE_NOT_FOUND,
            f"{ref.kind} of {ref.api_version} has no /scale: let spec.scaleTargetRef name what has "
            "one, or add subresources.scale to its CRD",
        )
    return asked._replace(plural=plural)


def _is(one: Json, kind: str) -> bool:
    return bool(one["kind"] == kind and one["namespaced"] and "/" not in one["name"])
