"""The watches, against a healthy API server, one that says what it is told to, and none."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kube_stub import Answer, KubeStub, kube_stub, refusal, use_kubeconfig
from scanpool.controller.chosen import Chosen
from scanpool.kube import watch as watch_module
from scanpool.kube.api import KubeApi
from scanpool.kube.placement import quota
from scanpool.kube.rules import ByNamespace
from scanpool.kube.watched import Watched
from scanpool.models import label_selector
from scanpool.models.conditions import Reason
from scanpool.models.placement import HostPort, NamespaceRules
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.spec import ScaleTargetRef
from scanpool_sandbox.kube import KubeEmulator, Node

HPAS = "/apis/autoscaling/v2/horizontalpodautoscalers"
SCALED_OBJECTS = "/apis/keda.sh/v1alpha1/scaledobjects"
DEPLOYMENTS, PODS, NODES = "/apis/apps/v1/deployments", "/api/v1/pods", "/api/v1/nodes"
WORKER = ScaleTargetRef(name="worker")
NODE = Node("node-a", cpu="4", memory="8Gi")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(watch_module, "REFUSED_SECONDS", 0.05)


@pytest.fixture
def stub() -> Iterator[KubeStub]:
    with kube_stub() as serving:
        yield serving


def deployment(name: str = "worker", replicas: int = 1) -> dict[str, Any]:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "c", "image": "worker"}]},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"namespace": "default", "name": name, "uid": "d-1"}, "spec": spec}


@asynccontextmanager
async def watching(
    url: str,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    namespaces: tuple[str, ...] = (),
    restarted: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[Watched]:
    use_kubeconfig(monkeypatch, directory, url)
    with ThreadPoolExecutor(1) as executor:
        api = KubeApi(executor, 1)
        watched = Watched(api, namespaces, restarted, lambda: 0.0)
        try:
            yield watched
        finally:
            await watched.close()
            await api.aclose()


async def until(read: Callable[[], Awaitable[Reading[Any]]], holds: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(30):
        while True:
            found = await read()
            if holds(found):
                return found
            await asyncio.sleep(0.02)


def is_of(reason: Reason) -> Callable[[Any], bool]:
    return lambda found: isinstance(found, Unavailable) and found.reason is reason


@pytest.fixture
async def kube() -> AsyncIterator[KubeEmulator]:
    async with KubeEmulator([NODE]) as emulator:
        # Whoever asks is the administrator: the watches are looked at, not the rights.
        emulator._tokens.authenticate = lambda _: emulator_admin()  # type: ignore[method-assign]
        yield emulator


def emulator_admin() -> Any:
    from scanpool_sandbox.kube.access.users import ADMIN  # noqa: PLC0415

    return ADMIN


@pytest.mark.parametrize("namespaces", [(), ("default",)])
async def test_a_target_follows_its_deployment_and_pods_without_a_request(
    kube: KubeEmulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    namespaces: tuple[str, ...],
) -> None:
    resource = kube.api.resource("deployments", "apps")
    async with watching(kube.url, tmp_path, monkeypatch, namespaces) as watched:

        async def read() -> Reading[Any]:
            return await watched.read_target("default", WORKER)

        await until(read, is_of(Reason.TARGET_NOT_FOUND))
        kube.api.create(resource, "default", deployment())
        await until(read, lambda found: isinstance(found, Available) and found.value.pods)
        await until(read, lambda found: found.value.pods[0].ready)
        kube.audit.clear()

        kube.api.patch(
            resource, "default", "worker", "application/merge-patch+json", {"spec": {"replicas": 3}}
        )
        await until(read, lambda found: (found.value.replicas, len(found.value.pods)) == (3, 3))
        kube.api.delete(resource, "default", "worker")
        await until(read, is_of(Reason.TARGET_NOT_FOUND))

        assert [entry for entry in kube.audit if entry.verb != "watch"] == []


async def test_nodes_are_watched_once_they_are_asked_for(
    kube: KubeEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watching(kube.url, tmp_path, monkeypatch, ("default",)) as watched:
        await watched.read_target("default", WORKER)
        assert not [entry for entry in kube.audit if entry.resource == "nodes"]

        found = await watched.read_nodes()

        assert isinstance(found, Available)
        assert [one.name for one in found.value] == ["node-a"]
        kube.api.create(kube.api.resource("deployments", "apps"), "default", deployment())
        await until(watched.read_nodes, lambda found: found.value[0].pods_running == 1)


async def test_a_forgotten_version_is_read_anew(
    kube: KubeEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was deleted meanwhile: no event tells of it."""
    restarted: list[str] = []
    resource = kube.api.resource("deployments", "apps")
    kube.api.create(resource, "default", deployment())
    monkeypatch.setattr(watch_module, "WATCH_SECONDS", 1)
    async with watching(kube.url, tmp_path, monkeypatch, (), restarted.append) as watched:

        async def read() -> Reading[Any]:
            return await watched.read_target("default", WORKER)

        await until(read, lambda found: isinstance(found, Available))
        store = kube.api.store
        del store._objects[resource.key]["default"]["worker"]
        store.revision += 100
        store.compact()

        await until(read, is_of(Reason.TARGET_NOT_FOUND))
        assert "deployments" in restarted


