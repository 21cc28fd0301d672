"""Remove what the schema does not know, and say what that was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scanpool_sandbox.kube.objects import Obj

_OBJECT_META = ("apiVersion", "kind", "metadata")


def prune(value: Any, schema: Obj, *, root: bool = False) -> list[str]:
    """Drop unknown fields in place and return their paths (`spec.queues[0].foo`)."""
    dropped: list[str] = []
    _prune(value, schema, "", dropped, is_object=root)
    return dropped


def _prune(value: Any, schema: Obj, path: str, dropped: list[str], *, is_object: bool) -> None:
    is_object = is_object or bool(schema.get("x-kubernetes-embedded-resource"))
    if isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, dict):
            for index, item in enumerate(value):
                _prune(item, items, f"{path}[{index}]", dropped, is_object=False)
        return
    if not isinstance(value, dict):
        return
    properties = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    keeps_unknown = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    for name in list(value):
        at = f"{path}.{name}" if path else name
        if is_object and name in _OBJECT_META:
            continue
        if name in properties:
            _prune(value[name], properties[name], at, dropped, is_object=False)
        elif isinstance(additional, dict):
            _prune(value[name], additional, at, dropped, is_object=False)
        elif not (keeps_unknown or additional is True):
            del value[name]
            dropped.append(at)
