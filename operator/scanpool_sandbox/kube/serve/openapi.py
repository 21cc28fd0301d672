"""OpenAPI documents: v3 per group and version, and a v2 that says as little as it may."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.builtin.types import type_schema
from scanpool_sandbox.kube.errors import path_not_found
from scanpool_sandbox.kube.serve.discovery import VERSION

if TYPE_CHECKING:
    from scanpool_sandbox.kube.objects import Obj
    from scanpool_sandbox.kube.resources import Registry, Resource

V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_QUERY_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation", "force")


def _root(resource: Resource) -> str:
    return f"apis/{resource.group_version}" if resource.group else f"api/{resource.version}"


def answer(registry: Registry, parts: list[str]) -> Obj:
    """Build the document below /openapi; raises 404 for a path that leads nowhere."""
    match parts:
        case ["v2"]:
            return v2_json()
        case ["v3"]:
            return index(registry)
        case ["v3", *root]:
            return document(registry, "/".join(root))
    raise path_not_found()


def index(registry: Registry) -> Obj:
    """Build GET /openapi/v3; each document's URL carries a hash, for clients that cache."""
    roots: dict[str, list[str]] = {}
    for resource in registry:
        roots.setdefault(_root(resource), []).append(f"{resource.kind}{resource.schema}")
    return {
        "paths": {
            root: {
                "serverRelativeURL": f"/openapi/v3/{root}?hash="
                + hashlib.sha256("".join(parts).encode()).hexdigest()[:32].upper()
            }
            for root, parts in sorted(roots.items())
        }
    }


def document(registry: Registry, root: str) -> Obj:
    """Build GET /openapi/v3/apis/{group}/{version}."""
    served = [resource for resource in registry if _root(resource) == root]
    if not served:
        raise path_not_found()
    schemas: Obj = {}
    paths: Obj = {}
    for resource in served:
        name = ".".join([*reversed((resource.group or "core").split(".")), resource.version])
        name = f"{name}.{resource.kind}"
        schemas[name] = {
            **_schema(resource),
            "x-kubernetes-group-version-kind": [_kind(resource)],
        }
        paths.update(_paths(resource, name))
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _kind(resource: Resource) -> Obj:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _schema(resource: Resource) -> Obj:
    if resource.schema is None:
        return type_schema(resource.kind)
    metadata = type_schema("ObjectMeta")
    return {
        **resource.schema,
        "properties": {
            **type_schema("Namespace")["properties"],
            **(resource.schema.get("properties") or {}),
            "metadata": metadata,
        },
    }


def _paths(resource: Resource, schema_name: str) -> Obj:
    base = f"/{_root(resource)}/"
    if resource.namespaced:
        base += "namespaces/{namespace}/"
    body = {"$ref": f"#/components/schemas/{schema_name}"}
    answer = {"200": {"description": "OK", "content": {"application/json": {"schema": body}}}}
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string"}} for name in _QUERY_PARAMETERS
    ]

    def operation(action: str, *, writes: bool) -> Obj:
        return {
            "operationId": f"{action}{resource.group}{resource.version}{resource.kind}",
            "parameters": parameters if writes else [],
            "responses": answer,
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": _kind(resource),
        }

    return {
        base + resource.plural: {
            "get": operation("list", writes=False),
            "post": operation("post", writes=True),
        },
        base + resource.plural + "/{name}": {
            "get": operation("get", writes=False),
            "put": operation("put", writes=True),
            "patch": operation("patch", writes=True),
            "delete": operation("delete", writes=True),
        },
    }


def v2_json() -> Obj:
    """Build GET /openapi/v2: valid, and without definitions."""
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": {},
    }


def v2_protobuf() -> bytes:
    """Encode the same as openapi.v2.Document; clients then leave validation to the server."""
    info = _bytes_field(1, b"Kubernetes") + _bytes_field(2, VERSION["gitVersion"].encode())
    return _bytes_field(1, b"2.0") + _bytes_field(2, info) + _bytes_field(8, b"")


def _bytes_field(number: int, content: bytes) -> bytes:
    """Encode a length-delimited protobuf field; ours are all shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content
