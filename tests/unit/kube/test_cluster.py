import base64
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from builders import NOW
from kube_stub import TOKEN, Answer, KubeStub, kube_stub, refusal, use_kubeconfig
from scanpool.kube import api as api_module
from scanpool.kube.api import KubeApi, NoClusterError
from scanpool.kube.cluster import Cluster, Happening, Object
from scanpool.kube.secret import SecretText
from scanpool.models.conditions import Reason
from scanpool.models.fields import SecretKeyRef
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.resource import DEPLOYMENTS

SCALE = "/apis/apps/v1/namespaces/scan/deployments/scan-worker/scale"
POD_METRICS = "/apis/metrics.k8s.io/v1beta1/namespaces/scan/pods"
SECRET = "/api/v1/namespaces/scan/secrets/scan-secret"
POOL = "/apis/scan.eco2.io/v1alpha1/namespaces/scan/scanworkerpools/scan-worker"
EVENTS = "/api/v1/namespaces/scan/events"
KEY = SecretKeyRef(name="scan-secret", key="OPENAI_API_KEY")
PASSWORD = "hunter2-hunter2"

ABOUT = Object("scan", "scan-worker", "u-1")

Read = Callable[[Cluster], Awaitable[Reading[Any] | None]]

READS: dict[str, Read] = {
    "read_secret": lambda cluster: cluster.read_secret("scan", KEY.name),
    "read_pool": lambda cluster: cluster.read_pool("scan", "scan-worker"),
    "scale": lambda cluster: cluster.scale(DEPLOYMENTS, "scan", "scan-worker", 2, 3),
    "write_status": lambda cluster: cluster.write_status("scan", "scan-worker", dict),
    "emit_event": lambda cluster: cluster.emit_event(ABOUT, Happening("R", "m"), NOW),
}


@pytest.fixture
def stub() -> Iterator[KubeStub]:
    with kube_stub() as serving:
        yield serving


@pytest.fixture
def cluster(stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    use_kubeconfig(monkeypatch, tmp_path, stub.url)
    with configured() as made:
        yield made


@contextmanager
def configured() -> Iterator[Cluster]:
    """Talk to the cluster that the process is configured for."""
    with ThreadPoolExecutor(1) as executor, closing(KubeApi(executor, 1)) as api:
        yield Cluster(api, lambda: NOW)


def answer_everything(stub: KubeStub, answer: Answer) -> None:
    for path in (SCALE, SECRET, POOL):
        stub.gets(path, answer)
    stub.answers["PATCH", f"{POOL}/status"] = answer
    stub.answers["POST", EVENTS] = answer


@pytest.mark.parametrize("call", READS.values(), ids=READS.keys())
@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        pytest.param(
            refusal(401, "Unauthorized"), Reason.KUBERNETES_FORBIDDEN, "Unauthorized", id="401"
        ),
        pytest.param(
            refusal(403, 'nodes is forbidden: User "scanpool"'),
            Reason.KUBERNETES_FORBIDDEN,
            "apply manifests/base anew",
            id="403",
        ),
        pytest.param(
            refusal(409, "the object has been modified"),
            Reason.SCALE_CONFLICT,
            "the object has been modified",
            id="409",
        ),
        pytest.param(
            refusal(429, "too many requests"),
            Reason.KUBERNETES_UNAVAILABLE,
            "answered 429",
            id="429",
        ),
        pytest.param(
            refusal(500, "etcdserver: leader changed"),
            Reason.KUBERNETES_UNAVAILABLE,
            "answered 500: etcdserver: leader changed",
            id="500",
        ),
        pytest.param(
            Answer(b"<html>\xff\xfe bad gateway</html>", 502),
            Reason.KUBERNETES_UNAVAILABLE,
            "answered 502",
            id="502-of-a-proxy",
        ),
        pytest.param(
            Answer(b"[]", 503), Reason.KUBERNETES_UNAVAILABLE, "answered 503", id="503-a-list"
        ),
        pytest.param(
            Answer(b"<html>log in</html>"),
            Reason.KUBERNETES_UNAVAILABLE,
            "something else than JSON",
            id="200-a-login-page",
        ),
        pytest.param(
            Answer(b"\xff\xfe\x00"),
            Reason.KUBERNETES_UNAVAILABLE,
            "something else than JSON",
            id="200-no-text",
        ),
        pytest.param(
            Answer(b'"ok"'),
            Reason.KUBERNETES_UNAVAILABLE,
            "something else than JSON",
            id="200-no-object",
        ),
    ],
)
async def test_whatever_the_api_answers_a_call_says_what_is_wrong(
    stub: KubeStub, cluster: Cluster, call: Read, answer: Answer, reason: Reason, words: str
) -> None:
    answer_everything(stub, answer)

    found = await call(cluster)

    assert isinstance(found, Unavailable)
    assert found.reason is reason
    assert words in found.message


