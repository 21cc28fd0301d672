"""Schemas of built-in kinds, read off the model classes of the official Python client.

They say which fields there are, of what type and, where the installed client tells, what for;
not which are required nor what values they take: validation is in the modules beside this one.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from kubernetes.client import models

if TYPE_CHECKING:
    from scanpool_sandbox.kube.objects import Obj

_PREFIXES = ("V1", "CoreV1", "EventsV1", "V1beta1", "DiscoveryV1")
_SCALARS: dict[str, Obj] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "bytes": {"type": "string", "format": "byte"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time", "nullable": True},
    "object": {"x-kubernetes-preserve-unknown-fields": True},
    "V1IntOrString": {"x-kubernetes-int-or-string": True},
    "IntOrString": {"x-kubernetes-int-or-string": True},
}
_GENERIC = re.compile(r"^(list|dict)[\[(](?:str, ?)?(.*)[\])]$", re.IGNORECASE)


@cache
def type_schema(kind: str) -> Obj:
    """Return the OpenAPI schema of a kind, every type inlined.

    A kind the client has no class for is an object of anything.
    """
    name = next((prefix + kind for prefix in _PREFIXES if hasattr(models, prefix + kind)), None)
    if name is None:
        return {
            "type": "object",
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": _class_schema("V1ObjectMeta", ()),
            },
            "x-kubernetes-preserve-unknown-fields": True,
        }
    return _class_schema(name, ())


def _class_schema(name: str, within: tuple[str, ...]) -> Obj:
    cls: Any = getattr(models, name)
    if name in within:
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    documented = getattr(cls, "model_fields", {})
    properties = {}
    for attribute, type_name in cls.openapi_types.items():
        schema = dict(_of(type_name, (*within, name)))
        text = getattr(documented.get(attribute), "description", None)
        if text:
            schema["description"] = text
        properties[cls.attribute_map[attribute]] = schema
    return {"type": "object", "properties": properties}


def _of(type_name: str, within: tuple[str, ...]) -> Obj:
    if type_name in _SCALARS:
        return _SCALARS[type_name]
    if match := _GENERIC.match(type_name):
        container, inner = match.groups()
        if container.lower() == "list":
            return {"type": "array", "items": _of(inner, within)}
        return {"type": "object", "additionalProperties": _of(inner, within)}
    if hasattr(models, type_name):
        return _class_schema(type_name, within)
    return {"x-kubernetes-preserve-unknown-fields": True}
