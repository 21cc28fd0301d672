"""Fill in the defaults of a structural schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanpool_sandbox.kube.objects import copied

if TYPE_CHECKING:
    from scanpool_sandbox.kube.objects import Obj


def apply_defaults(value: Any, schema: Obj) -> None:
    """Set missing fields to their defaults, in place.

    A null where null is not allowed counts as missing.
    """
    if isinstance(value, list):
        for item in value:
            apply_defaults(item, schema.get("items") or {})
    elif isinstance(value, dict):
        properties: Obj = schema.get("properties") or {}
        for name, sub in properties.items():
            _apply_to_field(value, name, sub)
        additional = schema.get("additionalProperties")
        if isinstance(additional, dict):
            for name in value.keys() - properties.keys():
                apply_defaults(value[name], additional)


def _apply_to_field(holder: Obj, name: str, schema: Obj) -> None:
    if name in holder and holder[name] is None and not schema.get("nullable"):
        del holder[name]
    if name not in holder and "default" in schema:
        holder[name] = copied(schema["default"])
    if name in holder:
        apply_defaults(holder[name], schema)
