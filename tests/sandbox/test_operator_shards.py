"""Two operators that part the pools between them, and a key that both get to see."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.operator_process import Operator
from sandbox.patience import until
from sandbox.scene import KEY, Scene, llm, open_scene
from sandbox.stage import HOME, Stage
from scanpool.kube.accounts import NAME as ACCOUNT
from scanpool_sandbox.openai_server import OpenAIServer
from scanpool_sandbox.rabbitmq_server import RabbitMQServer

SHARDS = ("a", "b")


@pytest.fixture
def shards(stage: Stage, tmp_path: Path) -> Iterator[dict[str, Operator]]:
    """The two, in the place of the operator of all other tests."""
    single = stage.operator
    single.stop()
    kubeconfig = stage.emulator.write_kubeconfig(tmp_path / "kubeconfig", namespace=HOME)
    made = {
        shard: Operator(
            tmp_path / shard, kubeconfig, "--selector", f"shard={shard}",
            "--lease", f"scanpool-{shard}",
        )
        for shard in SHARDS
    }  # fmt: skip
    stage.operator = made["a"]
    try:
        for operator in made.values():
            operator.start()
        yield made
        for operator in made.values():
            assert operator.stop() == 0
            assert "Traceback" not in operator.log
    finally:
        for operator in made.values():
            operator.kill()
        stage.operator = single
        single.start()


@pytest.fixture
def scene(stage: Stage, shards: dict[str, Operator], rabbitmq: RabbitMQServer) -> Iterator[Scene]:
    assert len(shards) == len(SHARDS)
    with open_scene(stage, rabbitmq) as scene:
        yield scene


def create(scene: Scene, name: str, shard: str, **changes: object) -> None:
    scene.create_deployment(name)
    pool = scene.pool_object(name, name, **changes)
    pool["metadata"]["labels"] = {"shard": shard}
    scene.kube.post(scene.pools, pool)


def test_each_works_its_pools_and_a_key_in_two_is_told_of(
    scene: Scene, shards: dict[str, Operator], provider: OpenAIServer
) -> None:
    for shard in SHARDS:
        scene.queues.publish(shard, 20)
        create(scene, shard, shard, llm=llm(provider.base_url))
    scene.queues.publish("alone", 20)
    create(scene, "alone", "a")

    for name in (*SHARDS, "alone"):
        scene.wait_replicas(name, 2)
    for shard, operator in shards.items():
        other = next(one for one in SHARDS if one != shard)
        told = scene.wait_condition(shard, "KeySplit", "True", "KeyInOtherShards")
        assert f"is used by pools of scanpool-{other}, too" in told["message"]
        assert f'pool="{shard}"' in operator.metrics()
        assert f'pool="{other}"' not in operator.metrics()
    assert scene.condition("alone", "KeySplit") == {}

    account = scene.kube.get(f"/api/v1/namespaces/{HOME}/configmaps/{ACCOUNT}")["data"]
    assert set(account) == {"salt", "scanpool-a", "scanpool-b"}
    assert KEY not in str(account)

    # A pool that is given to the shard of its key: the key is in one again.
    pool = f"{scene.pools}/b"
    scene.kube.patch(pool, {"metadata": {"labels": {"shard": "a"}}})
    until("b's pool has changed hands", lambda: 'pool="b"' in shards["a"].metrics())
    until("and is let go", lambda: 'pool="b"' not in shards["b"].metrics())
    until("both have one budget", lambda: claimants(scene, "b") == [f"{scene.namespace}/a"])
    scene.wait_condition("a", "KeySplit", "False", "KeyInOneShard")
    scene.wait_condition("b", "KeySplit", "False", "KeyInOneShard")


def claimants(scene: Scene, name: str) -> list[str]:
    """The other pools that a pool shares its key's limit with."""
    budget = scene.status(name).get("llm", {}).get("budget", {})
    return [one["pool"] for one in budget.get("others", [])]
