"""Garbage collection by owner references: background, foreground and orphan."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.controllers.loop import Controller
from scanpool_sandbox.kube.objects import Obj, copied, namespace_of
from scanpool_sandbox.kube.owners import Where, owners_of, where
from scanpool_sandbox.kube.writing.deletion import FOREGROUND, ORPHAN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanpool_sandbox.kube.api import Api
    from scanpool_sandbox.kube.resources import Resource
    from scanpool_sandbox.kube.store import Change, Store

_COUNTS = ("ownerReferences", "finalizers", "deletionTimestamp")
"""What of an object's metadata may change what is garbage, beside that it comes and goes."""


def garbage(api: Api) -> Controller[Where]:
    """Look after all objects that have owners, or are owners and about to go."""
    return Controller(
        {None: partial(_concerned, api.store)},
        lambda: [
            where(key, obj)
            for key in {resource.key for resource in api.registry}
            for obj in api.store.items(key)
        ],
        partial(collect, api),
    )


def _concerned(store: Store, change: Change) -> Iterator[Where]:
    """Name the object itself, its owners, which may wait for it, and what has lost its owner."""
    after, before = change.object, change.previous
    if change.type == "DELETED":
        yield from (at for at, _ in store.owners.dependents(after["metadata"]["uid"]))
    elif before is not None and _counted(after) == _counted(before):
        return
    yield where(change.key, after)
    for obj in filter(None, (after, before)):
        yield from filter(None, map(store.owners.find, owners_of(obj)))


def _counted(obj: Obj) -> list[object]:
    return [obj["metadata"].get(field) for field in _COUNTS]


def collect(api: Api, at: Where) -> None:
    """Delete an object that has lost its last owner; finish a foreground or orphan deletion."""
    obj = api.store.get(*at)
    if obj is None:
        return
    resource = api.registry.stored(at.key)
    finalizers = obj["metadata"].get("finalizers") or []
    if obj["metadata"].get("deletionTimestamp"):
        if ORPHAN in finalizers:
            _orphan_dependents(api, obj)
            _drop_finalizer(api, resource, obj, ORPHAN)
        elif FOREGROUND in finalizers:
            _delete_dependents(api, resource, obj)
        return
    owners = owners_of(obj)
    if owners and not any(map(api.store.owners.find, owners)):
        api.delete_if_there(resource, obj)


def _dependents(api: Api, owner: Obj) -> Iterator[tuple[Resource, Obj]]:
    for at, obj in api.store.owners.dependents(owner["metadata"]["uid"]):
        yield api.registry.stored(at.key), obj


def _orphan_dependents(api: Api, owner: Obj) -> None:
    for resource, obj in _dependents(api, owner):
        freed = copied(obj)
        freed["metadata"]["ownerReferences"] = [
            r for r in obj["metadata"]["ownerReferences"] if r["uid"] != owner["metadata"]["uid"]
        ]
        api.replace(resource, obj, freed)


def _delete_dependents(api: Api, owner_resource: Resource, owner: Obj) -> None:
    blocking = False
    for resource, obj in _dependents(api, owner):
        if not obj["metadata"].get("deletionTimestamp"):
            api.delete_if_there(resource, obj)
        name = obj["metadata"]["name"]
        still_there = api.store.get(resource.key, namespace_of(obj), name) is not None
        blocks = any(
            r["uid"] == owner["metadata"]["uid"] and r.get("blockOwnerDeletion")
            for r in obj["metadata"]["ownerReferences"]
        )
        blocking = blocking or (still_there and blocks)
    if not blocking:
        _drop_finalizer(api, owner_resource, owner, FOREGROUND)


def _drop_finalizer(api: Api, resource: Resource, obj: Obj, finalizer: str) -> None:
    done = copied(obj)
    done["metadata"]["finalizers"] = [f for f in obj["metadata"]["finalizers"] if f != finalizer]
    api.replace(resource, obj, done)
