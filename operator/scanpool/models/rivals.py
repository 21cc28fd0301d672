"""Who else writes a target's replicas, or means to: seen in managedFields, and by what names it."""

from dataclasses import dataclass
from enum import StrEnum

# The field manager that the operator writes as.
FIELD_MANAGER = "scanpool"


class RivalKind(StrEnum):
    """What kind of writer it is: each has a remedy of its own."""

    AUTOSCALER = "autoscaler"
    GITOPS = "GitOps"
    PERSON = "person"
    POOL = "pool"
    OPERATOR = "operator"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Rival:
    """Another writer: `name` is for people, `since` when it came, in seconds since the epoch."""

    kind: RivalKind
    name: str
    since: float


@dataclass(frozen=True, slots=True)
class Writer:
    """An owner of spec.replicas, as managedFields tell it; `at` is when it last wrote its fields.

    `subresource` is `scale` for whoever wrote through it; empty for the object itself.
    """

    manager: str
    subresource: str
    at: float


# Field managers that are known by their documentation or source, without a version.
_GITOPS = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
    "flux": "Flux",
    "fleetagent": "Fleet",
    "fleet-agent": "Fleet",
    "helm": "Helm",
    "terraform": "Terraform",
    "pulumi-kubernetes": "Pulumi",
}
_KEDA = frozenset({"keda", "keda-operator"})
_HPA = frozenset({"kube-controller-manager", "horizontal-pod-autoscaler"})
# kubectl itself and, as browsers name themselves, dashboards.
_OF_PEOPLE = ("kubectl", "k9s", "mozilla", "oc", "lens")


def rival_of(writer: Writer) -> Rival:
    """Return who a writer of replicas is, as far as its field manager tells."""
    manager, name = writer.manager.lower(), f"field manager {writer.manager}"
    if manager == FIELD_MANAGER:
        return Rival(RivalKind.OPERATOR, "another operator of scanpool", writer.at)
    if manager in _KEDA:
        return Rival(RivalKind.AUTOSCALER, f"a ScaledObject of KEDA ({name})", writer.at)
    # The controller manager sets replicas for nobody else.
    if manager in _HPA:
        return Rival(RivalKind.AUTOSCALER, f"a HorizontalPodAutoscaler ({name})", writer.at)
    if (tool := _GITOPS.get(manager)) is not None:
        return Rival(RivalKind.GITOPS, f"{tool} ({name})", writer.at)
    if manager.split("-")[0] in _OF_PEOPLE:
        return Rival(RivalKind.PERSON, f"a person or script ({name})", writer.at)
    return Rival(RivalKind.OTHER, name, writer.at)