EXPIRED = {"kind": "Status", "code": 410, "message": "too old resource version"}


@pytest.mark.parametrize(
    "answer",
    [Answer(EXPIRED, 410), Answer(json.dumps({"type": "ERROR", "object": EXPIRED}).encode())],
    ids=["status", "event"],
)
async def test_a_version_that_is_never_new_enough_is_no_trouble_and_not_asked_for_at_once_again(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    monkeypatch.setattr(watch_module, "RETRY_SECONDS", 30.0)
    listed = Answer({"metadata": {"resourceVersion": "1"}, "items": [deployment()]})
    nothing = Answer({"metadata": {"resourceVersion": "1"}, "items": []})

    def asked() -> list[bool]:
        """Of each request for Deployments, whether it was a watch."""
        return ["watch" in one.query for one in stub.requests if one.path == DEPLOYMENTS]

    async def asked_once_more() -> None:
        while asked() in ([], [False], [False, True]):
            await asyncio.sleep(0.01)

    stub.gets(DEPLOYMENTS, lambda: answer if asked()[-1] else listed)
    stub.gets(PODS, nothing)
    async with watching(stub.url, tmp_path, monkeypatch) as watched:
        pods = watched._of_pods[""]
        monkeypatch.setattr(pods, "_follow", asyncio.Event().wait)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asked_once_more(), 0.5)
        found = await watched.read_target("default", WORKER)

    assert isinstance(found, Available)
    assert asked() == [False, True]


async def test_an_api_server_that_goes_is_not_taken_for_a_quiet_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with KubeEmulator([NODE]) as kube:
        kube._tokens.authenticate = lambda _: emulator_admin()  # type: ignore[method-assign]
        kube.api.create(kube.api.resource("deployments", "apps"), "default", deployment())
        async with watching(kube.url, tmp_path, monkeypatch) as watched:

            async def read() -> Reading[Any]:
                return await watched.read_target("default", WORKER)

            await until(read, lambda found: isinstance(found, Available))
            await kube.__aexit__(None, None, None)

            found = await until(read, is_of(Reason.KUBERNETES_UNAVAILABLE))
            assert "nothing is changed until it does" in found.message


