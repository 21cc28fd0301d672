"""Discovery documents: which groups, versions and resources there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanpool_sandbox.kube.errors import path_not_found
from scanpool_sandbox.kube.writing.scale import SCALE_API_VERSION

if TYPE_CHECKING:
    from scanpool_sandbox.kube.objects import Obj
    from scanpool_sandbox.kube.resources import Registry, Resource

VERSION: Obj = {
    "major": "1",
    "minor": "31",
    "gitVersion": "v1.31.0",
    "gitCommit": "sandbox",
    "gitTreeState": "clean",
    "buildDate": "2024-08-13T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}
"""The release whose behavior the emulator follows."""

_SUBRESOURCE_VERBS = ["get", "patch", "update"]
_SPECIAL_SUBRESOURCES: dict[str, tuple[str, list[str]]] = {
    "log": ("Pod", ["get"]),
    "eviction": ("Eviction", ["create"]),
    "binding": ("Binding", ["create"]),
    "token": ("TokenRequest", ["create"]),
    "finalize": ("Namespace", ["update"]),
}
_FOREIGN_TYPES = {
    "eviction": ("policy", "v1"),
    "token": ("authentication.k8s.io", "v1"),
}


def answer(registry: Registry, parts: list[str]) -> Obj:
    """Build the document at a path, given in its parts; raises 404 for any other path."""
    match parts:
        case []:
            return {"paths": ["/api", "/apis", "/openapi/v3", "/version"]}
        case ["version"]:
            return VERSION
        case ["api"]:
            return api_versions()
        case ["apis"]:
            return group_list(registry)
        case ["apis", name]:
            return group(registry, name)
        case ["api" | "apis", *_]:
            return resource_list(registry, "/".join(parts[1:]))
    raise path_not_found()


def api_versions() -> Obj:
    """Build GET /api."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def group_list(registry: Registry) -> Obj:
    """Build GET /apis."""
    groups = [_group(name, versions) for name, versions in registry.groups().items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(registry: Registry, name: str) -> Obj:
    """Build GET /apis/{group}."""
    versions = registry.groups().get(name)
    if not name or versions is None:
        raise path_not_found()
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def _group(name: str, versions: list[str]) -> Obj:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def resource_list(registry: Registry, group_version: str) -> Obj:
    """Build GET /api/v1 or /apis/{group}/{version}."""
    served = [r for r in registry if r.group_version == group_version]
    if not served:
        raise path_not_found()
    listed = [entry for resource in served for entry in _entries(resource)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": listed,
    }


def _entries(resource: Resource) -> list[Obj]:
    entry: Obj = {
        "name": resource.plural,
        "singularName": resource.singular or resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return [entry, *(_subresource(resource, name) for name in resource.subresources)]


def _subresource(resource: Resource, name: str) -> Obj:
    kind, verbs = _SPECIAL_SUBRESOURCES.get(name, (resource.kind, _SUBRESOURCE_VERBS))
    entry: Obj = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": kind,
        "verbs": verbs,
    }
    if name == "scale":
        scale_group, _, scale_version = SCALE_API_VERSION.partition("/")
        entry.update(group=scale_group, version=scale_version, kind="Scale")
    elif name in _FOREIGN_TYPES:
        entry["group"], entry["version"] = _FOREIGN_TYPES[name]
    return entry
