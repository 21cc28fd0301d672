"""The /scale subresource: autoscaling/v1 Scale over any object that has replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanpool_sandbox.kube.errors import bad_request, internal_error, invalid, invalid_value
from scanpool_sandbox.kube.objects import Obj, copied
from scanpool_sandbox.kube.selectors import selector_text

if TYPE_CHECKING:
    from scanpool_sandbox.kube.resources import Resource

SCALE_API_VERSION = "autoscaling/v1"
REPLICAS = ".spec.replicas"
_COPIED_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def _at(obj: Obj, path: str) -> Any:
    value: Any = obj
    for name in path.strip(".").split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def scale_of(resource: Resource, obj: Obj) -> Obj:
    """Show an object as a Scale."""
    paths = resource.scale_paths
    replicas = _at(obj, paths.get("specReplicasPath", REPLICAS))
    if not resource.is_custom:
        selector = selector_text(obj["spec"].get("selector"))
    else:
        selector = str(_at(obj, paths.get("labelSelectorPath") or ".") or "")
    status = {"replicas": _at(obj, paths.get("statusReplicasPath", ".status.replicas")) or 0}
    if selector:
        status["selector"] = selector
    metadata = obj["metadata"]
    return {
        "kind": "Scale",
        "apiVersion": SCALE_API_VERSION,
        "metadata": {name: metadata[name] for name in _COPIED_METADATA if name in metadata},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def read_scale(resource: Resource, obj: Obj) -> Obj:
    """Show an object as a Scale to whoever asks for one; raises 500 where it says no replicas."""
    path = resource.scale_paths.get("specReplicasPath", REPLICAS)
    if _at(obj, path) is None:
        raise internal_error(f'the spec replicas field "{path}" does not exist')
    return scale_of(resource, obj)


def with_scale(resource: Resource, obj: Obj, scale: Obj) -> Obj:
    """Copy the object with the Scale's replicas, and its resourceVersion as precondition."""
    if scale.get("kind") not in (None, "Scale"):
        raise bad_request(f"expected a Scale, got {scale.get('kind')}")
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise bad_request(
            "json: cannot unmarshal into Go struct field ScaleSpec.spec.replicas of type int32"
        )
    if replicas < 0:
        error = invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid("Scale", "autoscaling", obj["metadata"]["name"], [error])
    result: Obj = copied(obj)
    node = result
    *parents, last = resource.scale_paths.get("specReplicasPath", REPLICAS)[1:].split(".")
    for name in parents:
        node = node.setdefault(name, {})
    node[last] = replicas
    version = (scale.get("metadata") or {}).get("resourceVersion")
    if version:
        result["metadata"]["resourceVersion"] = version
    return result
