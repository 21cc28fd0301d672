"""A Lease by its name, on the API's emulator; and writes that the fence lets through or not."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest

from kube_stub import Answer, KubeStub, kube_stub, use_kubeconfig
from scanpool.kube.api import KubeApi
from scanpool.kube.cluster import Cluster, Happening, Object
from scanpool.kube.fence import Fence
from scanpool.kube.leases import Leases
from scanpool.models.conditions import Reason
from scanpool.models.lease import Lease
from scanpool.models.reading import Unavailable
from scanpool.models.resource import DEPLOYMENTS
from scanpool_sandbox.kube import KubeEmulator

STAMP = "2026-11-27T05:00:00.000001Z"
HELD = Lease("me_1", 15, STAMP, STAMP, 0)
SCALE = "/apis/apps/v1/namespaces/scan/deployments/scan-worker/scale"
STATUS = "/apis/scan.eco2.io/v1alpha1/namespaces/scan/scanworkerpools/scan-worker/status"
EVENTS = "/api/v1/namespaces/scan/events"


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


# --- the Lease ---


@pytest.fixture
async def leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Leases]:
    async with KubeEmulator() as kube:
        path = str(kube.write_kubeconfig(tmp_path / "kubeconfig"))
        monkeypatch.setattr("kubernetes.config.KUBE_CONFIG_DEFAULT_LOCATION", path)
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", path)
        with ThreadPoolExecutor(1) as executor, closing(KubeApi(executor, 1)) as api:
            yield Leases(api, "scanpool")


async def test_a_lease_is_made_renewed_and_given_back(leases: Leases) -> None:
    assert await leases.read() is None

    made = await leases.write(HELD)
    assert isinstance(made, Lease)
    assert made == replace(HELD, version=made.version)
    assert await leases.read() == made

    renewed = await leases.write(replace(made, renewed_at="2026-11-27T05:00:02.000001Z"))
    assert isinstance(renewed, Lease)
    assert renewed.version != made.version

    free = await leases.write(replace(renewed, holder="", seconds=1))
    assert isinstance(free, Lease)
    assert (await leases.read()) == free
    assert (free.holder, free.renewed_at) == ("", "2026-11-27T05:00:02.000001Z")


async def test_of_two_who_write_at_once_one_is_told(leases: Leases) -> None:
    made = await leases.write(HELD)
    assert isinstance(made, Lease)

    again = await leases.write(replace(HELD, holder="other_2"))
    late = await leases.write(replace(made, holder="other_2", version="1"))

    for refused in (again, late):
        assert isinstance(refused, Unavailable)
        assert refused.reason is Reason.SCALE_CONFLICT
    assert await leases.read() == made


# --- the fence ---


@pytest.fixture
def stub() -> Iterator[KubeStub]:
    with kube_stub() as stub:
        stub.gets(SCALE, Answer({"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 1}}))
        for method, path in (("PATCH", SCALE), ("PATCH", STATUS), ("POST", EVENTS)):
            stub.answers[method, path] = Answer({"metadata": {}})
        yield stub


async def write_all(cluster: Cluster) -> list[Any]:
    """Make each kind of write that the operator makes."""
    about = Object("scan", "scan-worker", "uid-1")
    return [
        await cluster.scale(DEPLOYMENTS, "scan", "scan-worker", 1, 2),
        await cluster.write_status("scan", "scan-worker", dict),
        await cluster.emit_event(about, Happening("Reconciled", "well"), 0.0),
    ]


async def test_no_write_leaves_the_process_once_the_lease_may_be_anothers(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_kubeconfig(monkeypatch, tmp_path, stub.url)
    clock = Clock()
    fence = Fence(clock, -inf, -inf)
    with ThreadPoolExecutor(1) as executor, closing(KubeApi(executor, 1, fence=fence)) as api:
        cluster = Cluster(api, lambda: 0.0)

        fence.open_until(60.0, 65.0)
        assert not any(isinstance(done, Unavailable) for done in await write_all(cluster))
        assert len(stub.writes()) == 3

        clock.now = 60.0
        refused = await write_all(cluster)

    assert [one.reason for one in refused] == [Reason.NOT_LEADING] * 3
    assert len(stub.writes()) == 3


@pytest.mark.parametrize(
    ("left", "timeouts"),
    [
        pytest.param(inf, (3.0, 10.0), id="without-an-election"),
        pytest.param(15.0, (3.0, 10.0), id="just-renewed"),
        pytest.param(5.5, (2.75, 2.75), id="about-to-run-out"),
    ],
)
async def test_a_write_ends_before_another_may_lead(
    stub: KubeStub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    left: float,
    timeouts: tuple[float, float],
) -> None:
    use_kubeconfig(monkeypatch, tmp_path, stub.url)
    clock, asked = Clock(), list[tuple[float, float]]()

    def call_api(*_: object, _request_timeout: tuple[float, float]) -> None:
        asked.append(_request_timeout)
        raise OSError

    monkeypatch.setattr("kubernetes.client.ApiClient.call_api", call_api)
    with ThreadPoolExecutor(1) as executor:
        fence = Fence(clock, 60.0, clock.now + left)
        with closing(KubeApi(executor, 1, fence=fence)) as api:
            assert isinstance(await api.create(EVENTS, {}), Unavailable)

    assert asked == [timeouts]


async def test_who_is_cancelled_while_writing_ends_after_the_write(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_kubeconfig(monkeypatch, tmp_path, stub.url)
    begun, go_on, ended = threading.Event(), threading.Event(), list[bool]()

    def call_api(*_: object, **__: object) -> None:
        begun.set()
        ended.append(go_on.wait(30))
        raise OSError

    monkeypatch.setattr("kubernetes.client.ApiClient.call_api", call_api)
    with ThreadPoolExecutor(1) as executor, closing(KubeApi(executor, 1)) as api:
        writing = asyncio.create_task(api.create(EVENTS, {}))
        assert await asyncio.to_thread(begun.wait, 30)
        writing.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not writing.done()

        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await writing

    assert ended == [True]


async def test_a_write_that_waits_for_its_turn_is_not_made_once_it_is_cancelled(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand may wait for a slow server, and a process that ends for none of them."""
    use_kubeconfig(monkeypatch, tmp_path, stub.url)
    begun, go_on, calls = threading.Event(), threading.Event(), list[str]()

    def call_api(*asked: object, **_: object) -> None:
        calls.append(str(asked[0]))
        begun.set()
        go_on.wait(30)
        raise OSError

    monkeypatch.setattr(
        "kubernetes.client.ApiClient.call_api", lambda _, *a, **k: call_api(*a, **k)
    )
    with ThreadPoolExecutor(1) as executor, closing(KubeApi(executor, 1)) as api:
        first = asyncio.create_task(api.create(EVENTS, {}))
        assert await asyncio.to_thread(begun.wait, 30)
        second = asyncio.create_task(api.patch(SCALE, {}))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        go_on.set()
        await first

    assert calls == ["POST"]
