"""Who a field manager is."""

import pytest

from scanpool.models.rivals import RivalKind, Writer, rival_of


@pytest.mark.parametrize(
    ("manager", "kind", "name"),
    [
        ("kube-controller-manager", RivalKind.AUTOSCALER, "a HorizontalPodAutoscaler"),
        ("keda", RivalKind.AUTOSCALER, "a ScaledObject of KEDA"),
        ("argocd-controller", RivalKind.GITOPS, "Argo CD"),
        ("argocd-application-controller", RivalKind.GITOPS, "Argo CD"),
        ("kustomize-controller", RivalKind.GITOPS, "Flux"),
        ("helm", RivalKind.GITOPS, "Helm"),
        ("Terraform", RivalKind.GITOPS, "Terraform"),
        ("kubectl", RivalKind.PERSON, "a person or script"),
        ("kubectl-client-side-apply", RivalKind.PERSON, "a person or script"),
        ("kubectl-edit", RivalKind.PERSON, "a person or script"),
        ("Mozilla", RivalKind.PERSON, "a person or script"),
        ("scanpool", RivalKind.OPERATOR, "another operator of scanpool"),
        ("kubectlish", RivalKind.OTHER, "field manager kubectlish"),
        ("vpa", RivalKind.OTHER, "field manager vpa"),
        ("", RivalKind.OTHER, "field manager "),
    ],
)
def test_a_field_manager_is_known_by_its_name(manager: str, kind: RivalKind, name: str) -> None:
    found = rival_of(Writer(manager, "", 7.0))

    assert (found.kind, found.since) == (kind, 7.0)
    assert found.name.startswith(name)
    # Whoever it is taken for, the name that kubectl shows is told.
    assert manager in found.name or kind is RivalKind.OPERATOR
