"""The operator as KEDA asks it: a process with `--keda-port`, whose pools observe."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any

import grpc
import pytest

from keda_client import KedaClient, scaled_object
from sandbox.operator_process import Operator
from sandbox.patience import until
from sandbox.scene import PER_REPLICA, Scene, llm
from sandbox.stage import HOME, Stage
from scanpool_sandbox.openai_server import OpenAIServer
from scanpool_sandbox.processes import free_port

PATIENCE_SECONDS = 60.0
MESSAGES = 200
BOUND, IDLE, UNKNOWN = "bound", "idle", "unknown"
Code = grpc.StatusCode


@contextmanager
def connected(port: int) -> Iterator[KedaClient]:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield KedaClient(channel)


@pytest.fixture(scope="module")
def port(stage: Stage) -> Iterator[int]:
    """Where the operator of all tests answers KEDA for once."""
    port = free_port()
    stage.operator.stop()
    try:
        stage.operator.start("--keda-port", str(port))
        yield port
    finally:
        stage.operator.stop()
        stage.operator.start()


@pytest.fixture
def keda(port: int) -> Iterator[KedaClient]:
    with connected(port) as client:
        yield client


def answer(keda: KedaClient, scene: Scene, pool: str) -> tuple[float, bool] | Code:
    """Return the ceiling and the activity that KEDA hears, or how it is refused both."""
    asked = scaled_object(scene.namespace, "anything", pool=pool)
    options: dict[str, Any] = {"timeout": PATIENCE_SECONDS, "wait_for_ready": True}
    try:
        (value,) = keda.metrics(asked, **options).metricValues
        active = keda.call("IsActive", asked, **options).result
    except grpc.RpcError as error:
        code: Code = error.code()  # type: ignore[attr-defined]
        return code
    return value.metricValueFloat, active


def wait_answer(
    keda: KedaClient, scene: Scene, pool: str, expected: tuple[float, bool] | Code
) -> None:
    until(
        f"KEDA hears {expected} of {pool}",
        lambda: answer(keda, scene, pool) == expected,
        lambda: (answer(keda, scene, pool), scene.status(pool)),
    )


def test_a_scaled_object_is_capped_and_the_pool_keeps_its_hands_off(
    scene: Scene, keda: KedaClient, provider: OpenAIServer
) -> None:
    scene.create_deployment(BOUND)
    scene.queues.publish(BOUND, MESSAGES)
    scene.create_pool(BOUND, BOUND, mode="Observe", llm=llm(provider.base_url))
    status = scene.wait_status(BOUND, limitedBy="Tokens", backlog=MESSAGES)
    most = status["ceilings"]["tokens"]
    assert 1 < most < MESSAGES / PER_REPLICA

    # As KEDA's formula has it, min(queue / 10, ceiling), and the HPA with a target of 1.
    wait_answer(keda, scene, BOUND, (most, True))
    wanted = ceil(min(MESSAGES / PER_REPLICA, most) / 1)
    scene.set_replicas(BOUND, wanted)
    scene.wait_status(BOUND, replicas=wanted)
    wait_answer(keda, scene, BOUND, (most, True))

    assert scene.stage.scale_writes(scene.namespace) == []
    scene.change_pool(BOUND, mode="Enforce")
    wait_answer(keda, scene, BOUND, Code.FAILED_PRECONDITION)


def test_an_idle_pool_wakes_nobody_until_something_waits(scene: Scene, keda: KedaClient) -> None:
    scene.create_deployment(IDLE, replicas=0)
    scene.queues.publish(IDLE, 0)
    scene.create_pool(IDLE, IDLE, mode="Observe", minReplicas=0, maxReplicas=7)

    wait_answer(keda, scene, IDLE, (7, False))
    stream = keda.call(
        "StreamIsActive", scaled_object(scene.namespace, IDLE), timeout=PATIENCE_SECONDS
    )
    assert next(stream).result is False
    scene.queues.publish(IDLE, MESSAGES)
    assert next(stream).result is True
    assert answer(keda, scene, IDLE) == (7, True)
    stream.cancel()


def test_what_is_unknown_or_another_namespaces_is_no_number(scene: Scene, keda: KedaClient) -> None:
    scene.create_deployment(UNKNOWN)
    scene.queues.publish(UNKNOWN, 1)
    silent = f"http://127.0.0.1:{free_port()}"
    scene.create_pool(UNKNOWN, UNKNOWN, mode="Observe", llm=llm(silent))

    wait_answer(keda, scene, UNKNOWN, Code.UNAVAILABLE)
    wait_answer(keda, scene, "nobodys", Code.NOT_FOUND)
    theirs = scaled_object("elsewhere", UNKNOWN, namespace=scene.namespace)
    with pytest.raises(grpc.RpcError) as refused:
        keda.call("IsActive", theirs, timeout=PATIENCE_SECONDS)
    assert refused.value.code() is Code.PERMISSION_DENIED  # type: ignore[attr-defined]

    scene.kube.delete(f"{scene.pools}/{UNKNOWN}")
    wait_answer(keda, scene, UNKNOWN, Code.NOT_FOUND)


def test_only_the_replica_that_leads_can_be_connected_to(
    scene: Scene, keda: KedaClient, port: int, tmp_path: Path
) -> None:
    stage, other_port = scene.stage, free_port()
    scene.create_deployment(IDLE)
    scene.queues.publish(IDLE, 0)
    scene.create_pool(IDLE, IDLE, mode="Observe", maxReplicas=7)
    wait_answer(keda, scene, IDLE, (7, True))
    standby = Operator(
        tmp_path / "standby",
        stage.emulator.write_kubeconfig(
            tmp_path / "kubeconfig", stage.emulator.token_for(HOME, "scanpool"), HOME
        ),
        "--keda-port",
        str(other_port),
    )
    try:
        standby.start()
        standby.wait_ticks(2)
        assert not standby.leads()
        with connected(other_port) as other:
            assert is_unavailable(other, scene)

            stage.operator.stop()
            wait_answer(other, scene, IDLE, (7, True))
            assert is_unavailable(keda, scene)
    finally:
        standby.stop()
        stage.operator.start("--keda-port", str(port))
    assert "Traceback" not in standby.log


def is_unavailable(keda: KedaClient, scene: Scene) -> bool:
    try:
        keda.call("IsActive", scaled_object(scene.namespace, IDLE), timeout=30)
    except grpc.RpcError as error:
        return bool(error.code() is Code.UNAVAILABLE)  # type: ignore[attr-defined]
    return False