async def test_a_connection_that_says_nothing_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server would end the watch before: so long a silence is no quiet cluster."""
    lists = {
        path: json.dumps({"metadata": {"resourceVersion": "1"}, "items": items}).encode()
        for path, items in (
            (DEPLOYMENTS, [deployment()]),
            (PODS, []),
            (HPAS, []),
            (SCALED_OBJECTS, []),
        )
    }
    monkeypatch.setattr(watch_module, "SILENCE_SECONDS", 0.5)

    serving: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                asked = head.split(b" ")[1].decode()
                body = b"" if "watch=true" in asked else lists[asked.partition("?")[0]]
                length = len(body) or 1000
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + body)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with watching(url, tmp_path, monkeypatch) as watched:

        async def read() -> Reading[Any]:
            return await watched.read_target("default", WORKER)

        await until(read, lambda found: isinstance(found, Available))
        found = await until(read, is_of(Reason.KUBERNETES_UNAVAILABLE))
        assert "ReadTimeout" in found.message
    server.close()
    await asyncio.gather(*filter(None, serving))


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (refusal(403, "pods is forbidden"), Reason.KUBERNETES_FORBIDDEN, "pods is forbidden"),
        (refusal(500, "etcdserver: leader changed"), Reason.KUBERNETES_UNAVAILABLE, "answered 500"),
        (Answer(b"<html>log in</html>"), Reason.KUBERNETES_UNAVAILABLE, "else than JSON"),
        (
            Answer({"metadata": {"resourceVersion": "1"}, "items": [{"no": "pod"}]}),
            Reason.KUBERNETES_UNAVAILABLE,
            "the watch of pods failed",
        ),
    ],
)
async def test_a_list_that_cannot_be_read_says_why(
    stub: KubeStub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    reason: Reason,
    words: str,
) -> None:
    stub.gets(DEPLOYMENTS, Answer({"metadata": {"resourceVersion": "1"}, "items": [deployment()]}))
    stub.gets(PODS, answer)
    async with watching(stub.url, tmp_path, monkeypatch) as watched:
        found = await watched.read_target("default", WORKER)

    assert isinstance(found, Unavailable)
    assert (found.reason, words in found.message) == (reason, True)


async def test_a_list_comes_in_pages(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = {
        "": {"metadata": {"resourceVersion": "7", "continue": "more"}, "items": [deployment("a")]},
        "more": {"metadata": {"resourceVersion": "7"}, "items": [deployment("b")]},
    }

    def page() -> Answer:
        query = stub.requests[-1].query
        return Answer(b"" if "watch" in query else pages[query.get("continue", "")])

    def nothing() -> Answer:
        empty = {"metadata": {"resourceVersion": "1"}, "items": []}
        return Answer(b"" if "watch" in stub.requests[-1].query else empty)

    stub.gets(DEPLOYMENTS, page)
    stub.gets(PODS, nothing)
    async with watching(stub.url, tmp_path, monkeypatch) as watched:
        found = [
            await watched.read_target("default", ScaleTargetRef(name=name)) for name in ("a", "b")
        ]

    assert all(isinstance(one, Available) for one in found)


@pytest.mark.parametrize("path", [NODES, PODS])
async def test_nodes_that_may_not_be_seen_are_what_a_pool_can_do_without(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    for listed in (NODES, PODS):
        stub.gets(listed, Answer({"metadata": {"resourceVersion": "1"}, "items": []}))
    stub.gets(path, refusal(403, "forbidden at the cluster scope"))
    async with watching(stub.url, tmp_path, monkeypatch, ("default",)) as watched:
        found = await watched.read_nodes()

    assert isinstance(found, Unavailable)
    assert found.reason is Reason.KUBERNETES_FORBIDDEN
    assert "forbidden at the cluster scope" in found.message
    assert "memory.enabled: false" in found.message


def served(stub: KubeStub, path: str, *items: dict[str, Any]) -> None:
    """List objects and end each watch at once."""

    def answer() -> Answer:
        listed = {"metadata": {"resourceVersion": "1"}, "items": list(items)}
        return Answer(b"" if "watch" in stub.requests[-1].query else listed)

    stub.gets(path, answer)


def scaler(name: str) -> dict[str, Any]:
    metadata = {"namespace": "default", "name": name, "creationTimestamp": "2026-01-28T08:20:00Z"}
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "worker"}
    return {"metadata": metadata, "spec": {"scaleTargetRef": ref}}


def lists(stub: KubeStub, path: str) -> int:
    return sum(one.path == path and "watch" not in one.query for one in stub.requests)


async def test_whoever_else_scales_a_target_is_known_without_a_request(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(stub, HPAS, scaler("mine"))
    served(stub, SCALED_OBJECTS, scaler("kedas"))
    async with watching(stub.url, tmp_path, monkeypatch) as watched:
        found = await watched.read_rivals("default", "pool", WORKER)
        other = await watched.read_rivals("default", "pool", ScaleTargetRef(name="other"))

    assert isinstance(found, Available)
    assert [one.name for one in found.value] == [
        "HorizontalPodAutoscaler default/mine",
        "ScaledObject default/kedas",
    ]
    assert isinstance(other, Available)
    assert other.value == ()


async def test_an_autoscaler_that_the_cluster_does_not_have_is_no_trouble_and_looked_for_again(
    stub: KubeStub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watch_module, "MISSING_SECONDS", 0.1)
    served(stub, HPAS)
    stub.gets(SCALED_OBJECTS, refusal(404, "the server could not find the requested resource"))
    restarted: list[str] = []
    async with watching(stub.url, tmp_path, monkeypatch, (), restarted.append) as watched:

        async def read() -> Reading[Any]:
            return await watched.read_rivals("default", "pool", WORKER)

        found = await read()
        assert isinstance(found, Available)
        assert found.value == ()
        assert "scaledobjects" not in restarted
        assert "scaledobjects" not in caplog.text
        served(stub, SCALED_OBJECTS, scaler("kedas"))
        await until(read, lambda found: len(found.value) == 1)


@pytest.mark.parametrize("code", [403, 404])
async def test_what_may_be_missing_is_asked_for_seldom_while_it_is(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    stub.gets(HPAS, refusal(code, "none for you"))
    stub.gets(PODS, refusal(500, "away"))
    async with watching(stub.url, tmp_path, monkeypatch) as watched:

        async def read() -> Reading[Any]:
            await watched.read_rivals("default", "pool", WORKER)
            return await watched.read_target("default", WORKER)

        # The others are asked for all the time meanwhile.
        await until(read, lambda _: lists(stub, PODS) > 3)
        assert lists(stub, HPAS) == 1


async def test_autoscalers_that_may_not_be_seen_are_told_unless_one_is_known(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(stub, HPAS, scaler("mine"))
    stub.gets(SCALED_OBJECTS, refusal(403, "scaledobjects is forbidden"))
    async with watching(stub.url, tmp_path, monkeypatch) as watched:
        known = await watched.read_rivals("default", "pool", WORKER)
        unknown = await watched.read_rivals("default", "pool", ScaleTargetRef(name="other"))

    assert isinstance(known, Available)
    assert isinstance(unknown, Unavailable)
    assert unknown.reason is Reason.KUBERNETES_FORBIDDEN
    assert "scaledobjects is forbidden" in unknown.message


async def test_an_autoscaler_counts_no_more_once_it_may_not_be_seen(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "MISSING_SECONDS", 0.1)
    served(stub, HPAS, scaler("mine"))
    served(stub, SCALED_OBJECTS)
    async with watching(stub.url, tmp_path, monkeypatch) as watched:

        async def read() -> Reading[Any]:
            return await watched.read_rivals("default", "pool", WORKER)

        await until(read, lambda found: len(found.value) == 1)
        stub.gets(HPAS, refusal(403, "horizontalpodautoscalers is forbidden"))
        await until(read, is_of(Reason.KUBERNETES_FORBIDDEN))


async def test_a_target_tells_who_owns_its_replicas(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {"f:spec": {"f:replicas": {}}}
    entry = {"manager": "argocd-controller", "time": "2026-01-28T08:20:00Z", "fieldsV1": fields}
    owned = deployment()
    owned["metadata"]["managedFields"] = [entry]
    served(stub, DEPLOYMENTS, owned)
    served(stub, PODS)
    async with watching(stub.url, tmp_path, monkeypatch) as watched:
        found = await watched.read_target("default", WORKER)

    assert isinstance(found, Available)
    assert [one.manager for one in found.value.writers] == ["argocd-controller"]


async def test_a_target_tells_what_its_youngest_pod_asks_for(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the overhead of its RuntimeClass, which no template has."""

    def pod(name: str, minute: int, **metadata: str) -> dict[str, Any]:
        created = f"2026-01-28T08:{minute}:00Z"
        return {
            "metadata": {
                "namespace": "default", "name": name, "labels": {"app": "worker"},
                "creationTimestamp": created, **metadata,
            },
            "spec": {
                "nodeName": "node-a",
                "containers": [
                    {
                        "name": "c", "resources": {"requests": {"cpu": "1"}},
                        "ports": [{"containerPort": 80, "hostPort": 8000 + minute}],
                    }
                ],
                "overhead": {"cpu": f"{minute}m", "example.com/gpu": "1"},
            },
        }  # fmt: skip

    served(stub, DEPLOYMENTS, deployment())
    leaving = pod("c", 30, deletionTimestamp="2026-01-28T08:40:00Z")
    served(stub, PODS, pod("a", 10), pod("b", 20), leaving)
    async with watching(stub.url, tmp_path, monkeypatch) as watched:
        found = await watched.read_target("default", WORKER)

    assert isinstance(found, Available)
    assert found.value.asked == {"memory": 0, "cpu": 1_020, "example.com/gpu": 1}
    assert found.value.ports == (HostPort(8020),)
    assert found.value.leaving_from == ("node-a",)


