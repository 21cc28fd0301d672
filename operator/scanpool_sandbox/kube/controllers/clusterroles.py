"""ClusterRoles that gather the rules of others, by their labels."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.controllers.concerned import Name, full_name
from scanpool_sandbox.kube.controllers.loop import Controller
from scanpool_sandbox.kube.objects import Obj, copied, name_of
from scanpool_sandbox.kube.selectors import matches_label_selector

if TYPE_CHECKING:
    from scanpool_sandbox.kube.api import Api
    from scanpool_sandbox.kube.resources import Key

_ROLES: Key = ("rbac.authorization.k8s.io", "clusterroles")


def cluster_roles(api: Api) -> Controller[Name]:
    """Look after the ClusterRoles that gather rules, whichever ClusterRole changes."""

    def gathering() -> list[Name]:
        return [full_name(role) for role in api.store.items(_ROLES) if _selectors(role)]

    return Controller(
        {_ROLES: lambda _change: gathering()}, gathering, partial(aggregate_cluster_role, api)
    )


def aggregate_cluster_role(api: Api, name: Name) -> None:
    """Give a ClusterRole with an aggregationRule the rules of those that it selects."""
    role = api.store.get(_ROLES, *name)
    if role is None or not _selectors(role):
        return
    rules: list[Obj] = []
    for other in sorted(api.store.items(_ROLES), key=name_of):
        labels = other["metadata"].get("labels")
        if other is role or not any(matches_label_selector(s, labels) for s in _selectors(role)):
            continue
        rules += [rule for rule in other.get("rules") or () if rule not in rules]
    if rules != (role.get("rules") or []):
        resource = api.resource("clusterroles", "rbac.authorization.k8s.io")
        api.replace(resource, role, {**copied(role), "rules": rules})


def _selectors(role: Obj) -> list[Obj]:
    return list((role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ())
