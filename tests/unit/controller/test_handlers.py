import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import kopf
import pytest
import yaml
from prometheus_client import CollectorRegistry

from builders import pool
from keda_client import KedaClient, scaled_object
from scanpool.controller import handlers, process
from scanpool.keda.permits import Permits
from scanpool.kube import watch as watch_module
from scanpool.kube.fence import Fence
from scanpool.models.label_selector import parse
from scanpool.settings import Election, KedaScaler, Settings, Shard
from scanpool_sandbox.kube import KubeEmulator

CRD = yaml.safe_load((Path(__file__).parents[3] / "crds" / "scanworkerpools.yaml").read_text())
POOLS_PATH = "/apis/scan.eco2.io/v1alpha1/namespaces/default/scanworkerpools"
LOCAL = Settings(host="127.0.0.1", metrics_port=0, election=None)


class RecordedLoops:
    """Takes the place of the loops: says what it was told, and writes nothing itself."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.gets_on = True
        self.closed = False
        self.woken = asyncio.Event()

    async def replace(self, _: str, objects: list[Mapping[str, Any]]) -> None:
        for body in objects:
            await self.put(body)

    async def put(self, body: Mapping[str, Any]) -> None:
        self.told.put_nowait((f"update to {body['spec']['maxReplicas']}", body["metadata"]["name"]))

    async def drop(self, body: Mapping[str, Any]) -> None:
        metadata = body["metadata"]
        self.told.put_nowait((f"remove from {metadata['namespace']}", metadata["name"]))

    async def watch(self) -> None:
        """Nothing here is ever stuck."""

    def wake(self) -> None:
        self.woken.set()

    async def close(self) -> None:
        self.closed = True

    def is_getting_on(self) -> bool:
        return self.gets_on

    async def next(self) -> tuple[str, str]:
        async with asyncio.timeout(30):
            return await self.told.get()


def create_crd(kube: KubeEmulator) -> None:
    definitions = kube.api.resource("customresourcedefinitions", "apiextensions.k8s.io")
    kube.api.create(definitions, "", CRD)


@pytest.fixture
async def kube() -> AsyncIterator[KubeEmulator]:
    async with KubeEmulator() as emulator:
        create_crd(emulator)
        yield emulator


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> RecordedLoops:
    recorded = RecordedLoops()
    monkeypatch.setattr(handlers, "Loops", lambda *_: recorded)
    # The process has one registry, and takes each metric once.
    monkeypatch.setattr(handlers, "REGISTRY", CollectorRegistry())
    return recorded


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


@asynccontextmanager
async def operator(
    kube: KubeEmulator,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings = LOCAL,
) -> AsyncIterator[str]:
    """Run the operator, and yield the URL of its liveness probe."""
    path = str(kube.write_kubeconfig(directory / "kubeconfig"))
    monkeypatch.setattr("kubernetes.config.KUBE_CONFIG_DEFAULT_LOCATION", path)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", path)
    endpoint = f"http://127.0.0.1:{free_port()}/healthz"
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(
        kopf.operator(
            registry=handlers.registry(settings),
            settings=handlers._kopf_settings(),
            memo=kopf.Memo(),
            standalone=True,
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            liveness_endpoint=endpoint,
            stop_flag=stop,
            ready_flag=ready,
        )
    )
    async with asyncio.timeout(30):
        await ready.wait()
    try:
        yield endpoint
    finally:
        stop.set()
        async with asyncio.timeout(30):
            await running


def manifest(max_replicas: int = 10) -> dict[str, Any]:
    return {
        "apiVersion": "scan.eco2.io/v1alpha1",
        "kind": "ScanWorkerPool",
        "metadata": {"name": "scan-worker", "namespace": "default"},
        "spec": pool(max_replicas=max_replicas).model_dump(
            mode="json", by_alias=True, exclude_none=True
        ),
    }


async def test_the_life_of_a_pool_is_told_to_the_loops_and_kopf_writes_nothing(
    kube: KubeEmulator, loops: RecordedLoops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = kube.api.resource("scanworkerpools", "scan.eco2.io")
    kube.api.create(pools, "default", manifest())

    async with operator(kube, tmp_path, monkeypatch):
        assert await loops.next() == ("update to 10", "scan-worker")

        patched = kube.api.get(pools, "default", "scan-worker")
        patched = json.loads(json.dumps(patched))
        patched["spec"]["maxReplicas"] = 11
        kube.api.update(pools, "default", "scan-worker", patched)
        assert await loops.next() == ("update to 11", "scan-worker")
        seen = kube.api.get(pools, "default", "scan-worker")["metadata"]
        assert "finalizers" not in seen
        assert "annotations" not in seen

        kube.api.delete(pools, "default", "scan-worker")
        assert await loops.next() == ("remove from default", "scan-worker")

    assert loops.closed
    assert [(entry.verb, entry.path) for entry in kube.audit.writes()] == []
    # It did read: the audit is not empty for want of looking.
    assert {entry.verb for entry in kube.audit if entry.resource == "scanworkerpools"} == {
        "list",
        "watch",
    }


async def test_a_shard_works_its_pools_and_lets_go_of_one_that_is_relabelled(
    kube: KubeEmulator, loops: RecordedLoops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = kube.api.resource("scanworkerpools", "scan.eco2.io")
    for name, shard in (("other", "b"), ("scan-worker", "a")):
        mine = manifest()
        mine["metadata"] |= {"name": name, "labels": {"shard": shard}}
        kube.api.create(pools, "default", mine)

    def relabel(name: str, shard: str) -> None:
        body = json.loads(json.dumps(kube.api.get(pools, "default", name)))
        body["metadata"]["labels"] = {"shard": shard}
        kube.api.update(pools, "default", name, body)

    shard = replace(LOCAL, shard=Shard("scanpool-a", parse("shard=a")))
    async with operator(kube, tmp_path, monkeypatch, shard):
        assert await loops.next() == ("update to 10", "scan-worker")

        relabel("scan-worker", "b")
        assert await loops.next() == ("remove from default", "scan-worker")
        relabel("other", "a")
        assert await loops.next() == ("update to 10", "other")


async def test_the_probe_fails_while_nothing_gets_on_and_no_longer(
    kube: KubeEmulator, loops: RecordedLoops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loops.gets_on = False

    # Before the probe is served its connections are refused: those are tried again.
    patient = httpx.AsyncHTTPTransport(retries=8)
    async with (
        operator(kube, tmp_path, monkeypatch) as endpoint,
        httpx.AsyncClient(transport=patient) as client,
    ):
        assert (await client.get(endpoint)).status_code == 500

        loops.gets_on = True
        healthy = await client.get(endpoint)

    assert (healthy.status_code, healthy.json()) == (200, {"ticks": "in time"})


async def test_sigterm_ends_the_process_in_time_whatever_it_waits_for(
    kube: KubeEmulator, loops: RecordedLoops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(os, "_exit", lambda _: ended.set())
    monkeypatch.setattr(process, "STOP_SECONDS", 0.01)
    before = signal.getsignal(signal.SIGTERM)
    try:
        async with operator(kube, tmp_path, monkeypatch):
            os.kill(os.getpid(), signal.SIGTERM)
            assert await asyncio.to_thread(ended.wait, 30)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert loops.closed


async def test_the_lease_is_taken_before_the_pools_are_ticked_and_given_back_after_the_last(
    kube: KubeEmulator, loops: RecordedLoops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = kube.api.resource("leases", "coordination.k8s.io")

    def lease() -> dict[str, Any]:
        spec: dict[str, Any] = kube.api.get(leases, "default", "scanpool")["spec"]
        return spec

    async def close() -> None:
        # The Lease is still held while the loops end.
        assert lease()["holderIdentity"].startswith(socket.gethostname())
        loops.closed = True

    monkeypatch.setattr(loops, "close", close)
    elected = replace(LOCAL, election=Election())
    async with operator(kube, tmp_path, monkeypatch, elected):
        async with asyncio.timeout(30):
            await loops.woken.wait()
        registry = handlers.REGISTRY
        assert registry.get_sample_value("scanpool_leading", {"lease": "scanpool"}) == 1
        gained = {"lease": "scanpool", "change": "gained"}
        assert registry.get_sample_value("scanpool_leadership_changes_total", gained) == 1

    assert loops.closed
    assert (lease()["holderIdentity"], lease()["leaseTransitions"]) == ("", 0)


@pytest.mark.parametrize("election", [None, Election()], ids=["alone", "elected"])
async def test_keda_is_answered_by_whoever_leads(
    kube: KubeEmulator,
    loops: RecordedLoops,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    election: Election | None,
) -> None:
    asked = KedaScaler(free_port())
    settings = replace(LOCAL, election=election, keda=asked)
    async with (
        operator(kube, tmp_path, monkeypatch, settings),
        grpc.aio.insecure_channel(f"127.0.0.1:{asked.port}") as channel,
    ):
        # None of the recorded loops ticks: nothing is known of any pool.
        ref = scaled_object("default", "orders")
        call = KedaClient(channel).call("IsActive", ref, timeout=30, wait_for_ready=True)
        assert await call.code() is grpc.StatusCode.NOT_FOUND
    assert loops.closed
    with socket.socket() as tried:
        assert tried.connect_ex(("127.0.0.1", asked.port)) != 0


async def test_without_grpc_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scanpool.keda.listener", None)
    settings = replace(LOCAL, keda=KedaScaler(free_port()))

    async with AsyncExitStack() as parts:
        with pytest.raises(ImportError, match=r"install scanpool\[keda\]"):
            handlers._keda(settings, Permits(time.time), Fence(time.monotonic), parts)


def test_grpc_is_loaded_for_those_who_ask_for_it_only() -> None:
    code = "import sys, scanpool.controller.handlers as h; print('grpc' in sys.modules, h.__name__)"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.split() == ["False", "scanpool.controller.handlers"]


async def test_an_operator_of_named_namespaces_asks_for_nothing_beyond_them(
    loops: RecordedLoops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def bring_the_crd_late() -> None:
        async with asyncio.timeout(30):
            while not any(entry.path == POOLS_PATH and entry.code == 404 for entry in kube.audit):
                await asyncio.sleep(0.05)
        create_crd(kube)
        pools = kube.api.resource("scanworkerpools", "scan.eco2.io")
        kube.api.create(pools, "default", manifest())

    monkeypatch.setattr(watch_module, "RETRY_SECONDS", 0.05)
    named = Settings(("default",), host="127.0.0.1", metrics_port=0, election=None)
    async with KubeEmulator() as kube, asyncio.TaskGroup() as tasks:
        tasks.create_task(bring_the_crd_late())
        async with operator(kube, tmp_path, monkeypatch, named):
            assert await loops.next() == ("update to 10", "scan-worker")

    asked = {(entry.resource, entry.namespace) for entry in kube.audit if entry.resource}
    watched = ("scanworkerpools", "deployments", "pods")
    rivals = ("horizontalpodautoscalers", "scaledobjects")
    assert asked == {(resource, "default") for resource in (*watched, *rivals)}


def test_kopf_is_set_up_to_keep_quiet_and_to_watch_nothing() -> None:
    settings = handlers._kopf_settings()

    assert settings.posting.enabled is False
    assert settings.scanning.disabled is True
    assert settings.background.cancellation_polling == 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(
            Settings(),
            {
                "clusterwide": True,
                "namespaces": (),
                "liveness_endpoint": "http://0.0.0.0:8080/healthz",
            },
            id="all-namespaces",
        ),
        pytest.param(
            Settings(("scan",), "127.0.0.1", 1),
            {
                "clusterwide": False,
                "namespaces": ("scan",),
                "liveness_endpoint": "http://127.0.0.1:1/healthz",
            },
            id="one-namespace",
        ),
    ],
)
def test_kopf_is_run_as_the_settings_say(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, expected: dict[str, Any]
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(kopf, "run", given.update)
    monkeypatch.setattr(kopf, "configure", lambda **_: None)
    monkeypatch.setattr(process, "collect_seldom", lambda: None)
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)

    handlers.run(settings)

    assert given.items() >= {**expected, "standalone": True}.items()
    assert ended == [0]