async def test_pools_that_are_not_chosen_are_known_as_rivals(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool of another shard may mean the same target."""
    for path in (HPAS, SCALED_OBJECTS):
        served(stub, path)
    old, young = scaler("old"), scaler("young")
    old["metadata"]["creationTimestamp"] = "2026-01-28T08:00:00Z"
    young["metadata"]["labels"] = {"shard": "b"}
    served(stub, "/apis/scan.eco2.io/v1alpha1/scanworkerpools", old, young)
    heard = Heard()
    async with watching(stub.url, tmp_path, monkeypatch) as watched:
        for watch in watched.watch_pools(Chosen(heard, label_selector.parse("shard=b"))):
            await watch.trouble()
        found = await watched.read_rivals("default", "young", WORKER)
        own = await watched.read_rivals("default", "old", WORKER)

    assert heard.names == ["young"]
    assert isinstance(found, Available)
    assert [one.name for one in found.value] == ["ScanWorkerPool default/old"]
    assert isinstance(own, Available)
    assert own.value == ()


QUOTAS, RANGES = "/api/v1/resourcequotas", "/api/v1/limitranges"


def named(name: str, namespace: str = "default", **parts: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, **parts}


async def test_quotas_are_watched_once_they_are_asked_for(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hard = {"status": {"hard": {"pods": "4"}, "used": {"pods": "1"}}}
    limits = {"spec": {"limits": [{"type": "Pod", "max": {"cpu": "1"}}]}}
    served(stub, QUOTAS, named("team", **hard), named("team", "other", **hard))
    served(stub, RANGES, named("usual", **limits))
    async with watching(stub.url, tmp_path, monkeypatch) as watched:
        await watched.read_rivals("default", "pool", WORKER)
        assert lists(stub, QUOTAS) == 0
        found = await watched.read_rules("default")
        empty = await watched.read_rules("nowhere")
        assert await watched.read_rules("default") == found
        assert lists(stub, QUOTAS) == 1

    assert isinstance(found, Available)
    assert [one.name for one in found.value.quotas] == ["team"]
    assert [(one.name, one.kind) for one in found.value.ranges] == [("usual", "Pod")]
    assert isinstance(empty, Available)
    assert empty.value == NamespaceRules()


async def test_quotas_that_may_not_be_seen_are_told(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(stub, QUOTAS)
    stub.gets(RANGES, refusal(403, "limitranges is forbidden"))
    async with watching(stub.url, tmp_path, monkeypatch) as watched:
        found = await watched.read_rules("default")

    assert isinstance(found, Unavailable)
    assert found.reason is Reason.KUBERNETES_FORBIDDEN


async def test_what_namespaces_allow_follows_what_is_heard() -> None:
    index = ByNamespace(quota)
    for namespace in ("scan", "other"):
        await index.replace(namespace, [named("b", namespace), named("a", namespace)])
    await index.put(named("c", "scan"))
    await index.drop(named("a", "scan"))
    await index.drop(named("never", "heard"))
    assert [one.name for one in index.of("scan")] == ["b", "c"]

    await index.replace("scan", [])
    assert (index.of("scan"), len(index.of("other"))) == ((), 2)
    await index.replace("", [named("d", "scan")])
    assert (len(index.of("scan")), index.of("other")) == (1, ())


class Heard:
    """An index that keeps names."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def replace(self, _: str, objects: Iterable[dict[str, Any]]) -> None:
        self.names = [one["metadata"]["name"] for one in objects]

    async def put(self, obj: dict[str, Any]) -> None:
        self.names.append(obj["metadata"]["name"])

    async def drop(self, obj: dict[str, Any]) -> None:
        self.names.remove(obj["metadata"]["name"])
