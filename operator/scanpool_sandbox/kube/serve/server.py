"""The HTTP server: authenticate, authorize, dispatch, answer, record."""

from __future__ import annotations

import logging
import time
import traceback
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from scanpool_sandbox.kube.access.audit import AuditEntry
from scanpool_sandbox.kube.access.rbac import Attributes, denial, is_allowed
from scanpool_sandbox.kube.access.users import ADMIN, User, impersonated
from scanpool_sandbox.kube.errors import ApiError
from scanpool_sandbox.kube.serve import discovery, openapi
from scanpool_sandbox.kube.serve.calls import Call
from scanpool_sandbox.kube.serve.requests import Target, attributes, parse_path, verb_of
from scanpool_sandbox.kube.serve.responses import json_response
from scanpool_sandbox.kube.serve.scraping import targets

if TYPE_CHECKING:
    from scanpool_sandbox.kube.access.audit import Audit
    from scanpool_sandbox.kube.access.users import Tokens
    from scanpool_sandbox.kube.api import Api
    from scanpool_sandbox.kube.serve.verbs import ResourceHandlers


MAX_BODY_BYTES = 3 * 1024 * 1024
"""The API server's own limit on a request body."""

_log = logging.getLogger(__name__)


class Server:
    """Routes every request of the emulator."""

    def __init__(self, api: Api, tokens: Tokens, audit: Audit, handlers: ResourceHandlers) -> None:
        self._api = api
        self._tokens = tokens
        self._audit = audit
        self._handlers = handlers

    def application(self) -> web.Application:
        """Build the aiohttp application."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        target = parse_path(request.path)
        verb = verb_of(request.method, target, request.query) if target else request.method.lower()
        user = ADMIN
        code = int(HTTPStatus.INTERNAL_SERVER_ERROR)
        entry_time = time.time()
        response: web.StreamResponse
        try:
            user = self._user(request)
            response = await self._route(request, target, verb, user)
        except ApiError as error:
            response = json_response(error.status(), error.code)
        except Exception:  # noqa: BLE001 - a bug here must reach the client as a 500
            _log.exception("%s %s failed", request.method, request.path_qs)
            failure = ApiError(
                HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", traceback.format_exc(limit=-2)
            )
            response = json_response(failure.status(), failure.code)
        finally:
            if "response" in locals():
                code = response.status
            self._record(request, target, verb, user, code, entry_time)
        return response

    def _record(
        self,
        request: web.Request,
        target: Target | None,
        verb: str,
        user: User,
        code: int,
        at: float,
    ) -> None:
        what = target or Target("", "", "")
        self._audit.record(
            AuditEntry(
                at,
                user.name,
                verb,
                what.group,
                what.plural,
                what.subresource,
                what.namespace,
                what.name,
                request.path,
                code,
                request.content_length or 0,
            )
        )

    def _user(self, request: web.Request) -> User:
        user = self._tokens.authenticate(request.headers)
        name = request.headers.get("Impersonate-User")
        if not name:
            return user
        wanted = Attributes("impersonate", "", "v1", "users", name=name)
        if not is_allowed(self._api.store, user, wanted):
            raise denial(user, wanted)
        return impersonated(name, request.headers.getall("Impersonate-Group", []))

    async def _route(
        self, request: web.Request, target: Target | None, verb: str, user: User
    ) -> web.StreamResponse:
        wanted = Attributes(verb, path=request.path) if target is None else attributes(target, verb)
        if not is_allowed(self._api.store, user, wanted):
            raise denial(user, wanted)
        if target is None:
            return self._other(request)
        return await self._handlers.answer(Call(request, target, verb, user))

    def _other(self, request: web.Request) -> web.Response:
        parts = [part for part in request.path.split("/") if part]
        match parts:
            case ["healthz" | "readyz" | "livez", *_]:
                return web.Response(text="ok")
            case ["openapi", "v2"] if "proto-openapi" in request.headers.get("Accept", ""):
                headers = {"Content-Type": openapi.V2_PROTOBUF}
                return web.Response(body=openapi.v2_protobuf(), headers=headers)
            case ["sandbox", "audit"]:
                return json_response(self._audit.as_json())
            case ["sandbox", "scrape"]:
                return json_response(targets(self._api.store.items(("", "pods"))))
            case ["openapi", *rest]:
                return json_response(openapi.answer(self._api.registry, rest))
            case _:
                return json_response(discovery.answer(self._api.registry, parts))
