"""Serve what CRDs define, from the moment they are created to the end of their last object."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.builtin.definitions import CLEANUP_FINALIZER, resources_of
from scanpool_sandbox.kube.controllers.loop import Controller
from scanpool_sandbox.kube.objects import copied, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable

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


def definitions(api: Api) -> Controller[str]:
    """Look after CRDs: after themselves, and what comes and goes of what they define."""
    return Controller(
        {None: _defined_by},
        lambda: map(name_of, api.store.items(DEFINITIONS)),
        partial(finish_definition, api),
    )


def _defined_by(change: Change) -> Iterable[str]:
    if change.key == DEFINITIONS:
        yield name_of(change.object)
    elif change.type != "MODIFIED":
        group, plural = change.key
        yield f"{plural}.{group}"


def finish_definition(api: Api, name: str) -> None:
    """Delete the objects of a CRD that is being deleted, then let the CRD go."""
    definition = api.store.get(DEFINITIONS, "", name)
    if definition is None or not definition["metadata"].get("deletionTimestamp"):
        return
    finalizers = definition["metadata"].get("finalizers") or []
    served = resources_of(definition)
    for obj in api.store.items(served[0].key):
        api.delete_if_there(served[0], obj)
    if not api.store.items(served[0].key) and CLEANUP_FINALIZER in finalizers:
        done = copied(definition)
        done["metadata"]["finalizers"] = [f for f in finalizers if f != CLEANUP_FINALIZER]
        resource = api.resource("customresourcedefinitions", "apiextensions.k8s.io")
        api.replace(resource, definition, done)
