"""Which object a change concerns: itself, or what controls it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.controllers.loop import Controller
from scanpool_sandbox.kube.objects import Obj, is_controlled_by, name_of, namespace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scanpool_sandbox.kube.api import Api
    from scanpool_sandbox.kube.resources import Key
    from scanpool_sandbox.kube.store import Change, Store

Name = tuple[str, str]
"""Namespace and name."""
PODS: Key = ("", "pods")


def full_name(obj: Obj) -> Name:
    """Return the object's namespace and name."""
    return namespace_of(obj), name_of(obj)


def itself(change: Change) -> Iterable[Name]:
    """Name the object that has changed."""
    return (full_name(change.object),)


def names(store: Store, key: Key) -> Iterable[Name]:
    """Name all objects of a resource."""
    return map(full_name, store.items(key))


def controllers_of(kind: str) -> Callable[[Change], Iterable[Name]]:
    """Name the controller of that kind which the changed object has, and the one it had."""

    def concerned(change: Change) -> set[Name]:
        return {
            (namespace_of(obj), reference["name"])
            for obj in (change.object, change.previous)
            if obj is not None
            for reference in obj["metadata"].get("ownerReferences") or ()
            if reference.get("controller") and reference["kind"] == kind
        }

    return concerned


def controlled(store: Store, owner: Obj, key: Key) -> list[Obj]:
    """List the objects of a resource whose controller is `owner`, in the order of their names."""
    found = store.owners.dependents(owner["metadata"]["uid"])
    return [obj for at, obj in found if at.key == key and is_controlled_by(obj, owner)]


def with_pods(
    api: Api, key: Key, kind: str, reconcile: Callable[[Api, Name], float | None]
) -> Controller[Name]:
    """Look after the objects of a kind that controls pods: after themselves and their pods."""
    return Controller(
        {key: itself, PODS: controllers_of(kind)},
        partial(names, api.store, key),
        partial(reconcile, api),
    )
