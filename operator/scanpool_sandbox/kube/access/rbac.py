"""Authorization by Roles, ClusterRoles and their bindings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.errors import ApiError, forbidden

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanpool_sandbox.kube.access.users import User
    from scanpool_sandbox.kube.objects import Obj
    from scanpool_sandbox.kube.store import Store

_RBAC = "rbac.authorization.k8s.io"
_FOR_EVERYONE: tuple[Obj, ...] = (
    {
        "verbs": ["get"],
        "nonResourceURLs": [
            "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/readyz", "/openapi",
            "/openapi/*", "/version", "/version/",
        ],
    },
    {
        "verbs": ["create"],
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    },
    {
        "verbs": ["create"],
        "apiGroups": ["authentication.k8s.io"],
        "resources": ["selfsubjectreviews"],
    },
)  # fmt: skip
"""What system:basic-user and system:discovery grant to every authenticated user."""


@dataclass(frozen=True)
class Attributes:
    """What a request wants to do; `path` is set for requests that name no resource."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def qualified_resource(self) -> str:
        """The resource with its subresource, as rules name it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def rules_for(store: Store, user: User, namespace: str) -> Iterator[Obj]:
    """Yield every rule that holds for a user in a namespace ("" for the whole cluster)."""
    if "system:authenticated" in user.groups:
        yield from _FOR_EVERYONE
    for binding in store.items((_RBAC, "clusterrolebindings")):
        if _binds(binding, user):
            yield from _rules(store, binding["roleRef"], "")
    if namespace:
        for binding in store.items((_RBAC, "rolebindings"), namespace):
            if _binds(binding, user):
                yield from _rules(store, binding["roleRef"], namespace)


def _rules(store: Store, reference: Obj, namespace: str) -> list[Obj]:
    if reference.get("kind") == "ClusterRole":
        role = store.get((_RBAC, "clusterroles"), "", reference["name"])
    else:
        role = store.get((_RBAC, "roles"), namespace, reference["name"])
    return list((role or {}).get("rules") or [])


def _binds(binding: Obj, user: User) -> bool:
    for subject in binding.get("subjects") or []:
        kind, name = subject.get("kind"), subject.get("name")
        if kind == "User" and name == user.name:
            return True
        if kind == "Group" and name in user.groups:
            return True
        home = subject.get("namespace") or binding["metadata"].get("namespace")
        if kind == "ServiceAccount" and user.name == f"system:serviceaccount:{home}:{name}":
            return True
    return False


def allows(rule: Obj, wanted: Attributes) -> bool:
    """Tell whether one rule allows a request."""
    if not {"*", wanted.verb} & set(rule.get("verbs") or ()):
        return False
    if wanted.path:
        return any(
            url in ("*", wanted.path)
            or (url.endswith("*") and wanted.path.startswith(url.rstrip("*")))
            for url in rule.get("nonResourceURLs") or ()
        )
    if not {"*", wanted.group} & set(rule.get("apiGroups") or ()):
        return False
    names = {"*", wanted.qualified_resource}
    if wanted.subresource:
        names.add(f"*/{wanted.subresource}")
    if not names & set(rule.get("resources") or ()):
        return False
    only = rule.get("resourceNames") or ()
    return not only or wanted.name in only


def is_allowed(store: Store, user: User, wanted: Attributes) -> bool:
    """Tell whether a user may do something."""
    if "system:masters" in user.groups:
        return True
    return any(allows(rule, wanted) for rule in rules_for(store, user, wanted.namespace))


def denial(user: User, wanted: Attributes) -> ApiError:
    """Build the 403 of a request that no rule allows."""
    if wanted.path:
        why = f'User "{user.name}" cannot {wanted.verb} path "{wanted.path}"'
        error = forbidden("", "", "", why)
        error.message = f"forbidden: {why}"
        return error
    scope = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    return forbidden(
        wanted.resource,
        wanted.group,
        wanted.name,
        f'User "{user.name}" cannot {wanted.verb} resource "{wanted.qualified_resource}" '
        f'in API group "{wanted.group}" {scope}',
    )
