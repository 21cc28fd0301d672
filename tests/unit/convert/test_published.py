"""ScaledObjects that others run: those of the published system, and of KEDA's own samples.

Their fields are facts of public repositories; hosts and passwords are made up.
"""

from pathlib import Path

import pytest
import yaml

from keda_shapes import AMQP_URL, GENTLE, HTTP_URL, PASSWORD, SCAN, Json, trigger
from scanpool import cli


def scaled(name: str, target: str, *triggers: Json, namespace: str = "", **spec: object) -> Json:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata,
        "spec": {"scaleTargetRef": {"name": target}, "triggers": list(triggers), **spec},
    }  # fmt: skip


def login(name: str, secret: str, key: str, url: str, namespace: str = "") -> tuple[Json, Json]:
    """A TriggerAuthentication and its Secret; as in the samples, the Secret names no namespace."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    reference = {"parameter": "host", "name": secret, "key": key}
    return (
        {"apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication", "metadata": metadata,
         "spec": {"secretTargetRef": [reference]}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret},
         "stringData": {key: url}},
    )  # fmt: skip


GENTLY: Json = {
    "advanced": {
        "restoreToOriginalReplicaCount": False,
        "horizontalPodAutoscalerConfig": {"behavior": GENTLE},
    }
}
# eco2-team/backend, workloads/scaling/base/scan-worker-scaledobject.yaml
SCAN_WORKER = scaled(
    "scan-worker-scaledobject", "scan-worker",
    trigger("scan.vision", None, **SCAN, value="10"),
    trigger("scan.answer", None, **SCAN, value="10"),
    trigger("scan.rule", None, **SCAN, value="20"),
    namespace="scan", minReplicaCount=1, maxReplicaCount=10, cooldownPeriod=120,
    pollingInterval=15, **GENTLY,
)  # fmt: skip
# eco2-team/backend, workloads/domains/chat-worker/base/keda-scaledobject.yaml
CHAT_WORKER = scaled(
    "chat-worker-scaledobject", "chat-worker",
    trigger("chat.process", None, **SCAN, value="5"),
    minReplicaCount=1, maxReplicaCount=4, cooldownPeriod=300, pollingInterval=30,
    fallback={"failureThreshold": 3, "replicas": 1}, **GENTLY,
)  # fmt: skip
# kedacore/sample-go-rabbitmq, deploy/deploy-consumer.yaml
SAMPLE = (
    scaled(
        "rabbitmq-consumer", "rabbitmq-consumer",
        trigger("hello", "rabbitmq-consumer-trigger", queueLength="5"),
        namespace="default", pollingInterval=5, cooldownPeriod=30, maxReplicaCount=30,
    ),
    *login("rabbitmq-consumer-trigger", "rabbitmq-consumer-secret", "RabbitMqHost",
           AMQP_URL.removesuffix("/shop"), "default"),
)  # fmt: skip
# kedacore/sample-go-rabbitmq, deploy/deploy-consumer-job.yaml
SAMPLE_JOB: Json = {
    "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob",
    "metadata": {"name": "rabbitmq-consumer", "namespace": "default"},
    "spec": {
        "jobTargetRef": {"template": {}}, "maxReplicaCount": 30,
        "triggers": [trigger("hello", None, host="RabbitMqHost", queueLength="5")],
    },
}  # fmt: skip
# kedacore/keda-docs, the page of the RabbitMQ scaler: AMQP, HTTP, and two triggers for one queue
OF_DOCS = {"mode": "QueueLength", "value": "20"}
DOCS_AMQP = (
    scaled("rabbitmq-scaledobject", "rabbitmq-deployment",
           trigger("testqueue", "keda-trigger-auth-rabbitmq-conn", protocol="amqp", **OF_DOCS),
           namespace="default"),
    *login("keda-trigger-auth-rabbitmq-conn", "keda-rabbitmq-secret", "host", AMQP_URL, "default"),
)  # fmt: skip
DOCS_HTTP = (
    scaled("rabbitmq-scaledobject", "rabbitmq-deployment",
           trigger("testqueue", "keda-trigger-auth-rabbitmq-conn", protocol="http", **OF_DOCS),
           namespace="default"),
    *login("keda-trigger-auth-rabbitmq-conn", "keda-rabbitmq-secret", "host", HTTP_URL, "default"),
)  # fmt: skip
DOCS_BOTH = (
    scaled("rabbitmq-scaledobject", "rabbitmq-deployment",
           trigger("testqueue", "keda-trigger-auth-rabbitmq-conn", **OF_DOCS),
           trigger("testqueue", "keda-trigger-auth-rabbitmq-conn", mode="MessageRate", value="100"),
           namespace="default"),
    *login("keda-trigger-auth-rabbitmq-conn", "keda-rabbitmq-secret", "host", HTTP_URL, "default"),
)  # fmt: skip

SAME, CHANGED, REFUSED = 0, 3, 4


@pytest.mark.parametrize(
    ("objects", "code", "queues", "changed"),
    [
        pytest.param(
            (SCAN_WORKER,), SAME, {"scan.vision": 10, "scan.answer": 10, "scan.rule": 20}, [],
            id="scan-worker",
        ),
        pytest.param(
            (CHAT_WORKER,), SAME, {"chat.process": 5}, [], id="chat-worker",
        ),
        pytest.param(SAMPLE, SAME, {"hello": 5}, [], id="KEDA's sample"),
        pytest.param((SAMPLE_JOB,), REFUSED, {}, [], id="KEDA's sample of a ScaledJob"),
        pytest.param(DOCS_AMQP, SAME, {"testqueue": 20}, [], id="KEDA's docs, amqp"),
        pytest.param(DOCS_HTTP, SAME, {"testqueue": 20}, [], id="KEDA's docs, http"),
        pytest.param(
            DOCS_BOTH, CHANGED, {"testqueue": 20}, ["MessageRate"], id="KEDA's docs, depth and rate"
        ),
    ],
)  # fmt: skip
def test_what_others_run_becomes(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    objects: tuple[Json, ...],
    code: int,
    queues: dict[str, int],
    changed: list[str],
) -> None:
    path = tmp_path / "keda.yaml"
    path.write_text(yaml.safe_dump_all(objects))

    assert cli.main(["convert", "-f", str(path)]) == code

    said = capsys.readouterr()
    pools = [one for one in yaml.safe_load_all(said.out) if one is not None]
    assert {
        one["name"]: one["messagesPerReplica"]
        for pool in pools
        for one in pool["spec"]["rabbitmq"]["queues"]
    } == queues
    told = [line for line in said.err.splitlines() if "CHANGED" in line]
    assert len(told) == len(changed)
    assert all(words in line for words, line in zip(changed, told, strict=True))
    assert PASSWORD not in said.out + said.err


def test_a_namespace_that_only_kustomize_knows_is_not_made_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keda.yaml"
    path.write_text(yaml.safe_dump(CHAT_WORKER))

    cli.main(["convert", "-f", str(path)])

    said = capsys.readouterr()
    assert "namespace" not in yaml.safe_load(said.out)["metadata"]
    assert "default" not in said.out + said.err
    assert "in the namespace that the pool is applied to" in said.err
