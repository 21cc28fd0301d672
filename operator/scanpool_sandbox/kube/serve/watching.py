"""Watches: what a client sees of the store's changes through its selectors."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from aiohttp import web

from scanpool_sandbox.kube.errors import ApiError, bad_request
from scanpool_sandbox.kube.objects import Obj, namespace_of
from scanpool_sandbox.kube.serve.responses import encode
from scanpool_sandbox.kube.serve.tables import table
from scanpool_sandbox.kube.versions import presented

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from scanpool_sandbox.kube.resources import Resource
    from scanpool_sandbox.kube.serve.calls import Call
    from scanpool_sandbox.kube.store import Change, Store

BOOKMARK_SECONDS = 30.0
"""A quiet watch that allows bookmarks gets one this often (the API server: about a minute)."""


class Watch:
    """One client's view of one resource.

    `matches` is the conjunction of its selectors; an object that stops matching is seen as
    deleted, one that starts as added.
    """

    def __init__(
        self,
        store: Store,
        resource: Resource,
        namespace: str,
        matches: Callable[[Obj], bool],
        *,
        bookmarks: bool,
    ) -> None:
        self._store = store
        self._resource = resource
        self._namespace = namespace
        self._matches = matches
        self._bookmarks = bookmarks
        self._queue: asyncio.Queue[Change] = asyncio.Queue()

    def start(self, resource_version: str) -> list[Obj]:
        """Return the events the watch begins with; raises 410 for a version too old.

        Unset or "0" begins with what exists, anything else with what happened since.
        """
        if resource_version in ("", "0"):
            begin = [
                {"type": "ADDED", "object": presented(self._resource, obj)}
                for obj in self._store.items(self._resource.key, self._namespace)
                if self._matches(obj)
            ]
        else:
            changes = self._store.since(self._resource.key, int(resource_version))
            begin = [event for change in changes if (event := self._seen(change))]
        self._stop = self._store.listen(self._resource.key, self._queue.put_nowait)
        return begin

    def close(self) -> None:
        """Stop collecting changes."""
        self._stop()

    async def events(self) -> AsyncIterator[Obj]:
        """Yield what happens from now on; runs until the caller stops."""
        while True:
            try:
                async with asyncio.timeout(BOOKMARK_SECONDS):
                    change = await self._queue.get()
            except TimeoutError:
                if self._bookmarks:
                    yield self._bookmark()
                continue
            if event := self._seen(change):
                yield event

    def _seen(self, change: Change) -> Obj | None:
        if self._namespace and namespace_of(change.object) != self._namespace:
            return None
        is_in = change.type != "DELETED" and self._matches(change.object)
        was_in = change.previous is not None and self._matches(change.previous)
        if not is_in and not was_in:
            return None
        kind = ("MODIFIED" if was_in else "ADDED") if is_in else "DELETED"
        return {"type": kind, "object": presented(self._resource, change.object)}

    def _bookmark(self) -> Obj:
        return {
            "type": "BOOKMARK",
            "object": {
                "kind": self._resource.kind,
                "apiVersion": self._resource.group_version,
                "metadata": {
                    "resourceVersion": str(self._store.revision),
                    "creationTimestamp": None,
                },
            },
        }


async def stream_watch(watch: Watch, call: Call, resource: Resource) -> web.StreamResponse:
    """Answer with a watch's events until its time is over or the client leaves."""
    stream = web.StreamResponse(headers={"Content-Type": "application/json"})
    try:
        begin = watch.start(call.query("resourceVersion"))
    except ApiError as error:
        await stream.prepare(call.request)
        await stream.write(encode({"type": "ERROR", "object": error.status()}))
        return stream
    except ValueError as error:
        raise bad_request(f"invalid resource version: {error}") from error
    seconds = float(call.query("timeoutSeconds") or 0) or None
    line = _encoder(call, resource)
    try:
        await stream.prepare(call.request)
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                await stream.write(b"".join(map(line, begin)))
                async for event in watch.events():
                    await stream.write(line(event))
    finally:
        watch.close()
    return stream


def _encoder(call: Call, resource: Resource) -> Callable[[Obj], bytes]:
    version, include = call.table_version(), call.query("includeObject")

    def as_table(event: Obj) -> bytes:
        if event["type"] == "BOOKMARK":
            return encode(event)
        metadata = {"resourceVersion": event["object"]["metadata"]["resourceVersion"]}
        shown = table(resource, [event["object"]], version, include, metadata)
        return encode({"type": event["type"], "object": shown})

    return as_table if version else encode
