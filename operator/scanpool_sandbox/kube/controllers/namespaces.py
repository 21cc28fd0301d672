"""Namespaces: a default ServiceAccount in each, and the end of everything in a deleted one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.controllers.loop import Controller
from scanpool_sandbox.kube.objects import copied, name_of, namespace_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scanpool_sandbox.kube.api import Api
    from scanpool_sandbox.kube.resources import Key
    from scanpool_sandbox.kube.store import Change

_NAMESPACES: Key = ("", "namespaces")


def namespaces(api: Api) -> Controller[str]:
    """Look after namespaces: after themselves, and what comes and goes in them."""
    return Controller(
        {None: _home},
        lambda: map(name_of, api.store.items(_NAMESPACES)),
        partial(reconcile_namespace, api),
    )


def _home(change: Change) -> Iterable[str]:
    if change.key == _NAMESPACES:
        yield name_of(change.object)
    elif change.type != "MODIFIED" and (namespace := namespace_of(change.object)):
        yield namespace


def reconcile_namespace(api: Api, name: str) -> None:
    """Give a live namespace its ServiceAccount and CA ConfigMap, and empty a terminating one."""
    namespace = api.store.get(_NAMESPACES, "", name)
    if namespace is None:
        return
    if namespace["metadata"].get("deletionTimestamp"):
        _empty(api, name)
        return
    accounts, maps = api.resource("serviceaccounts"), api.resource("configmaps")
    if api.store.get(accounts.key, name, "default") is None:
        api.create(accounts, name, {"metadata": {"name": "default"}})
    if api.store.get(maps.key, name, "kube-root-ca.crt") is None:
        api.create(maps, name, {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": ""}})


def _empty(api: Api, name: str) -> None:
    left = False
    for key in {resource.key for resource in api.registry if resource.namespaced}:
        resource = api.registry.stored(key)
        for obj in api.store.items(key, name):
            if not obj["metadata"].get("deletionTimestamp"):
                api.delete_if_there(resource, obj)
        left = left or bool(api.store.items(key, name))
    if left:
        return
    namespaces = api.resource("namespaces")
    namespace = api.find(namespaces, "", name)
    done = copied(namespace)
    done["spec"]["finalizers"] = []
    api.replace(namespaces, namespace, done)
