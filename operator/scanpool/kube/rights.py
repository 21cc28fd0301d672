"""What to grant the operator where it may not see or scale a kind: the rules, and where. Pure."""

from scanpool.kube.answers import APPLY_ANEW
from scanpool.models.conditions import Reason
from scanpool.models.names import GROUP
from scanpool.models.reading import Unavailable
from scanpool.models.resource import APPS, Resource

# The label by which manifests/base gathers rules for the operator.
AGGREGATED = f'{GROUP}/aggregate-to-operator: "true"'
# In the rules of manifests/base; an upgrade brings them back.
BASE = frozenset({(APPS, "deployments"), (APPS, "statefulsets")})
VERBS = {"": "list, watch", "/scale": "get, patch"}


def told(refusal: Unavailable, resource: Resource, namespace: str) -> Unavailable:
    """Say which rules a kind takes, where RBAC refused; every other refusal stays as it is.

    `namespace` is the target's.
    """
    is_granted_by_base = (resource.group, resource.plural) in BASE
    if refusal.reason is not Reason.KUBERNETES_FORBIDDEN or is_granted_by_base:
        return refusal
    rules = ", ".join(
        f'{{apiGroups: ["{resource.group}"], resources: ["{resource.plural}{part}"], '
        f"verbs: [{verbs}]}}"
        for part, verbs in VERBS.items()
    )
    said = refusal.message.removesuffix(f"; {APPLY_ANEW}")
    return Unavailable(
        refusal.reason,
        f"the operator may not scale {resource.full_name}: add the rules {rules} to a ClusterRole "
        f"with the label {AGGREGATED}, or, where it has rights in named namespaces only, to its "
        f"Role in {namespace}; the chart's value targets does either ({said})",
    )
