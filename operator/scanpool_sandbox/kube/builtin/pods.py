"""Defaults and validation of pods and pod templates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanpool_sandbox.kube.errors import (
    FieldError,
    forbidden_value,
    invalid_value,
    required_value,
)
from scanpool_sandbox.kube.objects import copied
from scanpool_sandbox.kube.quantities import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanpool_sandbox.kube.objects import Obj

_PROBES = ("readinessProbe", "livenessProbe", "startupProbe")
_PROBE_DEFAULTS = {
    "timeoutSeconds": 1,
    "periodSeconds": 10,
    "successThreshold": 1,
    "failureThreshold": 3,
}
_MUTABLE_IN_POD = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds")
_NOT_READY_SECONDS = 300
"""How long pods stay on a node that is not ready or unreachable, by admission's default."""


def default_pod_spec(spec: Obj) -> None:
    """Fill in what the API server fills in, in place."""
    for field, value in (
        ("restartPolicy", "Always"),
        ("terminationGracePeriodSeconds", 30),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
        ("securityContext", {}),
    ):
        spec.setdefault(field, copied(value))
    if spec.get("serviceAccountName"):
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        _default_container(container)
    for volume in spec.get("volumes") or []:
        for source in ("secret", "configMap"):
            if source in volume:
                volume[source].setdefault("defaultMode", 420)


def _default_container(container: Obj) -> None:
    image = str(container.get("image") or "")
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    is_moving = tag in ("", "latest") and "@" not in image
    container.setdefault("imagePullPolicy", "Always" if is_moving else "IfNotPresent")
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    resources = container.setdefault("resources", {})
    for name, limit in (resources.get("limits") or {}).items():
        resources.setdefault("requests", {}).setdefault(name, limit)
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")
    for probe in (container[name] for name in _PROBES if name in container):
        for field, value in _PROBE_DEFAULTS.items():
            probe.setdefault(field, value)
        if "httpGet" in probe:
            probe["httpGet"].setdefault("path", "/")
            probe["httpGet"].setdefault("scheme", "HTTP")
    for variable in container.get("env") or []:
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference:
            reference.setdefault("apiVersion", "v1")


def prepare_pod(pod: Obj, old: Obj | None) -> None:
    """Default a pod; on creation also what admission adds: service account and tolerations."""
    spec = pod.setdefault("spec", {})
    default_pod_spec(spec)
    if old is not None:
        return
    spec.setdefault("serviceAccountName", "default")
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", 0)
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(toleration.get("key") == key for toleration in tolerations):
            tolerations.append(
                {
                    "key": key,
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": _NOT_READY_SECONDS,
                }
            )
    pod["status"] = {"phase": "Pending", "qosClass": _quality_of_service(spec)}


def _quality_of_service(spec: Obj) -> str:
    resources = [container["resources"] for container in spec.get("containers") or []]
    if not any(r.get("requests") or r.get("limits") for r in resources):
        return "BestEffort"
    guaranteed = all(
        set(r.get("limits") or {}) >= {"cpu", "memory"} and r.get("requests") == r.get("limits")
        for r in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"


def validate_pod_spec(spec: Obj, path: str) -> Iterator[FieldError]:
    """Check what a pod cannot run without."""
    containers = spec.get("containers") or []
    if not containers:
        yield required_value(f"{path}.containers")
    names: set[str] = set()
    for index, container in enumerate(containers):
        at = f"{path}.containers[{index}]"
        name = container.get("name")
        if not name:
            yield required_value(f"{at}.name")
        elif name in names:
            yield FieldError("FieldValueDuplicate", f"{at}.name", f'Duplicate value: "{name}"')
        names.add(str(name))
        if not container.get("image"):
            yield required_value(f"{at}.image")
        yield from _validate_resources(container.get("resources") or {}, f"{at}.resources")
        for number, variable in enumerate(container.get("env") or []):
            if not variable.get("name"):
                yield required_value(f"{at}.env[{number}].name")
            if variable.get("value") and variable.get("valueFrom"):
                yield invalid_value(
                    f"{at}.env[{number}].valueFrom",
                    "",
                    "may not be specified when `value` is not empty",
                )


def _validate_resources(resources: Obj, path: str) -> Iterator[FieldError]:
    parsed = {}
    for part in ("limits", "requests"):
        for name, text in (resources.get(part) or {}).items():
            try:
                parsed[part, name] = parse_quantity(text)
            except ValueError:
                yield invalid_value(
                    f"{path}.{part}[{name}]", text, "quantities must match the regular expression"
                )
    for (part, name), amount in parsed.items():
        limit = parsed.get(("limits", name))
        if part == "requests" and limit is not None and amount > limit:
            yield invalid_value(
                f"{path}.requests",
                str(resources["requests"][name]),
                f"must be less than or equal to {name} limit of {resources['limits'][name]}",
            )


def validate_pod(pod: Obj, old: Obj | None) -> Iterator[FieldError]:
    """Check a pod; an existing one may change little more than its images."""
    yield from validate_pod_spec(pod["spec"], "spec")
    if old is None:
        return
    before, after = copied(old["spec"]), copied(pod["spec"])
    for spec in (before, after):
        for field in _MUTABLE_IN_POD:
            spec.pop(field, None)
        for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
            container.pop("image", None)
            container.pop("imagePullPolicy", None)
    if before != after:
        yield forbidden_value(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
            "`spec.tolerations` (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously "
            "negative)",
        )
