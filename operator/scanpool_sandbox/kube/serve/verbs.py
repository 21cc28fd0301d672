"""What each verb does to a resource, in terms of HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from scanpool_sandbox.kube.errors import (
    ApiError,
    invalid,
    method_not_allowed,
    path_not_found,
    required_value,
)
from scanpool_sandbox.kube.objects import Obj, name_of, namespace_of
from scanpool_sandbox.kube.selectors import field_selector, label_selector
from scanpool_sandbox.kube.serve import reviews
from scanpool_sandbox.kube.serve.bodies import patch_type
from scanpool_sandbox.kube.serve.calls import Call, delete_options
from scanpool_sandbox.kube.serve.requests import is_true
from scanpool_sandbox.kube.serve.responses import json_response, object_response
from scanpool_sandbox.kube.serve.tables import table
from scanpool_sandbox.kube.serve.watching import Watch, stream_watch
from scanpool_sandbox.kube.writing.patching import APPLY_PATCH

if TYPE_CHECKING:
    from scanpool_sandbox.kube.access.users import Tokens
    from scanpool_sandbox.kube.api import Api
    from scanpool_sandbox.kube.resources import Resource

_WRITES = ("create", "update", "patch")
_METRICS_GROUP = "metrics.k8s.io"


class Node(Protocol):
    """What the kubelets tell the API server: figures and logs."""

    def metrics(self, resource: Resource, namespace: str) -> list[Obj]:
        """Return the PodMetrics or NodeMetrics of this moment."""

    async def log(self, pod: Obj, container: str) -> str:
        """Return what a container printed; raises 400 when it has not started."""


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
        if target.subresource == "log":
            return await self._log(call, resource)
        body = await call.body()
        if call.verb in _WRITES and (answer := self._special(call, resource, body)):
            return answer
        if call.verb == "watch":
            return await self._watch(call, resource)
        by_verb = {
            "get": self._get,
            "list": self._list,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }
        return by_verb.get(call.verb, self._write)(call, resource, body)

    def _get(self, call: Call, resource: Resource, _body: Any) -> web.Response:
        return object_response(call, resource, self._read(resource, call))

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

    def _list(self, call: Call, resource: Resource, _body: Any) -> web.Response:
        labels, fields = call.query("labelSelector"), call.field_selector()
        if resource.group == _METRICS_GROUP:
            matches = label_selector(labels)
            found = self._node.metrics(resource, call.target.namespace)
            objects = [obj for obj in found if matches(obj)]
        else:
            objects = self._api.list(resource, call.target.namespace, labels, fields)
        metadata = {"resourceVersion": str(self._api.store.revision)}
        if version := call.table_version():
            shown = table(resource, objects, version, call.query("includeObject"), metadata)
            return json_response(shown)
        return json_response(
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
        by_field = field_selector(call.field_selector(), resource.key)
        watch = Watch(
            self._api.store,
            resource,
            call.target.namespace,
            lambda obj: by_label(obj) and by_field(obj),
            bookmarks=is_true(call.request.query.get("allowWatchBookmarks")),
        )
        return await stream_watch(watch, call, resource)

    def _write(self, call: Call, resource: Resource, body: Any) -> web.Response:
        target, options = call.target, call.options()
        if call.verb == "create":
            if target.name and not target.subresource:
                raise method_not_allowed()
            stored = self._api.create(resource, target.namespace, body, options)
            return object_response(call, resource, stored, HTTPStatus.CREATED, options.warnings)
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
        return object_response(call, resource, stored, code, options.warnings)

    def _delete(self, call: Call, resource: Resource, body: Any) -> web.Response:
        options = delete_options(call, body)
        target = call.target
        last = self._api.delete(resource, target.namespace, target.name, options)
        gone = self._api.store.get(resource.key, target.namespace, target.name) is None
        if not gone or options.dry_run:
            return json_response(last)
        details = {"name": name_of(last), "kind": resource.plural, "uid": last["metadata"]["uid"]}
        if resource.group:
            details["group"] = resource.group
        return json_response(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "details": details,
            }
        )

    def _delete_collection(self, call: Call, resource: Resource, body: Any) -> web.Response:
        options = delete_options(call, body)
        labels, fields = call.query("labelSelector"), call.query("fieldSelector")
        deleted = [
            self._api.delete(resource, namespace_of(obj), name_of(obj), options)
            for obj in self._api.list(resource, call.target.namespace, labels, fields)
        ]
        return json_response(
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
        return json_response(answer, HTTPStatus.CREATED)

    async def _log(self, call: Call, resource: Resource) -> web.Response:
        pod = self._api.find(resource, call.target.namespace, call.target.name)
        text = await self._node.log(pod, call.query("container"))
        lines = text.splitlines(keepends=True)
        if tail := call.query("tailLines"):
            lines = lines[-int(tail) :] if int(tail) else []
        return web.Response(text="".join(lines))
