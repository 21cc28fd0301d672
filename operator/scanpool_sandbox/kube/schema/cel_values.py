"""Values as CEL rules see them: typed by the schema, with CEL-safe field names."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from scanpool_sandbox.kube.objects import parse_time

if TYPE_CHECKING:
    from scanpool_sandbox.kube.objects import Obj

_RESERVED = frozenset(
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_IDENTIFIER = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_DURATION_PART = re.compile(r"([0-9.]+)(ms|us|µs|ns|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


@lru_cache(maxsize=4096)
def cel_name(name: str) -> str | None:
    """Return a property's name inside a rule, or None where rules cannot reach it.

    Kubernetes escapes reserved words as `__in__`, and `__` `.` `-` `/` by their names.
    """
    if name in _RESERVED:
        return f"__{name}__"
    for character, escape in (
        ("__", "__underscores__"),
        (".", "__dot__"),
        ("-", "__dash__"),
        ("/", "__slash__"),
    ):
        name = name.replace(character, escape)
    return name if _IDENTIFIER.match(name) else None


def parse_duration(text: str) -> timedelta:
    """Read Go's duration text (`1h2m3.5s`); raises ValueError."""
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.lstrip("-+"):
        raise ValueError(f"not a duration: {text!r}")
    total = timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))
    return -total if text.startswith("-") else total


def cel_value(value: Any, schema: Obj) -> Any:
    """Convert a value that passed validation for use as `self` or `oldSelf`."""
    if isinstance(value, dict):
        return _mapping(value, schema)
    if isinstance(value, list):
        return [cel_value(item, schema.get("items") or {}) for item in value]
    if schema.get("type") == "number" and isinstance(value, int):
        return float(value)
    if schema.get("type") == "integer" and isinstance(value, float):
        return int(value)
    if isinstance(value, str):
        return _text(value, schema.get("format"))
    return value


def _text(value: str, text_format: str | None) -> Any:
    try:
        if text_format == "date-time":
            return parse_time(value)
        if text_format == "duration":
            return parse_duration(value)
    except ValueError:
        return value
    return value


def _mapping(value: Obj, schema: Obj) -> Obj:
    properties = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    result = {}
    for name, item in value.items():
        if name in properties:
            escaped = cel_name(name)
            if escaped is not None:
                result[escaped] = cel_value(item, properties[name])
        elif isinstance(additional, dict):
            result[name] = cel_value(item, additional)
        elif not properties or schema.get("x-kubernetes-embedded-resource"):
            result[name] = item
    return result
