"""What kopf calls: start, every event of a pool, the liveness probe, stop. The only user of kopf.

Only raw events are handled: kopf then writes nothing to the pools, no finalizer and no annotation.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import kopf
from prometheus_client import REGISTRY, start_http_server

from scanpool.controller.claims import Claims
from scanpool.controller.loops import Loops
from scanpool.controller.reconcile import Reconciler
from scanpool.kube.api import KubeApi
from scanpool.kube.cluster import Cluster
from scanpool.models.names import GROUP, PLURAL, VERSION
from scanpool.models.reading import Unavailable
from scanpool.observe.observer import Observer
from scanpool.report.metrics import Metrics
from scanpool.settings import Settings
from scanpool.sources.http import HttpClients

# Threads for the clients that block. Each call takes milliseconds to, at worst, its time-out of
# some seconds; 300 pools at 10 s intervals make about 100 calls a second.
THREADS = 16
# A watch that the API server ends after this long is renewed; one that says nothing for longer is
# broken somewhere on the way, and is opened anew.
WATCH_SECONDS = 300
CONNECT_SECONDS = 10
REQUEST_SECONDS = 30
# How often to look whether the pools' CRD has come, where kopf does not watch for it.
KIND_SECONDS = 2

logger = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Run the operator until it is told to stop."""
    kopf.configure(
        verbose=settings.verbose,
        log_format=kopf.LogFormat.JSON if settings.json_logs else kopf.LogFormat.FULL,
    )
    if not settings.verbose:
        # They tell of every event of every pool, and of every probe, that it was handled.
        for chatty in ("kopf.objects", "kopf.activities.probe", "aiohttp.access"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
    kopf.run(
        registry=registry(settings),
        settings=_kopf_settings(settings),
        memo=kopf.Memo(),
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        liveness_endpoint=f"http://{settings.host}:{settings.health_port}/healthz",
    )


def registry(settings: Settings) -> kopf.OperatorRegistry:
    """Return the handlers of one operator."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_via_client(**kwargs)

    @kopf.on.startup(registry=handlers)
    async def start(memo: kopf.Memo, **_: Any) -> None:
        memo.parts = AsyncExitStack()
        memo.loops = await memo.parts.enter_async_context(running(settings))

    @kopf.on.cleanup(registry=handlers)
    async def stop(memo: kopf.Memo, **_: Any) -> None:
        await memo.parts.aclose()

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)
    async def pool_event(event: kopf.RawEvent, body: kopf.Body, memo: kopf.Memo, **_: Any) -> None:
        if event["type"] == "DELETED":
            metadata = body.metadata
            await memo.loops.remove(metadata.namespace, metadata.name, metadata["uid"])
        else:
            await memo.loops.update(body)

    @kopf.on.probe(registry=handlers, id="ticks")
    async def ticks(memo: kopf.Memo, **_: Any) -> str:
        if stuck := memo.loops.stuck():
            # kopf's probe endpoint hangs on every other exception.
            raise kopf.PermanentError(f"no tick has finished in time for {', '.join(stuck)}")
        return "in time"

    return handlers


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Loops]:
    """Build all that an operator is made of, and close it in reverse, even where a start fails."""
    async with AsyncExitStack() as parts:
        metrics = Metrics(REGISTRY)
        server, thread = start_http_server(settings.metrics_port, settings.host, REGISTRY)
        parts.callback(thread.join)
        parts.callback(server.server_close)
        parts.callback(server.shutdown)
        executor = ThreadPoolExecutor(THREADS, thread_name_prefix="scanpool")
        api = KubeApi(executor, THREADS)
        parts.callback(api.close)
        # In a thread: calls that are under way may take until their time-outs.
        parts.push_async_callback(asyncio.to_thread, executor.shutdown, cancel_futures=True)
        http = HttpClients()
        parts.push_async_callback(http.aclose)
        cluster = Cluster(api, time.time)
        if settings.namespaces:
            await _kind_served(cluster)
        observer = Observer(cluster, http, executor, time.time)
        parts.push_async_callback(observer.close)
        reconciler = Reconciler(cluster, observer, Claims(), metrics, time.time)
        loops = Loops(reconciler, metrics, time.monotonic)
        parts.push_async_callback(loops.close)
        yield loops


async def _kind_served(cluster: Cluster) -> None:
    """Wait until the API server knows the pools: kopf, as set up below, looks for them once."""
    while isinstance(served := await cluster.read_kind(), Unavailable):
        logger.warning("waiting for the CRD of the ScanWorkerPools: %s", served.message)
        await asyncio.sleep(KIND_SECONDS)


def _kopf_settings(told: Settings) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    # To notice namespaces and CRDs as they come, kopf watches those of the whole cluster. Whoever
    # names namespaces may have no rights beyond them, and the names are known.
    settings.scanning.disabled = bool(told.namespaces)
    # Events are written on transitions, by the reconciler; kopf would write one per log line.
    settings.posting.enabled = False
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.client_timeout = WATCH_SECONDS + REQUEST_SECONDS
    settings.watching.connect_timeout = CONNECT_SECONDS
    settings.networking.connect_timeout = CONNECT_SECONDS
    settings.networking.request_timeout = REQUEST_SECONDS
    # Without daemons of its own, kopf has nothing to poll for at the end; it must not wait for it.
    settings.background.cancellation_polling = 1
    return settings
