"""What a URL and a method mean: the resource, the object and the verb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.access.rbac import Attributes

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}
_OWN_SUBRESOURCES = ("status", "finalize")
_MIN_PARTS = {"api": 2, "apis": 3}


@dataclass(frozen=True)
class Target:
    """What a resource URL names."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def parse_path(path: str) -> Target | None:
    """Read a resource URL; None for any other path, discovery included."""
    parts = [part for part in path.split("/") if part]
    if not parts or len(parts) <= _MIN_PARTS.get(parts[0], len(parts)):
        return None
    group, version, *rest = ["", *parts[1:]] if parts[0] == "api" else parts[1:]
    namespace = ""
    about_namespace = rest[0] == "namespaces" and not group
    if (
        rest[0] == "namespaces"
        and rest[2:]
        and not (about_namespace and rest[2] in _OWN_SUBRESOURCES)
    ):
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource, *extra = [*rest, "", ""]
    if any(extra):
        return None
    return Target(group, version, plural, namespace, name, subresource)


def verb_of(method: str, target: Target, query: Mapping[str, str]) -> str:
    """Return the verb that RBAC and the audit know the request by."""
    if method in _VERBS:
        return _VERBS[method]
    if method == "DELETE":
        return "delete" if target.name else "deletecollection"
    if target.name:
        return "get"
    return "watch" if is_true(query.get("watch")) else "list"


def is_true(text: str | None) -> bool:
    """Read a boolean query parameter: present and not denied."""
    return text is not None and text.lower() not in ("false", "0")


def attributes(target: Target, verb: str) -> Attributes:
    """Describe the request for authorization."""
    namespace = target.namespace
    if target.plural == "namespaces" and not target.group:
        namespace = target.name
    return Attributes(
        verb,
        target.group,
        target.version,
        target.plural,
        target.subresource,
        namespace,
        target.name,
    )
