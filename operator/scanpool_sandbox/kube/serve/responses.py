"""Answers: JSON, with warnings, as objects or as Tables."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web

from scanpool_sandbox.kube.serve.tables import table

if TYPE_CHECKING:
    from scanpool_sandbox.kube.objects import Obj
    from scanpool_sandbox.kube.resources import Resource
    from scanpool_sandbox.kube.serve.calls import Call


def encode(body: Any) -> bytes:
    """Encode a body, or an event of a watch, with its newline."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def json_response(
    body: Any, code: int = HTTPStatus.OK, warnings: list[str] | None = None
) -> web.Response:
    """Answer with JSON."""
    response = web.Response(
        body=encode(body),
        content_type="application/json",
        status=code,
    )
    for warning in warnings or ():
        escaped = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{escaped}"')
    return response


def object_response(
    call: Call,
    resource: Resource,
    obj: Obj,
    code: int = HTTPStatus.OK,
    warnings: list[str] | None = None,
) -> web.Response:
    """Answer with an object; a get by a client that prefers Tables with a Table of one."""
    if call.verb == "get" and not call.target.subresource and (version := call.table_version()):
        metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        obj = table(resource, [obj], version, call.query("includeObject"), metadata)
    return json_response(obj, code, warnings)
