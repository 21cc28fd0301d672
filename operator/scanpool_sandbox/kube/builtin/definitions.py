"""CustomResourceDefinitions: defaults, validation, status, and the resources they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanpool_sandbox.kube.errors import (
    FieldError,
    forbidden_value,
    invalid_value,
    required_value,
)
from scanpool_sandbox.kube.jsonpath import compile_path
from scanpool_sandbox.kube.objects import set_condition
from scanpool_sandbox.kube.resources import Resource
from scanpool_sandbox.kube.schema.structural import check_structural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanpool_sandbox.kube.objects import Obj

CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_DEFAULT_COLUMN = {
    "name": "Age",
    "type": "date",
    "jsonPath": ".metadata.creationTimestamp",
    "description": "CreationTimestamp is a timestamp representing the server time when this "
    "object was created.",
}
_COLUMN_TYPES = ("integer", "number", "string", "boolean", "date")


def prepare_definition(definition: Obj, old: Obj | None) -> None:
    """Default names and conversion, and report the names as accepted."""
    spec = definition.setdefault("spec", {})
    names = spec.setdefault("names", {})
    kind = str(names.get("kind") or "")
    names.setdefault("singular", kind.lower())
    names.setdefault("listKind", f"{kind}List")
    spec.setdefault("conversion", {"strategy": "None"})
    if old is None:
        definition["metadata"].setdefault("finalizers", []).append(CLEANUP_FINALIZER)
        definition.pop("status", None)
    else:
        definition["status"] = {**(old.get("status") or {})}
        definition["status"]["conditions"] = [
            dict(condition) for condition in definition["status"].get("conditions") or []
        ]
    set_condition(definition, "NamesAccepted", "True", "NoConflicts", "no conflicts found")
    set_condition(
        definition,
        "Established",
        "True",
        "InitialNamesAccepted",
        "the initial names have been accepted",
    )
    status = definition["status"]
    status["acceptedNames"] = names
    stored = [v["name"] for v in spec.get("versions") or [] if v.get("storage") and v.get("name")]
    before = status.get("storedVersions") or []
    status["storedVersions"] = before + [name for name in stored if name not in before]


def validate_definition(definition: Obj, old: Obj | None) -> Iterator[FieldError]:
    """Check names, versions, schemas, columns and subresources."""
    spec = definition["spec"]
    names = spec["names"]
    expected = f"{names.get('plural')}.{spec.get('group')}"
    if definition["metadata"].get("name") != expected:
        yield invalid_value(
            "metadata.name",
            definition["metadata"].get("name"),
            'must be spec.names.plural+"."+spec.group',
        )
    for field in ("plural", "kind"):
        if not names.get(field):
            yield required_value(f"spec.names.{field}")
    if spec.get("scope") not in ("Namespaced", "Cluster"):
        yield FieldError(
            "FieldValueNotSupported",
            "spec.scope",
            f'Unsupported value: "{spec.get("scope")}": supported values: "Cluster", "Namespaced"',
        )
    if old is not None:
        for field, before, after in (
            ("spec.group", old["spec"].get("group"), spec.get("group")),
            ("spec.names.kind", old["spec"]["names"].get("kind"), names.get("kind")),
            ("spec.names.plural", old["spec"]["names"].get("plural"), names.get("plural")),
            ("spec.scope", old["spec"].get("scope"), spec.get("scope")),
        ):
            if before != after:
                yield invalid_value(field, after, "field is immutable")
    versions = spec.get("versions") or []
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield invalid_value(
            "spec.versions", None, "must have exactly one version marked as storage version"
        )
    for index, version in enumerate(versions):
        yield from _validate_version(version, f"spec.versions[{index}]")


def _validate_version(version: Obj, path: str) -> Iterator[FieldError]:
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is None:
        yield required_value(f"{path}.schema.openAPIV3Schema", "schemas are required")
    else:
        yield from check_structural(schema, f"{path}.schema.openAPIV3Schema")
    for number, column in enumerate(version.get("additionalPrinterColumns") or []):
        yield from _validate_column(column, f"{path}.additionalPrinterColumns[{number}]")
    scale = (version.get("subresources") or {}).get("scale")
    for field, prefix in (
        ("specReplicasPath", ".spec."),
        ("statusReplicasPath", ".status."),
    ):
        if scale is not None and not str(scale.get(field, "")).startswith(prefix):
            yield invalid_value(
                f"{path}.subresources.scale.{field}",
                scale.get(field),
                f"should be a json path under {prefix.rstrip('.')}",
            )
    unknown = set(version.get("subresources") or {}) - {"status", "scale"}
    if unknown:
        yield forbidden_value(f"{path}.subresources", f"unknown subresources {sorted(unknown)}")


def _validate_column(column: Obj, path: str) -> Iterator[FieldError]:
    for field in ("name", "type", "jsonPath"):
        if not column.get(field):
            yield required_value(f"{path}.{field}")
    if column.get("type") and column["type"] not in _COLUMN_TYPES:
        listed = ", ".join(f'"{name}"' for name in sorted(_COLUMN_TYPES))
        yield FieldError(
            "FieldValueNotSupported",
            f"{path}.type",
            f'Unsupported value: "{column["type"]}": supported values: {listed}',
        )
    text = str(column.get("jsonPath") or "")
    if text and not text.startswith("."):
        yield invalid_value(f"{path}.jsonPath", text, "must be a simple json path starting with .")
    try:
        compile_path(text)
    except ValueError as error:
        yield invalid_value(f"{path}.jsonPath", text, str(error))


def resources_of(definition: Obj) -> list[Resource]:
    """List the resources a definition serves, one for each served version."""
    spec, names = definition["spec"], definition["spec"]["names"]
    return [
        Resource(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            kind=names["kind"],
            namespaced=spec["scope"] == "Namespaced",
            short_names=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            subresources=tuple(version.get("subresources") or ()),
            singular=names["singular"],
            list_kind=names["listKind"],
            schema=version["schema"]["openAPIV3Schema"],
            printer_columns=tuple(version.get("additionalPrinterColumns") or (_DEFAULT_COLUMN,)),
            scale_paths=(version.get("subresources") or {}).get("scale") or {},
            is_custom=True,
        )
        for version in spec["versions"]
        if version.get("served")
    ]
