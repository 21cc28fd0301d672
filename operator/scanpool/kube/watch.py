"""A list that is kept up to date, as informers keep theirs: read once, then watched.

What is heard goes into an index. While nothing can be heard, `trouble` says so: a list that may be
old is not to be acted upon. The server ends every watch after WATCH_SECONDS and it is opened anew,
so that silence for longer than that is a broken connection, and not a quiet cluster.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from time import monotonic
from typing import NamedTuple, Protocol, Self
from urllib.parse import quote

from scanpool.kube.answers import Json
from scanpool.kube.api import KubeApi
from scanpool.models.conditions import Reason
from scanpool.models.names import GROUP, PLURAL, VERSION
from scanpool.models.reading import Unavailable
from scanpool.models.resource import Resource

WATCH_SECONDS = 30
# A watch that is renewed takes milliseconds; some more for a busy server, and for a busy operator.
SILENCE_SECONDS = 45.0
# Between two tries. Everything else that asks this server waits as long or longer.
RETRY_SECONDS = 1.0
# A right is granted by hand: whoever grants it waits no longer than this.
REFUSED_SECONDS = 5.0
# What the cluster need not have, or not let us see, is looked for as often as a watch is renewed.
MISSING_SECONDS = 30.0
# Objects in one answer: a cluster's pods in one would be some hundred megabytes.
PAGE = 500
# What the server says of a version that it has forgotten: begin anew.
GONE = 410

logger = logging.getLogger(__name__)


class Index(Protocol):
    """Takes what a watch hears. `namespace` is that of the watch, empty for all of them."""

    async def replace(self, namespace: str, objects: Iterable[Json]) -> None:
        """Take what there is; what is not among it is gone."""

    async def put(self, obj: Json) -> None:
        """Take one that is new or has changed."""

    async def drop(self, obj: Json) -> None:
        """Let go of one that is gone."""


class Both:
    """Hands what a watch hears to two indices, one after the other."""

    def __init__(self, first: Index, second: Index) -> None:
        self._first, self._second = first, second

    async def replace(self, namespace: str, objects: Iterable[Json]) -> None:
        """Take what there is in a namespace, in all of them if it is empty."""
        there = list(objects)
        await self._first.replace(namespace, there)
        await self._second.replace(namespace, there)

    async def put(self, obj: Json) -> None:
        """Take one that is new or has changed."""
        await self._first.put(obj)
        await self._second.put(obj)

    async def drop(self, obj: Json) -> None:
        """Let go of one that is gone."""
        await self._first.drop(obj)
        await self._second.drop(obj)


class Kind(NamedTuple):
    """A kind of object: `group` is the path of its API.

    One that `may_be_missing` is asked for seldom where it is not served, or not for us to see: for
    so long there is none.
    """

    group: str
    plural: str
    may_be_missing: bool = False

    @classmethod
    def of(cls, resource: Resource) -> Self:
        """Return the kind that a resource is."""
        return cls(resource.path, resource.plural)

    def path(self, namespace: str) -> str:
        """Return where its objects in a namespace are, in all of them if it is empty."""
        where = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
        return f"{self.group}{where}/{self.plural}"

    def path_of(self, namespace: str, name: str, part: str = "") -> str:
        """Return where one of its objects is; `part` is a subresource of it, such as /status."""
        return f"{self.path(namespace)}/{quote(name, safe='')}{part}"


POOLS = Kind(f"/apis/{GROUP}/{VERSION}", PLURAL)
PODS = Kind("/api/v1", "pods")
SCALE = "/scale"


class Watch:
    """Keeps an index up to date with the objects of a kind.

    `restarted` is called with what they are called each time the watch has to begin anew.
    """

    def __init__(
        self,
        api: KubeApi,
        kind: Kind,
        namespace: str,
        index: Index,
        restarted: Callable[[str], None],
    ) -> None:
        self._api, self._kind, self._namespace, self._index = api, kind, namespace, index
        self._path = kind.path(namespace)
        self._restarted = restarted
        self._version: str | None = None
        self._trouble: Unavailable | None = None
        self._answered = asyncio.Event()

    async def trouble(self) -> Unavailable | None:
        """Tell why the index may be old; None while it is not. Waits for the first answer."""
        await self._answered.wait()
        return self._trouble

    async def run(self) -> None:
        """Keep the index up to date until cancelled."""
        while True:
            try:
                failure = await (self._list() if self._version is None else self._follow())
            except Exception:
                # A defect, or an object that is none: the index is not what the server has.
                if self._trouble is None:
                    logger.exception("the watch of %s failed", self._path)
                failure = Unavailable(
                    Reason.KUBERNETES_UNAVAILABLE,
                    f"the watch of {self._kind.plural} failed; see the operator's log",
                )
            if failure is None:
                continue
            if self._trouble is None:
                logger.warning("lost sight of %s: %s", self._path, failure.message)
            self._restarted(self._kind.plural)
            # What was missed meanwhile is found by reading all of it again.
            self._trouble, self._version = failure, None
            self._answered.set()
            await asyncio.sleep(self._pause_seconds(failure))

    def _pause_seconds(self, failure: Unavailable) -> float:
        if failure.reason is not Reason.KUBERNETES_FORBIDDEN:
            return RETRY_SECONDS
        return MISSING_SECONDS if self._kind.may_be_missing else REFUSED_SECONDS

    async def _list(self) -> Unavailable | None:
        """Read all objects, page by page, and hand them over at once."""
        objects: list[Json] = []
        query = {"limit": str(PAGE)}
        while True:
            page = await self._api.page(self._path, query)
            if isinstance(page, Unavailable):
                return await self._missing(page)
            objects += page["items"]
            if not (more := page["metadata"].get("continue")):
                break
            query = {"limit": str(PAGE), "continue": more}
        await self._index.replace(self._namespace, objects)
        self._heard(page["metadata"]["resourceVersion"])
        return None

    async def _missing(self, why: Unavailable) -> Unavailable | None:
        """Take that there is no list; return whether that is any trouble."""
        is_unserved = why.reason is Reason.NOT_FOUND
        is_kept_from_us = why.reason is Reason.KUBERNETES_FORBIDDEN
        if is_unserved or (self._kind.may_be_missing and is_kept_from_us):
            # There are none, or none that may go on counting unseen.
            await self._index.replace(self._namespace, [])
        if is_unserved and self._kind.may_be_missing:
            self._heard(None)
            await asyncio.sleep(MISSING_SECONDS)
            return None
        return _unheard(self._kind.plural, why)

    async def _follow(self) -> Unavailable | None:
        """Take what happens until the server ends the watch."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version or "",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        began = monotonic()
        async for event in self._api.events(self._path, query, SILENCE_SECONDS):
            if isinstance(event, Unavailable):
                return _unheard(self._kind.plural, event)
            if event and (failure := await self._take(event)) is not None:
                return failure
            if self._version is None:
                break
            self._heard(self._version)
        if monotonic() - began < RETRY_SECONDS:
            # Of a server that ends every watch at once not more is asked than of one that fails.
            await asyncio.sleep(RETRY_SECONDS)
        return None

    async def _take(self, event: Json) -> Unavailable | None:
        obj = event["object"]
        match event["type"]:
            case "ADDED" | "MODIFIED":
                await self._index.put(obj)
            case "DELETED":
                await self._index.drop(obj)
            case "ERROR" if obj.get("code") == GONE:
                self._version = None
                self._restarted(self._kind.plural)
                return None
            case "ERROR":
                told = f"ended the watch of {self._kind.plural}: {obj.get('message')}"
                return Unavailable(Reason.KUBERNETES_UNAVAILABLE, f"the Kubernetes API {told}")
        self._version = obj["metadata"]["resourceVersion"]
        return None

    def _heard(self, version: str | None) -> None:
        if self._trouble is not None:
            logger.info("%s are seen again", self._path)
        self._version, self._trouble = version, None
        self._answered.set()


def _unheard(resource: str, why: Unavailable) -> Unavailable:
    return Unavailable(why.reason, f"{resource} cannot be watched: {why.message}")
