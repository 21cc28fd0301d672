"""meta.k8s.io Tables: what `kubectl get` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanpool_sandbox.kube.ages import age
from scanpool_sandbox.kube.builtin.columns import Column, columns_of_kind
from scanpool_sandbox.kube.jsonpath import compile_path
from scanpool_sandbox.kube.objects import Obj, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scanpool_sandbox.kube.resources import Resource

_NAME_DESCRIPTION = "Name must be unique within a namespace; it is what an object is addressed by."


def _custom_column(definition: Obj) -> Column:
    path, kind = compile_path(definition["jsonPath"]), definition["type"]

    def cell(obj: Obj) -> Any:
        found = path.find(obj)
        return _cell(found[0], kind) if found else None

    return Column(
        definition["name"],
        cell,
        kind,
        definition.get("priority", 0),
        definition.get("format", ""),
        definition.get("description", ""),
    )


def _cell(value: Any, kind: str) -> Any:
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "date":
        return age(value)
    if kind == "integer":
        return int(value) if is_number else None
    if kind == "number":
        return value if is_number else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    return _text(value)


def _text(value: Any) -> str:
    """Write a value as kubectl's JSONPath prints it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ",".join(f'"{v}"' if isinstance(v, str) else _text(v) for v in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f'"{key}":{_text(item)}' for key, item in value.items()) + "}"
    return str(value)


def columns(resource: Resource) -> list[Column]:
    """Return the columns of a resource, without the name."""
    if resource.printer_columns is not None:
        return [_custom_column(definition) for definition in resource.printer_columns]
    return columns_of_kind(resource.kind)


def table(
    resource: Resource, objects: Sequence[Obj], version: str, include: str, metadata: Obj
) -> Obj:
    """Build a Table of objects.

    `include` is the request's includeObject: None, Metadata (the default) or Object.
    """
    shown = columns(resource)
    name = Column("Name", name_of, "string", 0, "name", _NAME_DESCRIPTION)
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": metadata,
        "columnDefinitions": [column.definition() for column in (name, *shown)],
        "rows": [
            {
                "cells": [column.cell(obj) for column in (name, *shown)],
                "object": _included(obj, version, include),
            }
            for obj in objects
        ],
    }


def _included(obj: Obj, version: str, include: str) -> Obj | None:
    reduce: dict[str, Callable[[Obj], Obj | None]] = {
        "None": lambda _: None,
        "Object": lambda whole: whole,
    }
    if include in reduce:
        return reduce[include](obj)
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": obj["metadata"],
    }
