"""What each verb does to a resource, in terms of HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from scanpool_sandbox.kube.errors import (
    ApiError,
    bad_request,
    invalid,
    method_not_allowed,
    path_not_found,
    required_value,
)
from scanpool_sandbox.kube.objects import Obj, name_of, namespace_of
from scanpool_sandbox.kube.selectors import field_selector, label_selector
from scanpool_sandbox.kube.serve import reviews
from scanpool_sandbox.kube.serve.bodies import decode_body, patch_type
from scanpool_sandbox.kube.serve.requests import is_true
from scanpool_sandbox.kube.serve.tables import table
from scanpool_sandbox.kube.serve.watching import Watch
from scanpool_sandbox.kube.writing.deletion import DeleteOptions
from scanpool_sandbox.kube.writing.options import WriteOptions
from scanpool_sandbox.kube.writing.patching import APPLY_PATCH

if TYPE_CHECKING:
    from scanpool_sandbox.kube.access.users import Tokens, User
    from scanpool_sandbox.kube.api import Api
    from scanpool_sandbox.kube.resources import Resource
    from scanpool_sandbox.kube.serve.requests import Target

_WRITES = ("create", "update", "patch")
_VALIDATIONS = ("Ignore", "Warn", "Strict")
_METRICS_GROUP = "metrics.k8s.io"


class Node(Protocol):
    """What the kubelets tell the API server: figures and logs."""

    def metrics(self, resource: Resource, namespace: str) -> list[Obj]:
        """Return the PodMetrics or NodeMetrics of this moment."""

    async def log(self, pod: Obj, container: str) -> str:
        """Return what a container printed; raises 400 when it has not started."""


@dataclass(frozen=True)
class Call:
    """A request that names a resource, authenticated and authorized."""

    request: web.Request
    target: Target
    verb: str
    user: User

    def query(self, name: str) -> str:
        """Return a query parameter, or an empty string."""
        return self.request.query.get(name, "")

    def options(self) -> WriteOptions:
        """Read what the query says about a write."""
        validation = self.query("fieldValidation") or "Warn"
        if validation not in _VALIDATIONS:
            raise bad_request(f"invalid fieldValidation {validation!r}")
        if self.query("dryRun") not in ("", "All"):
            raise bad_request(f"invalid dryRun {self.query('dryRun')!r}: only All is supported")
        agent = self.request.headers.get("User-Agent", "unknown").partition("/")[0]
        return WriteOptions(
            dry_run=self.query("dryRun") == "All",
            field_manager=self.query("fieldManager") or agent[:128],
            field_validation=validation,
            force=is_true(self.request.query.get("force")),
        )


class ResourceHandlers:
    """Answers requests for resources."""

    def __init__(self, api: Api, tokens: Tokens, node: Node) -> None:
        self._api = api
        self._tokens = tokens
        self._node = node

    async def answer(self, call: Call) -> web.StreamResponse:
        """Carry out a request; raises ApiError for everything that goes wrong."""
        target = call.target
        resource = self._api.registry.find(target.group, target.version, target.plural)
        if resource is None or (target.namespace and not resource.namespaced):
            raise path_not_found()
        if target.subresource and target.subresource not in resource.subresources:
            raise path_not_found()
        if call.verb not in resource.verbs:
            raise method_not_allowed()
        body = await _body(call)
        if call.verb in _WRITES and (answer := self._special(call, resource, body)):
            return answer
        if target.subresource == "log":
            return await self._log(call, resource)
        match call.verb:
            case "get":
                return _shown(call, resource, self._read(resource, call))
            case "list":
                return self._list(call, resource)
            case "watch":
                return await self._watch(call, resource)
            case "delete":
                return self._delete(call, resource, body)
            case "deletecollection":
                return self._delete_collection(call, resource, body)
            case _:
                return self._write(call, resource, body)

    def _read(self, resource: Resource, call: Call) -> Obj:
        target = call.target
        if resource.group != _METRICS_GROUP:
            return self._api.get(resource, target.namespace, target.name, target.subresource)
        for obj in self._node.metrics(resource, target.namespace):
            if name_of(obj) == target.name:
                return obj
        kind = self._api.resource("pods" if resource.namespaced else "nodes")
        self._api.find(kind, target.namespace, target.name)
        raise ApiError(
            HTTPStatus.NOT_FOUND,
            "NotFound",
            f"{resource.plural}.{resource.group} {target.name!r} not found",
        )

    def _list(self, call: Call, resource: Resource) -> web.Response:
        labels, fields = call.query("labelSelector"), call.query("fieldSelector")
        fields = _named(call, fields)
        if resource.group == _METRICS_GROUP:
            matches = label_selector(labels)
            found = self._node.metrics(resource, call.target.namespace)
            objects = [obj for obj in found if matches(obj)]
        else:
            objects = self._api.list(resource, call.target.namespace, labels, fields)
        metadata = {"resourceVersion": str(self._api.store.revision)}
        if version := _table_version(call):
            shown = table(resource, objects, version, call.query("includeObject"), metadata)
            return _json(shown)
        return _json(
            {
                "kind": resource.list_name,
                "apiVersion": resource.group_version,
                "metadata": metadata,
                "items": objects,
            }
        )

    async def _watch(self, call: Call, resource: Resource) -> web.StreamResponse:
        if is_true(call.request.query.get("sendInitialEvents")):
            error = required_value(
                "sendInitialEvents", "streaming lists are not supported by this server"
            )
            raise invalid("ListOptions", "meta.k8s.io", "", [error])
        by_label = label_selector(call.query("labelSelector"))
        by_field = field_selector(_named(call, call.query("fieldSelector")), resource.key)
        watch = Watch(
            self._api.store,
            resource,
            call.target.namespace,
            lambda obj: by_label(obj) and by_field(obj),
            bookmarks=is_true(call.request.query.get("allowWatchBookmarks")),
        )
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        try:
            begin = watch.start(call.query("resourceVersion"))
        except ApiError as error:
            await stream.prepare(call.request)
            await stream.write(_line({"type": "ERROR", "object": error.status()}))
            return stream
        except ValueError as error:
            raise bad_request(f"invalid resource version: {error}") from error
        seconds = float(call.query("timeoutSeconds") or 0) or None
        encode = _event_encoder(call, resource)
        try:
            await stream.prepare(call.request)
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(seconds):
                    if begin:
                        await stream.write(b"".join(map(encode, begin)))
                    async for event in watch.events():
                        await stream.write(encode(event))
        finally:
            watch.close()
        return stream

    def _write(self, call: Call, resource: Resource, body: Any) -> web.Response:
        target, options = call.target, call.options()
        if call.verb == "create":
            if target.name and not target.subresource:
                raise method_not_allowed()
            stored = self._api.create(resource, target.namespace, body, options)
            return _shown(call, resource, stored, HTTPStatus.CREATED, options.warnings)
        code = HTTPStatus.OK
        at = (resource, target.namespace, target.name)
        if call.verb == "update":
            stored = self._api.update(*at, body, options, target.subresource)
        else:
            kind = patch_type(call.request.headers.get("Content-Type", ""))
            if kind == APPLY_PATCH:
                if not call.query("fieldManager"):
                    error = required_value("fieldManager", "is required for apply patch")
                    raise invalid("PatchOptions", "meta.k8s.io", "", [error])
                if self._api.store.get(resource.key, target.namespace, target.name) is None:
                    code = HTTPStatus.CREATED
            stored = self._api.patch(*at, kind, body, options, target.subresource)
        return _shown(call, resource, stored, code, options.warnings)

    def _delete(self, call: Call, resource: Resource, body: Any) -> web.Response:
        options = _delete_options(call, body)
        target = call.target
        last = self._api.delete(resource, target.namespace, target.name, options)
        gone = self._api.store.get(resource.key, target.namespace, target.name) is None
        if not gone or options.dry_run:
            return _json(last)
        details = {"name": name_of(last), "kind": resource.plural, "uid": last["metadata"]["uid"]}
        if resource.group:
            details["group"] = resource.group
        return _json(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "details": details,
            }
        )

    def _delete_collection(self, call: Call, resource: Resource, body: Any) -> web.Response:
        options = _delete_options(call, body)
        labels, fields = call.query("labelSelector"), call.query("fieldSelector")
        deleted = [
            self._api.delete(resource, namespace_of(obj), name_of(obj), options)
            for obj in self._api.list(resource, call.target.namespace, labels, fields)
        ]
        return _json(
            {
                "kind": resource.list_name,
                "apiVersion": resource.group_version,
                "metadata": {"resourceVersion": str(self._api.store.revision)},
                "items": deleted,
            }
        )

    def _special(self, call: Call, resource: Resource, body: Any) -> web.Response | None:
        store, target = self._api.store, call.target
        match (resource.plural, target.subresource):
            case ("selfsubjectaccessreviews", ""):
                answer = reviews.self_subject_access_review(store, call.user, body)
            case ("selfsubjectrulesreviews", ""):
                answer = reviews.self_subject_rules_review(store, call.user, body)
            case ("selfsubjectreviews", ""):
                answer = reviews.self_subject_review(call.user, body)
            case ("serviceaccounts", "token"):
                self._api.find(resource, target.namespace, target.name)
                answer = reviews.token_request(self._tokens, target.namespace, target.name, body)
            case ("pods", "eviction"):
                self._api.delete(resource, target.namespace, target.name)
                answer = {"kind": "Status", "apiVersion": "v1", "status": "Success"}
            case ("pods", "binding") | ("namespaces", "finalize"):
                raise method_not_allowed()
            case _:
                return None
        return _json(answer, HTTPStatus.CREATED)

    async def _log(self, call: Call, resource: Resource) -> web.Response:
        pod = self._api.find(resource, call.target.namespace, call.target.name)
        text = await self._node.log(pod, call.query("container"))
        lines = text.splitlines(keepends=True)
        if tail := call.query("tailLines"):
            lines = lines[-int(tail) :] if int(tail) else []
        return web.Response(text="".join(lines))


async def _body(call: Call) -> Any:
    raw = await call.request.read()
    if call.request.method == "GET":
        return {}
    content_type = call.request.headers.get("Content-Type", "application/json")
    if call.verb.startswith("delete") and not raw:
        return {}
    return decode_body(raw, content_type)


def _named(call: Call, fields: str) -> str:
    """Add the name of a single-object watch or list to its field selector."""
    if not call.target.name:
        return fields
    return ",".join(filter(None, (fields, f"metadata.name={call.target.name}")))


def _delete_options(call: Call, body: Any) -> DeleteOptions:
    body = body if isinstance(body, dict) else {}
    preconditions = body.get("preconditions") or {}
    grace = body.get("gracePeriodSeconds", call.query("gracePeriodSeconds") or None)
    policy = body.get("propagationPolicy") or call.query("propagationPolicy")
    if body.get("orphanDependents") or is_true(call.request.query.get("orphanDependents")):
        policy = "Orphan"
    return DeleteOptions(
        grace_period_seconds=None if grace is None else int(grace),
        propagation_policy=policy,
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        dry_run="All" in (body.get("dryRun") or []) or call.query("dryRun") == "All",
    )


def _table_version(call: Call) -> str:
    """Return the Table version the client prefers to the objects themselves, or nothing."""
    for accepted in call.request.headers.get("Accept", "").split(","):
        parts = dict(
            part.strip().partition("=")[::2] for part in accepted.split(";") if "=" in part
        )
        if parts.get("as") == "Table" and parts.get("v") in ("v1", "v1beta1"):
            return parts["v"]
    return ""


def _line(event: Obj) -> bytes:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _event_encoder(call: Call, resource: Resource) -> Any:
    version, include = _table_version(call), call.query("includeObject")
    if not version:
        return _line

    def encode(event: Obj) -> bytes:
        if event["type"] == "BOOKMARK":
            return _line(event)
        metadata = {"resourceVersion": event["object"]["metadata"]["resourceVersion"]}
        shown = table(resource, [event["object"]], version, include, metadata)
        return _line({"type": event["type"], "object": shown})

    return encode


def _json(body: Any, code: int = HTTPStatus.OK, warnings: list[str] | None = None) -> web.Response:
    response = web.Response(
        body=json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() + b"\n",
        content_type="application/json",
        status=code,
    )
    for warning in warnings or ():
        escaped = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{escaped}"')
    return response


def _shown(
    call: Call,
    resource: Resource,
    obj: Obj,
    code: int = HTTPStatus.OK,
    warnings: list[str] | None = None,
) -> web.Response:
    if call.verb == "get" and not call.target.subresource and (version := _table_version(call)):
        metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        obj = table(resource, [obj], version, call.query("includeObject"), metadata)
    return _json(obj, code, warnings)
