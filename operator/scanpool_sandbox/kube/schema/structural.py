"""Is a CRD's schema structural, and are its defaults and rules sound? If not, it is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from scanpool_sandbox.kube.errors import (
    FieldError,
    forbidden_value,
    invalid_value,
    required_value,
)
from scanpool_sandbox.kube.objects import copied
from scanpool_sandbox.kube.schema.pruning import prune
from scanpool_sandbox.kube.schema.rules import RuleError, compile_rule
from scanpool_sandbox.kube.schema.validation import compiled_pattern, validate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanpool_sandbox.kube.objects import Obj

_TYPES = ("object", "array", "string", "integer", "number", "boolean")
_FORBIDDEN_KEYWORDS = ("$ref", "definitions", "dependencies", "patternProperties", "id")
_ONLY_OUTSIDE_QUANTORS = (
    "type",
    "default",
    "description",
    "title",
    "nullable",
    "additionalProperties",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
)


def check_structural(schema: Obj, path: str) -> list[FieldError]:
    """Find everything the API server would refuse about a version's openAPIV3Schema."""
    errors = list(_check(schema, path, is_root=True))
    if schema.get("type") != "object":
        errors.append(
            invalid_value(f"{path}.type", schema.get("type"), 'must be "object" at the root')
        )
    return errors


def _check(schema: Obj, path: str, *, is_root: bool = False) -> Iterator[FieldError]:
    yield from _check_type(schema, path)
    yield from _check_keywords(schema, path)
    yield from _check_list(schema, path)
    yield from _check_default(schema, path)
    yield from _check_rules(schema, path)
    for keyword in ("allOf", "anyOf", "oneOf"):
        for index, sub in enumerate(schema.get(keyword) or ()):
            yield from _check_quantor(sub, schema, f"{path}.{keyword}[{index}]")
    if "not" in schema:
        yield from _check_quantor(schema["not"], schema, f"{path}.not")
    for name, sub in (schema.get("properties") or {}).items():
        if is_root and name == "metadata":
            yield from _check_metadata(sub, f"{path}.properties[metadata]")
            continue
        yield from _check(sub, f"{path}.properties[{name}]")
    if isinstance(schema.get("items"), dict):
        yield from _check(schema["items"], f"{path}.items")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _check(schema["additionalProperties"], f"{path}.additionalProperties")


def _check_type(schema: Obj, path: str) -> Iterator[FieldError]:
    kind = schema.get("type")
    int_or_string = bool(schema.get("x-kubernetes-int-or-string"))
    if not kind and not int_or_string and not schema.get("x-kubernetes-preserve-unknown-fields"):
        yield required_value(f"{path}.type", "must not be empty for specified object fields")
    if kind and int_or_string:
        yield invalid_value(
            f"{path}.type", kind, "must be empty if x-kubernetes-int-or-string is true"
        )
    if kind and kind not in _TYPES:
        yield invalid_value(f"{path}.type", kind, "must be one of " + ", ".join(_TYPES))
    if kind == "array" and not isinstance(schema.get("items"), dict):
        yield required_value(f"{path}.items", "must be specified")


def _check_keywords(schema: Obj, path: str) -> Iterator[FieldError]:
    for keyword in _FORBIDDEN_KEYWORDS:
        if keyword in schema:
            yield forbidden_value(f"{path}.{keyword}", f"{keyword} is not supported")
    if schema.get("uniqueItems"):
        yield forbidden_value(f"{path}.uniqueItems", "uniqueItems cannot be set to true")
    if schema.get("additionalProperties") is False:
        yield forbidden_value(
            f"{path}.additionalProperties", "additionalProperties cannot be set to false"
        )
    if schema.get("properties") and schema.get("additionalProperties") is not None:
        yield forbidden_value(
            f"{path}.additionalProperties",
            "additionalProperties and properties are mutual exclusive",
        )
    pattern = schema.get("pattern")
    if pattern is not None:
        try:
            compiled_pattern(pattern)
        except re.error as error:
            yield invalid_value(
                f"{path}.pattern", pattern, f"must be a valid regular expression: {error}"
            )


