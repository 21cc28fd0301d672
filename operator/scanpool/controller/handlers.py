"""What kopf calls: start, the liveness probe, stop. The only user of kopf.

The pools are watched like everything else (`kube.watched`), so that one index tells what there is.
"""

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from math import inf
from typing import Any

import kopf
from prometheus_client import REGISTRY, start_http_server

from scanpool.controller import process
from scanpool.controller.chosen import Chosen
from scanpool.controller.claims import Claims
from scanpool.controller.duty import Duty
from scanpool.controller.loops import Loops
from scanpool.controller.reconcile import Reconciler, Shown
from scanpool.keda.permits import Permits
from scanpool.kube.accounts import Accounts
from scanpool.kube.api import KubeApi, NoClusterError
from scanpool.kube.cluster import Cluster
from scanpool.kube.events import Events
from scanpool.kube.fence import Fence
from scanpool.kube.leases import Leases
from scanpool.kube.watched import Watched
from scanpool.lead.election import Candidate, Terms
from scanpool.lead.elector import Clocks, Elector, Told
from scanpool.lead.shards import Shards
from scanpool.observe.observer import Observer
from scanpool.report.lease_metrics import LeaseMetrics
from scanpool.report.loop_metrics import LoopMetrics
from scanpool.report.metrics import Metrics
from scanpool.settings import Election, Settings
from scanpool.sources.allowed_hosts import AllowedHosts
from scanpool.sources.http import HttpClients

# Threads for the clients that block. Each call takes milliseconds to, at worst, its time-out of
# some seconds; 300 pools at 10 s intervals make about 100 calls a second.
THREADS = 16


