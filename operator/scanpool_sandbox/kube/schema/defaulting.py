"""Fill in the defaults of a structural schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanpool_sandbox.kube.objects import copied

if TYPE_CHECKING:
    from scanpool_sandbox.kube.objects import Obj


def apply_defaults(value: Any, schema: Obj) -> None:
    """Set missing fields to their defaults, in place.

    A null gives way to the default where null is not allowed; without a default it stays, for
    validation to refuse.
    """
    if isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, dict):
            for item in value:
                apply_defaults(item, items)
        return
    if not isinstance(value, dict):
        return
    properties: Obj = schema.get("properties") or {}
    for name, sub in properties.items():
        if name in value and value[name] is None and not sub.get("nullable"):
            if "default" not in sub:
                continue
            del value[name]
        if name not in value and "default" in sub:
            value[name] = copied(sub["default"])
        if name in value:
            apply_defaults(value[name], sub)
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        for name, item in value.items():
            if name not in properties:
                apply_defaults(item, additional)
