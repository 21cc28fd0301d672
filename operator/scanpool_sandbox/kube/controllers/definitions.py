"""Serve what CRDs define, from the moment they are created to the end of their last object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanpool_sandbox.kube.builtin.definitions import CLEANUP_FINALIZER, resources_of
from scanpool_sandbox.kube.objects import copied

if TYPE_CHECKING:
    from scanpool_sandbox.kube.api import Api
    from scanpool_sandbox.kube.resources import Key
    from scanpool_sandbox.kube.store import Change

DEFINITIONS: Key = ("apiextensions.k8s.io", "customresourcedefinitions")


def serve_definition(api: Api, change: Change) -> None:
    """Add or drop a CRD's resources, within the write that changed it."""
    spec = change.object["spec"]
    key = (spec["group"], spec["names"]["plural"])
    api.registry.remove_group_resource(key)
    if change.type == "DELETED":
        api.store.close(key)
        return
    api.store.open(key)
    for resource in resources_of(change.object):
        api.registry.add(resource)


def finish_definitions(api: Api) -> None:
    """Delete the objects of CRDs that are being deleted, then let the CRDs go."""
    definitions = api.resource("customresourcedefinitions", "apiextensions.k8s.io")
    for definition in api.store.items(DEFINITIONS):
        finalizers = definition["metadata"].get("finalizers") or []
        if not definition["metadata"].get("deletionTimestamp"):
            continue
        served = resources_of(definition)
        for obj in api.store.items(served[0].key):
            api.delete_if_there(served[0], obj)
        if not api.store.items(served[0].key) and CLEANUP_FINALIZER in finalizers:
            done = copied(definition)
            done["metadata"]["finalizers"] = [f for f in finalizers if f != CLEANUP_FINALIZER]
            api.replace(definitions, definition, done)
