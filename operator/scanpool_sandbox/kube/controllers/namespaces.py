"""Namespaces: a default ServiceAccount in each, and the end of everything in a deleted one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanpool_sandbox.kube.objects import copied, name_of

if TYPE_CHECKING:
    from scanpool_sandbox.kube.api import Api


def reconcile_namespaces(api: Api) -> None:
    """Give live namespaces their ServiceAccount and CA ConfigMap, and empty terminating ones."""
    namespaces = api.resource("namespaces")
    accounts, maps = api.resource("serviceaccounts"), api.resource("configmaps")
    for namespace in api.store.items(namespaces.key):
        name = name_of(namespace)
        if namespace["metadata"].get("deletionTimestamp"):
            _empty(api, name)
            continue
        if api.store.get(accounts.key, name, "default") is None:
            api.create(accounts, name, {"metadata": {"name": "default"}})
        if api.store.get(maps.key, name, "kube-root-ca.crt") is None:
            api.create(
                maps, name, {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": ""}}
            )


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