@pytest.mark.parametrize(
    ("call", "reason", "words"),
    [
        ("read_secret", Reason.SECRET_NOT_FOUND, "Secret scan/scan-secret does not exist"),
        ("read_pool", Reason.NOT_FOUND, "not found"),
        ("scale", Reason.NOT_FOUND, "not found"),
        ("write_status", Reason.NOT_FOUND, "not found"),
        ("emit_event", Reason.NOT_FOUND, "not found"),
    ],
)
async def test_an_object_that_is_missing_is_named(
    cluster: Cluster, call: str, reason: Reason, words: str
) -> None:
    found = await READS[call](cluster)

    assert isinstance(found, Unavailable)
    assert found.reason is reason
    assert words in found.message


@pytest.mark.parametrize("call", READS.values(), ids=READS.keys())
async def test_an_api_that_refuses_connections_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Read
) -> None:
    # Bound and not listening: refused, and taken by no one else meanwhile.
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        use_kubeconfig(monkeypatch, tmp_path, f"http://127.0.0.1:{bound.getsockname()[1]}")
        with configured() as cluster:
            found = await call(cluster)

    assert isinstance(found, Unavailable)
    assert found.reason is Reason.KUBERNETES_UNAVAILABLE
    assert "does not answer" in found.message


async def test_an_api_that_says_nothing_is_unavailable_in_time_and_asked_once(
    stub: KubeStub, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def silence() -> Answer:
        release.wait(30)
        return Answer({})

    stub.gets(SECRET, silence)
    monkeypatch.setattr(api_module, "REQUEST_TIMEOUT", (1, 0.1))

    found = await cluster.read_secret("scan", KEY.name)
    release.set()

    assert isinstance(found, Unavailable)
    assert found.reason is Reason.KUBERNETES_UNAVAILABLE
    assert len(stub.requests) == 1


async def test_a_call_says_who_it_is(stub: KubeStub, cluster: Cluster) -> None:
    await cluster.read_pool("scan", "scan-worker")

    assert stub.requests[0].authorization == f"Bearer {TOKEN}"


def test_without_any_cluster_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_kubeconfig(monkeypatch, tmp_path, "http://127.0.0.1:1").unlink()
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    with (
        ThreadPoolExecutor(1) as executor,
        pytest.raises(NoClusterError, match="KUBECONFIG"),
    ):
        KubeApi(executor, 1)


async def test_the_first_kubeconfig_of_several_that_exists_counts(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = use_kubeconfig(monkeypatch, tmp_path, stub.url)
    several = f"{tmp_path / 'missing'}:{path}"
    monkeypatch.setattr("kubernetes.config.KUBE_CONFIG_DEFAULT_LOCATION", several)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", several)
    stub.gets(POOL, Answer({"kind": "ScanWorkerPool"}))

    with configured() as cluster:
        assert isinstance(await cluster.read_pool("scan", "scan-worker"), Available)


# --- what metrics.k8s.io tells ---


@pytest.mark.parametrize(
    ("namespace", "path"),
    [("scan", POD_METRICS), ("", "/apis/metrics.k8s.io/v1beta1/pods")],
)
async def test_working_sets_of_a_namespace_or_of_all(
    stub: KubeStub, cluster: Cluster, namespace: str, path: str
) -> None:
    used = {"name": "worker", "usage": {"memory": "100Ki", "cpu": "1m"}}
    metadata = {"namespace": "scan", "name": "scan-worker-a"}
    stub.gets(path, Answer({"items": [{"metadata": metadata, "containers": [used]}]}))

    found = await cluster.read_pods_used(namespace)

    assert found == Available({("scan", "scan-worker-a"): 100 * 1024}, NOW, "kubernetes")


async def test_what_is_in_use_of_the_nodes(stub: KubeStub, cluster: Cluster) -> None:
    used = {"metadata": {"name": "node-a"}, "usage": {"memory": "3Gi", "cpu": "1"}}
    stub.gets("/apis/metrics.k8s.io/v1beta1/nodes", Answer({"items": [used]}))

    assert await cluster.read_nodes_used() == Available({"node-a": 3 * 2**30}, NOW, "kubernetes")


@pytest.mark.parametrize("status", [403, 404, 503])
async def test_what_is_in_use_is_a_bonus(stub: KubeStub, cluster: Cluster, status: int) -> None:
    stub.gets(POD_METRICS, refusal(status, "no metrics"))
    stub.gets("/apis/metrics.k8s.io/v1beta1/nodes", refusal(status, "no metrics"))

    assert await cluster.read_pods_used("scan") == Available({}, NOW, "kubernetes")
    assert await cluster.read_nodes_used() == Available({}, NOW, "kubernetes")


async def test_requests_are_told_by_their_verb(
    stub: KubeStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_kubeconfig(monkeypatch, tmp_path, stub.url)
    asked: list[str] = []
    with ThreadPoolExecutor(1) as executor, closing(KubeApi(executor, 1, asked.append)) as api:
        cluster = Cluster(api, lambda: NOW)
        stub.gets(SCALE, at_scale(2))
        await cluster.scale(DEPLOYMENTS, "scan", "scan-worker", 2, 3)
        await cluster.read_pool("scan", "scan-worker")
        await cluster.read_pools(None)
        await cluster.emit_event(ABOUT, Happening("R", "m"), NOW)

    assert asked == ["get", "patch", "get", "list", "create"]


# --- read_secret ---


def secret(**data: str | None) -> Answer:
    return Answer({"metadata": {"name": "scan-secret", "resourceVersion": "7"}, "data": data})


def encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


async def test_a_secret_is_decoded_without_the_line_break_that_echo_adds(
    stub: KubeStub, cluster: Cluster
) -> None:
    stub.gets(SECRET, secret(OPENAI_API_KEY=encoded(b"sk-test\n")))

    found = await cluster.read_secret("scan", KEY.name)

    assert isinstance(found, Available)
    assert (found.at, found.source) == (NOW, "kubernetes")
    assert found.value.text(KEY.key) == SecretText("sk-test", version="7")
    assert encoded(b"sk-test\n") not in repr(found)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(secret(OTHER=encoded(PASSWORD.encode())), "has no key", id="no-such-key"),
        pytest.param(Answer({"metadata": {}}), "has no key", id="no-data"),
        pytest.param(Answer({"metadata": {}, "data": None}), "has no key", id="null-data"),
        pytest.param(secret(OPENAI_API_KEY=f"!{PASSWORD}"), "is not text", id="no-base64"),
        pytest.param(secret(OPENAI_API_KEY=f"{PASSWORD}é"), "is not text", id="no-ascii"),
        pytest.param(
            secret(OPENAI_API_KEY=encoded(PASSWORD.encode() + b"\xff")), "is not text", id="binary"
        ),
        pytest.param(secret(OPENAI_API_KEY=""), "is empty", id="empty"),
        pytest.param(secret(OPENAI_API_KEY=encoded(b" \n")), "is empty", id="white-space"),
    ],
)
async def test_a_secret_that_is_no_use_says_so_and_nothing_else(
    stub: KubeStub, cluster: Cluster, answer: Answer, words: str
) -> None:
    stub.gets(SECRET, answer)

    read = await cluster.read_secret("scan", KEY.name)
    assert isinstance(read, Available)
    found = read.value.text(KEY.key)

    assert isinstance(found, Unavailable)
    assert found.reason is Reason.SECRET_KEY_NOT_FOUND
    assert words in found.message
    assert "scan/scan-secret" in found.message
    assert "OPENAI_API_KEY" in found.message
    for leak in (PASSWORD, encoded(PASSWORD.encode())[:-2]):
        assert leak not in found.message


# --- scale ---


def at_scale(replicas: int | None) -> Answer:
    spec = {} if replicas is None else {"replicas": replicas}
    return Answer({"metadata": {"name": "scan-worker", "resourceVersion": "42"}, "spec": spec})


async def test_scaling_is_a_merge_patch_that_names_the_version_it_saw(
    stub: KubeStub, cluster: Cluster
) -> None:
    stub.gets(SCALE, at_scale(2))
    stub.answers["PATCH", SCALE] = at_scale(5)

    assert await cluster.scale(DEPLOYMENTS, "scan", "scan-worker", 2, 5) is None

    (write,) = stub.writes()
    assert (write.method, write.path) == ("PATCH", SCALE)
    assert write.content_type == "application/merge-patch+json"
    # By which it knows its own writes again.
    assert write.query == {"fieldManager": "scanpool"}
    assert write.body == {"metadata": {"resourceVersion": "42"}, "spec": {"replicas": 5}}


@pytest.mark.parametrize("cost", ["-100", None])
async def test_a_deletion_cost_is_written_or_taken_away(
    stub: KubeStub, cluster: Cluster, cost: str | None
) -> None:
    path = "/api/v1/namespaces/scan/pods/worker-1"
    stub.answers["PATCH", path] = Answer({"metadata": {"name": "worker-1"}})

    assert await cluster.set_deletion_cost("scan", "worker-1", cost) is None

    (write,) = stub.writes()
    assert (write.path, write.query) == (path, {"fieldManager": "scanpool"})
    annotations = {"controller.kubernetes.io/pod-deletion-cost": cost}
    assert write.body == {"metadata": {"annotations": annotations}}


async def test_a_scale_without_the_field_has_no_replicas(stub: KubeStub, cluster: Cluster) -> None:
    stub.gets(SCALE, at_scale(None))
    stub.answers["PATCH", SCALE] = at_scale(1)

    assert await cluster.scale(DEPLOYMENTS, "scan", "scan-worker", 0, 1) is None


async def test_replicas_that_someone_else_changed_are_left_alone(
    stub: KubeStub, cluster: Cluster
) -> None:
    stub.gets(SCALE, at_scale(7))

    found = await cluster.scale(DEPLOYMENTS, "scan", "scan-worker", 2, 5)

    assert isinstance(found, Unavailable)
    assert found.reason is Reason.SCALE_CONFLICT
    assert "from 2 to 7" in found.message
    assert stub.writes() == []


async def test_a_deployment_written_in_between_is_a_conflict(
    stub: KubeStub, cluster: Cluster
) -> None:
    stub.gets(SCALE, at_scale(2))
    stub.answers["PATCH", SCALE] = refusal(409, "please apply your changes to the latest version")

    found = await cluster.scale(DEPLOYMENTS, "scan", "scan-worker", 2, 5)

    assert isinstance(found, Unavailable)
    assert found.reason is Reason.SCALE_CONFLICT
    assert len(stub.writes()) == 1


# --- write_status and events ---


async def test_a_status_is_replaced_as_a_whole(stub: KubeStub, cluster: Cluster) -> None:
    pool = {"metadata": {"name": "scan-worker"}, "status": {"replicas": 3}}
    stub.answers["PATCH", f"{POOL}/status"] = Answer(pool)

    written = await cluster.write_status("scan", "scan-worker", lambda: {"replicas": 3})

    assert written == Available(pool, NOW, "kubernetes")
    (write,) = stub.writes()
    assert write.content_type == "application/json-patch+json"
    assert write.body == [{"op": "add", "path": "/status", "value": {"replicas": 3}}]


async def test_a_pool_is_read_as_it_is(stub: KubeStub, cluster: Cluster) -> None:
    stub.gets(POOL, Answer({"spec": {"unknown": 1}}))

    assert await cluster.read_pool("scan", "scan-worker") == Available(
        {"spec": {"unknown": 1}}, NOW, "kubernetes"
    )


@pytest.mark.parametrize(("warning", "kind"), [(False, "Normal"), (True, "Warning")])
async def test_an_event_is_what_core_v1_takes(
    stub: KubeStub, cluster: Cluster, warning: bool, kind: str
) -> None:
    stub.answers["POST", EVENTS] = Answer({})

    told = Happening("SuccessfulRescale", "m" * 2000, is_warning=warning)
    refused = await cluster.emit_event(ABOUT, told, NOW - 60)

    assert refused is None
    (write,) = stub.writes()
    event = write.body
    assert event["metadata"] == {"generateName": "scan-worker.", "namespace": "scan"}
    assert event["involvedObject"] == {
        "apiVersion": "scan.eco2.io/v1alpha1",
        "kind": "ScanWorkerPool",
        "namespace": "scan",
        "name": "scan-worker",
        "uid": "u-1",
    }
    assert (event["type"], event["reason"]) == (kind, "SuccessfulRescale")
    # The API server's bound for the message.
    assert len(event["message"]) == 1024
    assert event["firstTimestamp"] == event["lastTimestamp"]
    assert datetime.fromisoformat(event["firstTimestamp"]).timestamp() == NOW - 60
    assert event["count"] == 1
    assert event["source"] == {"component": "scanpool"}
    # What the API server demands together.
    assert event["reportingComponent"]
    assert event["reportingInstance"]


async def test_an_event_of_a_long_name_still_has_a_name_that_the_api_takes(
    stub: KubeStub, cluster: Cluster
) -> None:
    stub.answers["POST", EVENTS] = Answer({})
    name = "a" * 253

    await cluster.emit_event(Object("scan", name, "u-1"), Happening("R", "m"), NOW)

    (write,) = stub.writes()
    # The server adds five characters, and a name has 253 at most.
    assert len(write.body["metadata"]["generateName"]) <= 248
    assert write.body["involvedObject"]["name"] == name
