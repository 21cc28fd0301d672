"""The main job: replicas follow the queues, below what the provider allows, and people see why."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sandbox.scene import PROVIDER, Scene, amqp, llm, management, open_scene
from scanpool_sandbox.openai_provider import Provider
from scanpool_sandbox.openai_server import OpenAIServer

NAME = "scan-worker"
QUEUE = "scan.vision"
OTHERS_TOKENS_PER_MINUTE = 600_000


def usage(prometheus_url: str) -> dict[str, object]:
    """Use of the key by others, as a real Prometheus tells it."""
    query = f"vector({OTHERS_TOKENS_PER_MINUTE})"
    return {"prometheus": {"url": prometheus_url, "query": query}}


@pytest.fixture(scope="module", autouse=True)
def capped_scene(stage, rabbitmq, background, prometheus_url) -> Iterator[tuple[Scene, Provider]]:
    """A pool that wants six replicas and is kept at two: (0.85 x 2 M - 0.6 M) / 0.5 M.

    The broker's statistics of a new queue, and with them the pool's own use, come some seconds
    later; so this starts before the tests that do not need it.
    """
    server = OpenAIServer(PROVIDER)
    with background.running(server), open_scene(stage, rabbitmq) as scene:
        scene.queues.publish(QUEUE, 60)
        scene.create_deployment(NAME)
        scene.create_pool(NAME, QUEUE, llm=llm(server.base_url, usage=usage(prometheus_url)))
        yield scene, server.provider


@pytest.fixture
def capped(capped_scene) -> tuple[Scene, Provider]:
    """The same, as it is at first."""
    scene, provider = capped_scene
    provider.set_limits(tokens_per_minute=PROVIDER.tokens_per_minute)
    scene.change_pool(NAME, maxReplicas=10)
    scene.wait_own_use(NAME)
    scene.wait_status(NAME, replicas=2, readyReplicas=2, limitedBy="Tokens")
    return scene, provider


def test_replicas_follow_ready_and_unacked_messages(scene, queues) -> None:
    queues.publish(QUEUE, 25)
    scene.create_deployment(NAME)
    scene.create_pool(NAME, QUEUE)

    status = scene.wait_status(NAME, replicas=3, readyReplicas=3, desiredReplicas=3)
    assert status["backlog"] == 25
    assert status["backlogSource"] == "management"

    queues.hold(QUEUE, 25)
    queues.publish(QUEUE, 20)
    status = scene.wait_status(NAME, replicas=5, backlog=45)
    (queue,) = status["queues"]
    assert (queue["name"], queue["ready"], queue["unacked"]) == (QUEUE, 20, 25)
    assert queue["tokensWaiting"] == 45_000
    assert scene.stage.scales(scene.namespace, NAME) == [1, 3, 5]

    first, second = sorted(event["message"] for event in scene.events("SuccessfulRescale"))
    assert "Scaled Deployment scan-worker from 1 to 3" in first
    assert "queue scan.vision has 25 messages, at 10 per replica" in first
    assert "Scaled Deployment scan-worker from 3 to 5" in second


def test_without_the_management_api_only_ready_messages_count(scene, queues) -> None:
    queues.publish(QUEUE, 45)
    queues.hold(QUEUE, 20)
    scene.create_deployment(NAME)
    scene.create_pool(NAME, QUEUE, rabbitmq=amqp(QUEUE))

    status = scene.wait_status(NAME, replicas=3)
    assert status["backlogSource"] == "amqp: ready messages only, unacked ones are not visible"
    (queue,) = status["queues"]
    assert queue["ready"] == 25
    assert "unacked" not in queue


def test_observe_mode_decides_and_changes_nothing(scene, queues) -> None:
    queues.publish(QUEUE, 45)
    scene.create_deployment(NAME)
    scene.create_pool(NAME, QUEUE, mode="Observe")

    scene.wait_status(NAME, desiredReplicas=5, replicas=1)
    active = scene.wait_condition(NAME, "ScalingActive", "False", "ObserveMode")
    assert "reported, not enforced" in active["message"]
    scene.wait_condition(NAME, "Ready", "True", "Reconciled")
    # Of two pools.
    scene.stage.operator.wait_ticks(2 * 2)
    assert scene.stage.scales(scene.namespace, NAME) == [1]
    assert not scene.events("SuccessfulRescale")

    scene.change_pool(NAME, mode="Enforce")
    scene.wait_replicas(NAME, 5)
    scene.wait_condition(NAME, "ScalingActive", "True", "ScalingEnabled")


def test_a_pause_is_the_last_word_until_it_is_taken_back(scene, queues) -> None:
    queues.publish(QUEUE, 5)
    scene.create_deployment(NAME)
    scene.create_pool(NAME, QUEUE)
    scene.wait_condition(NAME, "Ready", "True")
    scene.annotate_pool(NAME, **{"scan.eco2.io/paused-scale-out": "true"})
    scene.wait_status(NAME, paused="Out")

    queues.publish(QUEUE, 40)
    scene.wait_status(NAME, backlog=45, desiredReplicas=1, limitedBy="Paused")
    active = scene.wait_condition(NAME, "ScalingActive", "True", "Paused")
    assert "scan.eco2.io/paused-scale-out" in active["message"]

    scene.annotate_pool(NAME, **{"scan.eco2.io/paused-replicas": "2"})
    scene.wait_status(NAME, paused="AtReplicas", replicas=2)
    scene.wait_condition(NAME, "ScalingActive", "False", "Paused")
    assert scene.stage.scales(scene.namespace, NAME) == [1, 2]

    off = {"scan.eco2.io/paused-replicas": None, "scan.eco2.io/paused-scale-out": None}
    scene.annotate_pool(NAME, **off)
    scene.wait_status(NAME, replicas=5, limitedBy="None")
    scene.wait_condition(NAME, "ScalingActive", "True", "ScalingEnabled")
    assert scene.status(NAME)["paused"] == "None"


def test_a_pool_starts_above_its_activation_and_ends_with_its_cooldown(scene, queues) -> None:
    queues.publish(QUEUE, 5)
    scene.create_deployment(NAME, 0)
    asked = management(QUEUE)
    asked["queues"][0]["activationMessages"] = 5
    scene.create_pool(NAME, QUEUE, minReplicas=0, cooldownSeconds=2, rabbitmq=asked)
    scene.wait_status(NAME, desiredReplicas=0, backlog=5, limitedBy="Activation")
    scene.wait_condition(NAME, "Ready", "True")

    queues.publish(QUEUE, 1)
    scene.wait_status(NAME, replicas=1, backlog=6)
    queues.purge(QUEUE)
    scene.wait_status(NAME, replicas=0, backlog=0)
    assert scene.stage.scales(scene.namespace, NAME) == [0, 1, 0]


def test_a_schedule_in_force_has_the_bounds(scene, queues) -> None:
    queues.publish(QUEUE, 60)
    scene.create_deployment(NAME)
    # It begins every minute, and ends with the year.
    always = {"name": "always", "start": "* * * * *", "end": "0 0 1 1 *", "timeZone": "Asia/Seoul"}
    scene.create_pool(NAME, QUEUE, schedules=[{**always, "minReplicas": 2, "maxReplicas": 3}])
    scene.wait_status(NAME, replicas=3, limitedBy="MaxReplicas", schedule="always")

    queues.purge(QUEUE)
    scene.wait_status(NAME, replicas=2, limitedBy="MinReplicas", schedule="always")
    scene.change_pool(NAME, schedules=[])
    scene.wait_status(NAME, replicas=1, limitedBy="MinReplicas")
    assert "schedule" not in scene.status(NAME)


def test_the_token_ceiling_binds_and_follows_the_limit(capped) -> None:
    scene, provider = capped
    status = scene.status(NAME)
    assert status["ceilings"]["tokens"] == 2
    found = status["llm"]
    assert found["limitTokensPerMinute"] == 2_000_000
    assert found["limitSource"] == "probe"
    assert found["usedTokensPerMinute"] == OTHERS_TOKENS_PER_MINUTE
    assert found["othersTokensPerMinute"] == OTHERS_TOKENS_PER_MINUTE
    assert found["headroomTokensPerMinute"] == 1_400_000
    assert found["headroomPercent"] == 70
    assert found["zone"] == "Green"
    limited = scene.condition(NAME, "ScalingLimited")
    assert (limited["status"], limited["reason"]) == ("True", "TokenCeiling")
    assert "85% of 2,000,000 TPM less 600,000 used by others" in limited["message"]

    provider.set_limits(tokens_per_minute=4_000_000)
    status = scene.wait_status(NAME, replicas=5, limitedBy="Tokens")
    assert status["ceilings"]["tokens"] == 5
    assert status["llm"]["headroomTokensPerMinute"] == 3_400_000

    provider.set_limits(tokens_per_minute=1_500_000)
    scene.wait_status(NAME, replicas=1, limitedBy="Tokens")


def test_kubectl_explains_the_spec(capped) -> None:
    scene, _ = capped
    kubectl = scene.kube.kubectl
    client = json.loads(kubectl("version", "--client", "-o", "json"))["clientVersion"]
    if int(client["gitVersion"].split(".")[1]) < 27:
        pytest.skip("this kubectl is older than OpenAPI v3")

    explained = kubectl("explain", "scanworkerpool.spec.llm.onQuotaExhausted")

    assert "ScaleToZero keeps messages waiting in the queue" in explained


def cells(head: str, row: str) -> dict[str, str]:
    """Return what stands below each heading, also where that is nothing."""
    starts = [found.start() for found in re.finditer(r"\S+", head)]
    ends = [*starts[1:], None]
    return {
        head[start:end].strip(): row[start:end].strip()
        for start, end in zip(starts, ends, strict=True)
    }


def test_kubectl_and_explain_tell_why(capped) -> None:
    scene, _ = capped
    scene.wait_condition(NAME, "Ready", "True")
    at = ("-n", scene.namespace)
    kubectl = scene.kube.kubectl

    kubectl(*at, "wait", "--for=condition=Ready", f"scanworkerpool/{NAME}", "--timeout=30s")

    head, row = kubectl(*at, "get", "swp").splitlines()
    assert head.split() == [
        "NAME", "REPLICAS", "DESIRED", "LIMITED-BY", "BACKLOG", "TPM-USED", "TPM-LIMIT",
        "HEADROOM", "ZONE", "PAUSED", "READY", "AGE",
    ]  # fmt: skip
    assert row.split()[:-1] == [
        NAME, "2", "2", "Tokens", "60", "600000", "2000000", "1400000", "Green", "None", "True",
    ]  # fmt: skip

    head, row = kubectl(*at, "get", "scanpool", NAME, "-o", "wide").splitlines()
    wide = cells(head, row)
    assert wide["LLM"] == ""
    assert (wide["MIN"], wide["MAX"], wide["TOKEN-CEILING"]) == ("1", "10", "2")
    assert (wide["MEMORY"], wide["REASON"]) == ("64Mi", "Reconciled")
    assert int(wide["REQUEST-CEILING"]) > 2
    assert int(wide["MEMORY-CEILING"]) > 2

    described = kubectl(*at, "describe", "swp", NAME)
    assert "Limited By:" in described
    assert "SuccessfulRescale" in described
    assert "Scaled Deployment scan-worker from 1 to" in described

    told = subprocess.run(
        [sys.executable, "-m", "scanpool", "explain", *at, NAME],
        env={**os.environ, "KUBECONFIG": str(scene.kube.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert f"{scene.namespace}/{NAME}: 2 replicas, 2 ready, 2 desired, limited by Tokens" in told
    assert "queue scan.vision has 60 messages, at 10 per replica" in told
    assert "What would lift it: needs 4.3 M TPM for 6 replicas." in told
    assert "Ready=True (Reconciled)" in told

    # The scale of a pool is its maxReplicas: one is now the smaller cap.
    kubectl(*at, "scale", f"swp/{NAME}", "--replicas=1")
    assert scene.pool(NAME)["spec"]["maxReplicas"] == 1
    scene.wait_status(NAME, replicas=1, limitedBy="MaxReplicas")