def _check_list(schema: Obj, path: str) -> Iterator[FieldError]:
    list_type = schema.get("x-kubernetes-list-type")
    keys = schema.get("x-kubernetes-list-map-keys")
    if list_type is not None and schema.get("type") != "array":
        yield invalid_value(
            f"{path}.type",
            schema.get("type"),
            "must be array if x-kubernetes-list-type is specified",
        )
    if list_type not in (None, "atomic", "set", "map"):
        yield invalid_value(
            f"{path}.x-kubernetes-list-type", list_type, "must be one of atomic, set, map"
        )
    if keys and list_type != "map":
        yield forbidden_value(
            f"{path}.x-kubernetes-list-map-keys", "only with x-kubernetes-list-type map"
        )
    if list_type == "map":
        yield from _check_map_keys(schema, keys or [], path)


def _check_map_keys(schema: Obj, keys: list[str], path: str) -> Iterator[FieldError]:
    if not keys:
        yield required_value(
            f"{path}.x-kubernetes-list-map-keys",
            "must not be empty if x-kubernetes-list-type is map",
        )
    items = schema.get("items") or {}
    if items.get("type") != "object":
        yield invalid_value(
            f"{path}.items.type",
            items.get("type"),
            "must be object if parent array's x-kubernetes-list-type is map",
        )
    properties = items.get("properties") or {}
    for key in keys:
        if key not in properties:
            yield invalid_value(
                f"{path}.x-kubernetes-list-map-keys",
                key,
                "entries must all be names of item properties",
            )
        elif key not in (items.get("required") or ()) and "default" not in properties[key]:
            yield required_value(
                f"{path}.items.properties[{key}].default",
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a "
                "required property",
            )


def _check_default(schema: Obj, path: str) -> Iterator[FieldError]:
    if "default" not in schema:
        return
    value = copied(schema["default"])
    if unknown := prune(value, schema):
        yield invalid_value(
            f"{path}.default",
            schema["default"],
            f"must not have unknown fields: {', '.join(unknown)}",
        )
    for error in validate(value, schema, "default"):
        yield invalid_value(f"{path}.default", schema["default"], error.detail)


def _check_rules(schema: Obj, path: str) -> Iterator[FieldError]:
    for index, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        at = f"{path}.x-kubernetes-validations[{index}]"
        try:
            compile_rule(rule, schema)
        except RuleError as error:
            yield invalid_value(f"{at}.rule", rule.get("rule"), str(error))
        if "\n" in str(rule.get("rule", "")).strip() and not rule.get("message"):
            yield required_value(
                f"{at}.message", "message must be specified if rule contains line breaks"
            )


def _check_quantor(sub: Obj, outer: Obj, path: str) -> Iterator[FieldError]:
    allowed_types = bool(outer.get("x-kubernetes-int-or-string"))
    for keyword in _ONLY_OUTSIDE_QUANTORS:
        if keyword in sub and not (keyword == "type" and allowed_types):
            yield forbidden_value(f"{path}.{keyword}", "must be undefined to be structural")
    for name, nested in (sub.get("properties") or {}).items():
        if name not in (outer.get("properties") or {}):
            yield required_value(
                f"{path}.properties[{name}]", "must be defined outside of the quantor too"
            )
            continue
        yield from _check_quantor(nested, outer["properties"][name], f"{path}.properties[{name}]")


def _check_metadata(schema: Obj, path: str) -> Iterator[FieldError]:
    known: Any = {"name", "generateName"}
    if set(schema.get("properties") or {}) - known or set(schema) - {
        "type",
        "properties",
        "description",
    }:
        yield forbidden_value(
            path,
            "must not specify anything other than name and generateName, but metadata is "
            "implicitly specified",
        )