def run(settings: Settings) -> None:
    """Run the operator until it is told to stop."""
    kopf.configure(
        verbose=settings.verbose,
        log_format=kopf.LogFormat.JSON if settings.json_logs else kopf.LogFormat.FULL,
    )
    if not settings.verbose:
        # They tell of every probe that it was answered.
        for chatty in ("kopf.activities.probe", "aiohttp.access"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
    process.collect_seldom()
    kopf.run(
        registry=registry(settings),
        settings=_kopf_settings(),
        memo=kopf.Memo(),
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        liveness_endpoint=f"http://{settings.host}:{settings.health_port}/healthz",
    )
    process.end_at_once()


def registry(settings: Settings) -> kopf.OperatorRegistry:
    """Return the handlers of one operator."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        # It looks once at what the API server serves, although it watches none of it.
        return kopf.login_via_client(**kwargs)

    @kopf.on.startup(registry=handlers)
    async def start(memo: kopf.Memo, **_: Any) -> None:
        memo.parts = AsyncExitStack()
        try:
            memo.loops = await memo.parts.enter_async_context(running(settings))
        except (NoClusterError, OSError, ImportError) as error:
            # No configuration, a port that is taken, or a part that is not installed: trying again
            # in this process mends none of them.
            raise kopf.PermanentError(str(error)) from error
        # kopf sets a handler of its own once each of its tasks has had its first turn, as this one.
        await asyncio.sleep(0)
        process.end_in_time()

    @kopf.on.cleanup(registry=handlers)
    async def stop(memo: kopf.Memo, **_: Any) -> None:
        await memo.parts.aclose()

    @kopf.on.probe(registry=handlers, id="ticks")
    async def ticks(memo: kopf.Memo, **_: Any) -> str:
        if not memo.loops.is_getting_on():
            # kopf's probe endpoint hangs on every other exception.
            raise kopf.PermanentError("no tick of any pool has finished in time")
        return "in time"

    return handlers


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Loops]:
    """Build all that an operator is made of, and close it in reverse, even where a start fails."""
    async with AsyncExitStack() as parts:
        metrics, loop_metrics = Metrics(REGISTRY), LoopMetrics(REGISTRY)
        server, thread = start_http_server(settings.metrics_port, settings.host, REGISTRY)
        parts.callback(thread.join)
        parts.callback(server.server_close)
        parts.callback(server.shutdown)
        executor = ThreadPoolExecutor(THREADS, thread_name_prefix="scanpool")
        # Shut until the election opens it; without one, it is open for good.
        fence = Fence(time.monotonic, *((-inf, -inf) if settings.election else ()))
        api = KubeApi(executor, THREADS, loop_metrics.asked, fence)
        parts.push_async_callback(api.aclose)
        # In a thread: calls that are under way may take until their time-outs.
        parts.push_async_callback(asyncio.to_thread, executor.shutdown, cancel_futures=True)
        http = HttpClients(AllowedHosts(settings.allowed_hosts))
        parts.push_async_callback(http.aclose)
        cluster = Cluster(api, time.time)
        watched = Watched(api, settings.namespaces, loop_metrics.rewatched, time.time)
        parts.push_async_callback(watched.close)
        observer = Observer(watched, cluster, http, executor, loop_metrics.read, time.time)
        parts.push_async_callback(observer.close)
        shards = None
        if settings.shard:
            shards = Shards(Accounts(api), settings.shard.name, executor, time.time)
            shards.start()
            parts.push_async_callback(shards.close)
        events = Events(cluster.emit_event, time.time)
        shown = Shown(metrics, Permits(time.time), events)
        reconciler = Reconciler(cluster, observer, Claims(shards), shown, time.time)
        duty = Duty(reconciler, fence, metrics)
        loops = Loops(duty, metrics, loop_metrics, time.monotonic)
        keda = _keda(settings, shown.permits, fence, parts)
        if settings.election:
            told = (Told(loops.wake, _nothing), keda)
            parts.push_async_callback(_elected(settings.election, fence, told, parts).close)
        else:
            keda.gained()
        # Before the election ends, which gives the Lease back.
        parts.push_async_callback(events.close)
        parts.push_async_callback(loops.close)
        watched.watch_pools(Chosen(loops, settings.shard.selector) if settings.shard else loops)
        watchdog = asyncio.create_task(loops.watch())
        parts.callback(watchdog.cancel)
        yield loops


def _keda(settings: Settings, permits: Permits, fence: Fence, parts: AsyncExitStack) -> Told:
    """Make ready to answer KEDA, and return what is to be told for it.

    gRPC takes memory, and is there for those who ask for it only.
    """
    if (asked := settings.keda) is None:
        return Told(_nothing, _nothing)
    try:
        from scanpool.keda.listener import Listener, Tls  # noqa: PLC0415
        from scanpool.keda.scaler import Scaler  # noqa: PLC0415
    except ModuleNotFoundError as error:
        hint = "install scanpool[keda], or run it without --keda-port"
        raise ImportError(f"KEDA cannot be answered without gRPC ({error}): {hint}") from error

    tls = None if asked.tls is None else Tls(asked.tls, asked.client_ca)
    scaler = Scaler(permits, lambda: fence.is_open)
    listener = Listener(scaler, settings.host, asked.port, tls)
    listener.start()
    parts.push_async_callback(listener.close)
    return Told(listener.open, listener.shut)


def _nothing() -> None:
    """Stand in for what nobody asks for."""


def _elected(
    election: Election, fence: Fence, told: Iterable[Told], parts: AsyncExitStack
) -> Elector:
    """Begin to stand for election, with a thread and connections that nothing else can hold up."""
    terms = Terms(election.seconds)
    executor = ThreadPoolExecutor(1, thread_name_prefix="election")
    parts.push_async_callback(asyncio.to_thread, executor.shutdown)
    # Two attempts have to fit into the time after which a leader stops acting.
    a_quarter = terms.renew_seconds / 4
    api = KubeApi(executor, 1, timeout=(a_quarter, a_quarter))
    parts.push_async_callback(api.aclose)
    metrics = LeaseMetrics(REGISTRY, election.lease, lambda: fence.is_open)

    def gained() -> None:
        metrics.gained()
        for one in told:
            one.gained()

    def lost() -> None:
        metrics.lost()
        for one in told:
            one.lost()

    elector = Elector(
        Leases(api, election.lease),
        Candidate(f"{socket.gethostname()}_{secrets.token_hex(4)}", terms),
        fence,
        Clocks(time.time, time.monotonic),
        Told(gained, lost),
    )
    elector.start()
    return elector


def _kopf_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    # kopf watches nothing, and need not look for what it could watch.
    settings.scanning.disabled = True
    settings.posting.enabled = False
    # Without daemons of its own, kopf has nothing to poll for at the end; it must not wait for it.
    settings.background.cancellation_polling = 1
    return settings
