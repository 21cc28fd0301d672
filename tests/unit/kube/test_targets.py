"""Targets of any kind: discovered, watched, scaled by their /scale, and what is told where not."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from builders import TEMPLATE
from kube_stub import Answer, KubeStub, kube_stub, refusal, use_kubeconfig
from scanpool.kube import kinds as kinds_module
from scanpool.kube import watch as watch_module
from scanpool.kube.api import KubeApi
from scanpool.kube.watched import Watched
from scanpool.models.conditions import Reason
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.resource import Resource
from scanpool.models.spec import ScaleTargetRef

GROUP = "workers.example.com"
API = f"/apis/{GROUP}/v1"
REF = ScaleTargetRef(api_version=f"{GROUP}/v1", kind="WorkerGroup", name="w")
LIST, OBJECT = f"{API}/workergroups", f"{API}/namespaces/scan/workergroups/w"
PODS, SCALE = "/api/v1/pods", f"{OBJECT}/scale"
LISTED_PODS = "/api/v1/namespaces/scan/pods"
CONTAINER = {"name": "c", "resources": {"requests": {"memory": "512Mi", "cpu": "250m"}}}
TEMPLATED = {"template": {"spec": {"containers": [CONTAINER]}}}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(watch_module, "REFUSED_SECONDS", 0.02)
    monkeypatch.setattr(kinds_module, "MISSING_SECONDS", -1.0)


@pytest.fixture
def stub() -> Iterator[KubeStub]:
    with kube_stub() as serving:
        serving.gets(API, resources("workergroups", "workergroups/scale"))
        serve(serving, LIST, group())
        serving.gets(SCALE, scale())
        for path in (PODS, "/apis/apps/v1/deployments"):
            serve(serving, path)
        yield serving


@asynccontextmanager
async def watching(
    stub: KubeStub, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Watched]:
    use_kubeconfig(monkeypatch, directory, stub.url)
    with ThreadPoolExecutor(1) as executor:
        api = KubeApi(executor, 1)
        watched = Watched(api, (), lambda _: None, lambda: 0.0)
        try:
            yield watched
        finally:
            await watched.close()
            await api.aclose()


def resources(*names: str, kind: str = "WorkerGroup", namespaced: bool = True) -> Answer:
    served = [{"name": one, "kind": kind, "namespaced": namespaced} for one in names]
    return Answer({"kind": "APIResourceList", "resources": served})


def serve(stub: KubeStub, path: str, *items: Any) -> None:
    """List these from now on; a watch of what was listed before is told that it is too old."""
    version = str(len(stub.requests) + 1)

    def answer() -> Answer:
        asked = next(one for one in reversed(stub.requests) if one.path == path)
        if "watch" not in asked.query:
            return Answer({"metadata": {"resourceVersion": version}, "items": items})
        if asked.query["resourceVersion"] == version:
            return Answer(b"")
        return Answer({"type": "ERROR", "object": {"code": 410}})

    stub.gets(path, answer)


def group(version: str = "5", **spec: Any) -> dict[str, Any]:
    metadata = {"namespace": "scan", "name": "w", "uid": "g-1", "resourceVersion": version}
    return {"metadata": metadata, "spec": spec}


def scale(replicas: int = 2, selector: str | None = "app=w", version: str = "5") -> Answer:
    spec = {"replicas": replicas} if replicas else {}
    status = {} if selector is None else {"selector": selector}
    return Answer({"metadata": {"resourceVersion": version}, "spec": spec, "status": status})


def pod(name: str, created: str = "2026-01-28T08:20:00Z", **labels: str) -> dict[str, Any]:
    metadata = {"namespace": "scan", "name": name, "creationTimestamp": created, "labels": labels}
    return {"metadata": metadata, "spec": {"containers": [CONTAINER]}, "status": {}}


async def read(watched: Watched, ref: ScaleTargetRef = REF) -> Reading[Any]:
    return await watched.read_target("scan", ref)


async def until(watched: Watched, holds: Callable[[Reading[Any]], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds(await read(watched)):
            await asyncio.sleep(0.02)


def is_there(found: Reading[Any]) -> bool:
    return isinstance(found, Available)


def has(replicas: int) -> Callable[[Reading[Any]], bool]:
    return lambda found: isinstance(found, Available) and found.value.replicas == replicas


async def test_replicas_and_pods_are_those_of_the_scale(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(stub, LIST, group(instances=9, **TEMPLATED))
    stub.gets(SCALE, scale(3, "app in (w),!canary"))
    serve(stub, PODS, pod("a", app="w"), pod("b", app="w", canary="y"), pod("c", app="x"))
    async with watching(stub, tmp_path, monkeypatch) as watched:
        found = await read(watched)
        assert isinstance(found, Available)
        assert found.value.replicas == 3
        assert found.value.selector == "app in (w),!canary"
        assert [one.name for one in found.value.pods] == ["a"]
        assert found.value.resource == Resource(GROUP, "v1", "WorkerGroup", "workergroups")
        assert found.value.template is not None
        assert found.value.template.memory_request == TEMPLATE.memory_request

        before = len([one for one in stub.requests if one.path in (API, SCALE)])
        assert isinstance(await read(watched), Available)
        # Neither the kind nor the scale of what has not changed is asked for again.
        assert len([one for one in stub.requests if one.path in (API, SCALE)]) == before == 2


async def test_zero_replicas_are_left_out_and_are_zero(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.gets(SCALE, scale(0))
    async with watching(stub, tmp_path, monkeypatch) as watched:
        found = await read(watched)
    assert isinstance(found, Available)
    assert found.value.replicas == 0


async def test_what_was_written_counts_until_the_watch_tells_of_another_version(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watching(stub, tmp_path, monkeypatch) as watched:
        await read(watched)
        watched.scaled("scan", REF, 8)
        written = await read(watched)
        assert isinstance(written, Available)
        assert written.value.replicas == 8

        stub.gets(SCALE, scale(4, version="6"))
        serve(stub, LIST, group("6"))
        await until(watched, has(4))


@pytest.mark.parametrize(
    ("path", "answer", "reason", "words"),
    [
        (API, refusal(404, "nothing there"), Reason.KIND_NOT_FOUND, "serves no workers.example"),
        (API, resources("others", kind="Other"), Reason.KIND_NOT_FOUND, "has no kind WorkerGroup"),
        (API, resources("workergroups", namespaced=False), Reason.KIND_NOT_FOUND, "in a namespace"),
        (API, resources("workergroups"), Reason.SCALE_NOT_FOUND, "subresources.scale"),
        (API, refusal(503, "busy"), Reason.KUBERNETES_UNAVAILABLE, "busy"),
        (SCALE, refusal(404, "gone"), Reason.TARGET_NOT_FOUND, "WorkerGroup scan/w does not"),
        (SCALE, refusal(500, "the spec replicas field"), Reason.KUBERNETES_UNAVAILABLE, "replicas"),
        (SCALE, scale(selector=None), Reason.SELECTOR_NOT_FOUND, "labelSelectorPath"),
        (SCALE, scale(selector=" "), Reason.SELECTOR_NOT_FOUND, "labelSelectorPath"),
        (SCALE, scale(selector="app=(w)"), Reason.SELECTOR_NOT_FOUND, "is none"),
    ],
)
async def test_what_cannot_be_scaled_says_why_and_is_scaled_once_it_can(
    stub: KubeStub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    answer: Answer,
    reason: Reason,
    words: str,
) -> None:
    well = stub.answers["GET", path]
    stub.gets(path, answer)
    async with watching(stub, tmp_path, monkeypatch) as watched:
        found = await read(watched)
        assert isinstance(found, Unavailable)
        assert found.reason is reason
        assert words in found.message

        stub.gets(path, well)
        await until(watched, is_there)


async def test_what_does_not_exist_is_scaled_once_it_does(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(stub, LIST)
    async with watching(stub, tmp_path, monkeypatch) as watched:
        found = await read(watched)
        assert isinstance(found, Unavailable)
        assert found.reason is Reason.TARGET_NOT_FOUND
        assert "WorkerGroup scan/w does not exist" in found.message
        serve(stub, LIST, group())
        await until(watched, has(2))


@pytest.mark.parametrize("path", [LIST, SCALE])
async def test_rbac_that_refuses_is_told_with_the_rules_to_add(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    well = stub.answers["GET", path]
    stub.gets(path, refusal(403, "workergroups is forbidden: User cannot do it"))
    async with watching(stub, tmp_path, monkeypatch) as watched:
        found = await read(watched)
        assert isinstance(found, Unavailable)
        assert found.reason is Reason.KUBERNETES_FORBIDDEN
        for words in (
            f'{{apiGroups: ["{GROUP}"], resources: ["workergroups"], verbs: [list, watch]}}',
            f'{{apiGroups: ["{GROUP}"], resources: ["workergroups/scale"], verbs: [get, patch]}}',
            'scan.eco2.io/aggregate-to-operator: "true"',
            "Role in scan",
            "User cannot do it",
        ):
            assert words in found.message
        # An upgrade would not bring them.
        assert "manifests/base" not in found.message

        stub.gets(path, well)
        await until(watched, is_there)


async def test_a_kind_of_the_base_is_mended_by_applying_it_anew(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.gets("/apis/apps/v1", resources("statefulsets", "statefulsets/scale", kind="StatefulSet"))
    stub.gets("/apis/apps/v1/statefulsets", refusal(403, "statefulsets is forbidden"))
    async with watching(stub, tmp_path, monkeypatch) as watched:
        found = await read(watched, ScaleTargetRef(kind="StatefulSet", name="w"))
    assert isinstance(found, Unavailable)
    assert "apply manifests/base anew" in found.message
    assert "aggregate-to-operator" not in found.message


async def test_without_a_template_the_newest_pod_tells_what_a_replica_takes(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = pod("z", app="w"), pod("a", "2026-01-28T08:21:00Z", app="w")
    serve(stub, PODS, old, new)
    serve(stub, LISTED_PODS, new)
    async with watching(stub, tmp_path, monkeypatch) as watched:
        for _ in range(2):
            found = await read(watched)
            assert isinstance(found, Available)
            assert found.value.template is not None
            assert found.value.template.memory_request == TEMPLATE.memory_request
    asked = [one.query for one in stub.requests if one.path == LISTED_PODS]
    assert asked == [{"fieldSelector": "metadata.name=a"}]


@pytest.mark.parametrize(
    "spec",
    [{}, {"template": "small"}, {"template": {"spec": {}}}, {"template": {"spec": [1]}},
     {"template": {"spec": {"containers": "two"}}},
     {"template": {"spec": {"containers": [{"resources": {"requests": {"memory": "much"}}}]}}}],
)  # fmt: skip
async def test_what_a_replica_takes_stays_unknown_before_the_first_pod(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: dict[str, Any]
) -> None:
    serve(stub, LIST, group(**spec))
    async with watching(stub, tmp_path, monkeypatch) as watched:
        found = await read(watched)
    assert isinstance(found, Available)
    assert found.value.template is None


async def test_a_kind_of_the_core_group_has_its_own_path(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plural = "replicationcontrollers"
    kind = "ReplicationController"
    stub.gets("/api/v1", resources(plural, f"{plural}/scale", kind=kind))
    stub.gets("/api/v1/", resources(plural, f"{plural}/scale", kind=kind))
    serve(stub, f"/api/v1/{plural}", group())
    stub.gets(f"/api/v1/namespaces/scan/{plural}/w/scale", scale(6))
    async with watching(stub, tmp_path, monkeypatch) as watched:
        found = await read(watched, ScaleTargetRef(api_version="v1", kind=kind, name="w"))
    assert isinstance(found, Available)
    assert found.value.replicas == 6
