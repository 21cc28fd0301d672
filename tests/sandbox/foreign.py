"""Kinds of other projects, as far as a test needs them."""

from sandbox.kube_client import Obj

ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


HPAS = "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"
SCALED_OBJECTS = "keda.sh", "v1alpha1", "ScaledObject", "scaledobjects"


def definition(group: str, version: str, kind: str, plural: str) -> Obj:
    """A kind that the stand-in does not have, with any fields."""
    served = {
        "name": version, "served": True, "storage": True,
        "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": ANYTHING, "status": ANYTHING},
        }},
    }  # fmt: skip
    short = ["hpa"] if plural.startswith("hor") else []
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "shortNames": short}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, of a test"},
        },
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [served]},
    }
