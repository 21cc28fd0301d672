"""ClusterRoles that gather the rules of others, by their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanpool_sandbox.kube.objects import Obj, copied, name_of
from scanpool_sandbox.kube.selectors import matches_label_selector

if TYPE_CHECKING:
    from scanpool_sandbox.kube.api import Api


def aggregate_cluster_roles(api: Api) -> None:
    """Give every ClusterRole with an aggregationRule the rules of those that it selects."""
    resource = api.resource("clusterroles", "rbac.authorization.k8s.io")
    roles = sorted(api.store.items(resource.key), key=name_of)
    for role in roles:
        if not (selectors := (role.get("aggregationRule") or {}).get("clusterRoleSelectors")):
            continue
        rules: list[Obj] = []
        for other in roles:
            labels = other["metadata"].get("labels")
            if other is role or not any(matches_label_selector(s, labels) for s in selectors):
                continue
            rules += [rule for rule in other.get("rules") or () if rule not in rules]
        if rules != (role.get("rules") or []):
            api.replace(resource, role, {**copied(role), "rules": rules})
