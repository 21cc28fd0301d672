"""Defaults and validation of Deployments, ReplicaSets and StatefulSets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanpool_sandbox.kube.builtin.pods import default_pod_spec, validate_pod_spec
from scanpool_sandbox.kube.errors import FieldError, invalid_value, required_value
from scanpool_sandbox.kube.selectors import matches_label_selector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanpool_sandbox.kube.objects import Obj


def prepare_deployment(deployment: Obj, old: Obj | None) -> None:
    """Default a Deployment as apps/v1 does."""
    prepare_replica_set(deployment, old)
    spec = deployment["spec"]
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")


def prepare_stateful_set(stateful_set: Obj, old: Obj | None) -> None:
    """Default a StatefulSet as apps/v1 does."""
    prepare_replica_set(stateful_set, old)
    spec = stateful_set["spec"]
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)


def prepare_replica_set(workload: Obj, _old: Obj | None) -> None:
    """Default what all workloads share: replicas and the pod template."""
    spec = workload.setdefault("spec", {})
    if spec.get("replicas") is None:
        spec["replicas"] = 1
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {}).setdefault("creationTimestamp", None)
    default_pod_spec(template.setdefault("spec", {}))


def validate_workload(workload: Obj, old: Obj | None) -> Iterator[FieldError]:
    """Check selector, replicas, strategy and template."""
    spec = workload["spec"]
    selector = spec.get("selector")
    if not selector:
        yield required_value("spec.selector")
    elif not matches_label_selector(selector, spec["template"]["metadata"].get("labels")):
        yield invalid_value(
            "spec.template.metadata.labels",
            spec["template"]["metadata"].get("labels"),
            "`selector` does not match template `labels`",
        )
    if old is not None and old["spec"].get("selector") != selector:
        yield invalid_value("spec.selector", selector, "field is immutable")
    replicas = spec["replicas"]
    if not isinstance(replicas, int) or replicas < 0:
        yield invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate" and strategy.get("rollingUpdate"):
        yield FieldError(
            "FieldValueForbidden",
            "spec.strategy.rollingUpdate",
            "Forbidden: may not be specified when strategy `type` is 'Recreate'",
        )
    yield from validate_pod_spec(spec["template"]["spec"], "spec.template.spec")
