"""Validate a value against an OpenAPI v3 schema, in the API server's words."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from scanpool_sandbox.kube.errors import FieldError, invalid_value, required_value, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanpool_sandbox.kube.objects import Obj

BLOCKING_REASONS = frozenset(
    {
        "FieldValueRequired",
        "FieldValueNotSupported",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    }
)
"""After one of these the API server does not evaluate CEL rules."""


@lru_cache(maxsize=512)
def compiled_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a schema's pattern; raises re.error. RE2 and Python agree where it matters."""
    return re.compile(pattern)


def json_type(value: Any) -> str:
    """Name the OpenAPI type of a decoded JSON value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    for python_type, name in (
        (str, "string"),
        (int, "integer"),
        (float, "number"),
        (list, "array"),
    ):
        if isinstance(value, python_type):
            return name
    return "object"


def is_of_type(value: Any, wanted: str) -> bool:
    """Tell whether a value has an OpenAPI type; 3.0 is an integer, 3 is a number."""
    actual = json_type(value)
    if wanted == "number":
        return actual in ("integer", "number")
    if wanted == "integer":
        return actual == "integer" or (actual == "number" and float(value).is_integer())
    return actual == wanted


def validate(value: Any, schema: Obj, path: str = "") -> list[FieldError]:
    """Find everything wrong with the value, except CEL rules."""
    return list(_validate(value, schema, path))


def _validate(value: Any, schema: Obj, path: str) -> Iterator[FieldError]:
    if value is None and schema.get("nullable"):
        return
    yield from _type_errors(value, schema, path)
    if value is None:
        return
    yield from _enum_errors(value, schema, path)
    if isinstance(value, str):
        yield from _string_errors(value, schema, path)
    elif isinstance(value, bool):
        pass
    elif isinstance(value, int | float):
        yield from _number_errors(value, schema, path)
    elif isinstance(value, list):
        yield from _list_errors(value, schema, path)
    elif isinstance(value, dict):
        yield from _object_errors(value, schema, path)
    yield from _quantified_errors(value, schema, path)


def _type_errors(value: Any, schema: Obj, path: str) -> Iterator[FieldError]:
    if schema.get("x-kubernetes-int-or-string"):
        if json_type(value) not in ("integer", "string"):
            yield _wrong_type(value, "integer,string", path)
        return
    wanted = schema.get("type")
    if wanted and not is_of_type(value, wanted):
        yield _wrong_type(value, wanted, path)


def _wrong_type(value: Any, wanted: str, path: str) -> FieldError:
    actual = json_type(value)
    where = path or "<root>"
    return FieldError(
        "FieldValueTypeInvalid",
        where,
        f'Invalid value: "{actual}": {where} in body must be of type {wanted}: "{actual}"',
    )


def _enum_errors(value: Any, schema: Obj, path: str) -> Iterator[FieldError]:
    allowed = schema.get("enum")
    if allowed is not None and value not in allowed:
        listed = ", ".join(shown(item) for item in allowed)
        yield FieldError(
            "FieldValueNotSupported",
            path,
            f"Unsupported value: {shown(value)}: supported values: {listed}",
        )


def _string_errors(value: str, schema: Obj, path: str) -> Iterator[FieldError]:
    if len(value) < schema.get("minLength", 0):
        yield invalid_value(
            path, value, f"{path} in body should be at least {schema['minLength']} chars long"
        )
    longest = schema.get("maxLength")
    if longest is not None and len(value) > longest:
        yield FieldError(
            "FieldValueTooLong", path, f"Too long: may not be more than {longest} bytes"
        )
    pattern = schema.get("pattern")
    if pattern is not None and not compiled_pattern(pattern).search(value):
        yield invalid_value(path, value, f"{path} in body should match '{pattern}'")
    if schema.get("format") == "date-time" and not _is_time(value):
        yield invalid_value(path, value, f'{path} in body must be of type date-time: "{value}"')


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _number_errors(value: float, schema: Obj, path: str) -> Iterator[FieldError]:
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    if lowest is not None:
        if schema.get("exclusiveMinimum") and value <= lowest:
            yield invalid_value(path, value, f"{path} in body should be greater than {lowest}")
        elif value < lowest:
            yield invalid_value(
                path, value, f"{path} in body should be greater than or equal to {lowest}"
            )
    if highest is not None:
        if schema.get("exclusiveMaximum") and value >= highest:
            yield invalid_value(path, value, f"{path} in body should be less than {highest}")
        elif value > highest:
            yield invalid_value(
                path, value, f"{path} in body should be less than or equal to {highest}"
            )
    factor = schema.get("multipleOf")
    if factor and not float(value / factor).is_integer():
        yield invalid_value(path, value, f"{path} in body should be a multiple of {factor}")
    if schema.get("format") == "int32" and not -(2**31) <= value < 2**31:
        yield invalid_value(path, value, f"{path} in body must be of type int32")


def _list_errors(value: list[Any], schema: Obj, path: str) -> Iterator[FieldError]:
    if len(value) < schema.get("minItems", 0):
        yield invalid_value(
            path, len(value), f"{path} in body should have at least {schema['minItems']} items"
        )
    most = schema.get("maxItems")
    if most is not None and len(value) > most:
        yield FieldError(
            "FieldValueTooMany", path, f"Too many: {len(value)}: must have at most {most} items"
        )
    items = schema.get("items")
    if isinstance(items, dict):
        for index, item in enumerate(value):
            yield from _validate(item, items, f"{path}[{index}]")
    yield from _duplicates(value, schema, path)


def _duplicates(value: list[Any], schema: Obj, path: str) -> Iterator[FieldError]:
    list_type = schema.get("x-kubernetes-list-type")
    if list_type not in ("set", "map"):
        return
    keys = schema.get("x-kubernetes-list-map-keys") or []
    seen: set[str] = set()
    for index, item in enumerate(value):
        identity = item
        if list_type == "map":
            if not isinstance(item, dict):
                continue
            identity = {key: item[key] for key in keys if key in item}
        mark = shown(identity)
        if mark in seen:
            text = mark if list_type == "set" else f"map[string]interface {{}}{mark}"
            yield FieldError("FieldValueDuplicate", f"{path}[{index}]", f"Duplicate value: {text}")
        seen.add(mark)


def _object_errors(value: Obj, schema: Obj, path: str) -> Iterator[FieldError]:
    prefix = f"{path}." if path else ""
    for name in schema.get("required") or ():
        if name not in value:
            yield required_value(f"{prefix}{name}")
    if len(value) < schema.get("minProperties", 0):
        yield invalid_value(
            path,
            len(value),
            f"{path} in body should have at least {schema['minProperties']} properties",
        )
    most = schema.get("maxProperties")
    if most is not None and len(value) > most:
        yield FieldError(
            "FieldValueTooMany", path, f"Too many: {len(value)}: must have at most {most} items"
        )
    properties = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    for name, item in value.items():
        if name in properties:
            yield from _validate(item, properties[name], f"{prefix}{name}")
        elif isinstance(additional, dict):
            yield from _validate(item, additional, f"{prefix}{name}")


def _quantified_errors(value: Any, schema: Obj, path: str) -> Iterator[FieldError]:
    where = path or "<root>"
    for sub in schema.get("allOf") or ():
        yield from _validate(value, sub, path)
    options = schema.get("anyOf")
    if options and not any(not validate(value, sub, path) for sub in options):
        yield invalid_value(
            path, value, f"{where} in body must validate at least one schema (anyOf)"
        )
    options = schema.get("oneOf")
    if options and sum(not validate(value, sub, path) for sub in options) != 1:
        yield invalid_value(
            path, value, f"{where} in body must validate one and only one schema (oneOf)"
        )
    refused = schema.get("not")
    if refused is not None and not validate(value, refused, path):
        yield invalid_value(path, value, f"{where} in body must not validate the schema (not)")
