"""Garbage collection by owner references: background, foreground and orphan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanpool_sandbox.kube.objects import Obj, copied, namespace_of
from scanpool_sandbox.kube.writing.deletion import FOREGROUND, ORPHAN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanpool_sandbox.kube.api import Api
    from scanpool_sandbox.kube.resources import Resource


def collect_garbage(api: Api) -> None:
    """Delete what has lost its last owner, and finish foreground and orphan deletions."""
    objects = list(_all(api))
    alive = {obj["metadata"]["uid"] for _, obj in objects}
    for resource, obj in objects:
        finalizers = obj["metadata"].get("finalizers") or []
        if obj["metadata"].get("deletionTimestamp"):
            if ORPHAN in finalizers:
                _orphan_dependents(api, objects, obj)
                _drop_finalizer(api, resource, obj, ORPHAN)
            elif FOREGROUND in finalizers:
                _delete_dependents(api, objects, resource, obj)
            continue
        references = obj["metadata"].get("ownerReferences") or []
        if references and not any(reference["uid"] in alive for reference in references):
            api.delete_if_there(resource, obj)


def _all(api: Api) -> Iterator[tuple[Resource, Obj]]:
    for key in {resource.key for resource in api.registry}:
        resource = api.registry.stored(key)
        for obj in api.store.items(key):
            yield resource, obj


def _dependents(objects: list[tuple[Resource, Obj]], owner: Obj) -> list[tuple[Resource, Obj]]:
    uid = owner["metadata"]["uid"]
    return [
        (resource, obj)
        for resource, obj in objects
        if any(r["uid"] == uid for r in obj["metadata"].get("ownerReferences") or [])
    ]


def _orphan_dependents(api: Api, objects: list[tuple[Resource, Obj]], owner: Obj) -> None:
    for resource, obj in _dependents(objects, owner):
        freed = copied(obj)
        freed["metadata"]["ownerReferences"] = [
            r for r in obj["metadata"]["ownerReferences"] if r["uid"] != owner["metadata"]["uid"]
        ]
        api.replace(resource, obj, freed)


def _delete_dependents(
    api: Api, objects: list[tuple[Resource, Obj]], owner_resource: Resource, owner: Obj
) -> None:
    blocking = False
    for resource, obj in _dependents(objects, owner):
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
