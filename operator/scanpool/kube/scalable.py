"""Objects of any kind that have a /scale, and what that says. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scanpool.kube.managers import writers
from scanpool.kube.objects import Workload, pod_template
from scanpool.models import label_selector
from scanpool.models.conditions import Reason
from scanpool.models.label_selector import LabelSelector, SelectorError
from scanpool.models.observation import PodTemplate
from scanpool.models.reading import Unavailable
from scanpool.models.rivals import Writer

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scale:
    """What a /scale says; `version` is that of its object."""

    replicas: int
    selector: str
    rules: LabelSelector
    version: str


@dataclass(frozen=True, slots=True)
class Scalable:
    """What is kept of an object whose replicas and selector only its /scale tells.

    `template` is None where it has no pod template in the usual place.
    """

    namespace: str
    name: str
    uid: str
    version: str
    template: PodTemplate | None
    writers: tuple[Writer, ...]

    def scaled_as(self, scale: Scale) -> Workload:
        """Return what is known of it together with its scale."""
        return Workload(
            namespace=self.namespace,
            name=self.name,
            uid=self.uid,
            replicas=scale.replicas,
            selector=scale.selector,
            must=tuple(_must(scale.rules)),
            rules=scale.rules,
            template=self.template,
            writers=self.writers,
        )


def scalable(obj: Json) -> Scalable:
    """Return what is kept of an object of any kind."""
    metadata = obj["metadata"]
    return Scalable(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        template=_template(metadata["namespace"], obj),
        writers=writers(obj),
    )


def scale(told: Json, what: str) -> Scale | Unavailable:
    """Return what a /scale says; `what` is its object, for people."""
    status = told.get("status") or {}
    selector = str(status.get("selector") or "").strip()
    if not selector:
        # An empty one would select every pod of the namespace.
        return Unavailable(
            Reason.SELECTOR_NOT_FOUND,
            f"the scale of {what} tells no selector, by which its pods are found: its controller "
            "has to write one where its CRD's subresources.scale.labelSelectorPath points to; if "
            "it has only just been created, wait",
        )
    try:
        rules = label_selector.parse(selector)
    except SelectorError as error:
        return Unavailable(
            Reason.SELECTOR_NOT_FOUND, f"the selector in the scale of {what} is none: {error}"
        )
    # Zero replicas are left out.
    replicas = (told.get("spec") or {}).get("replicas", 0)
    return Scale(replicas, selector, rules, told["metadata"]["resourceVersion"])


def _must(rules: LabelSelector) -> list[tuple[str, str]]:
    """Return the labels of which a selector leaves no choice."""
    return [
        (one.key, next(iter(one.values)))
        for one in rules.requirements
        if one.wanted and one.values is not None and len(one.values) == 1
    ]


def _template(namespace: str, obj: Json) -> PodTemplate | None:
    """Return the pod template; None of what is none, which no API server has checked."""
    try:
        template = obj["spec"]["template"]
        return pod_template(namespace, template) if template["spec"]["containers"] else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
