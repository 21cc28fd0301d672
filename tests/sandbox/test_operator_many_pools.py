"""A hundred pools on one broker."""

from sandbox.conftest import open_stage
from sandbox.counting_proxy import CountingProxy
from sandbox.kube_client import Obj
from sandbox.patience import until
from sandbox.scene import MANAGEMENT_URL, open_scene

POOLS = 100
POLLING_SECONDS = 5
TICKS_PER_READ = 2
"""At least: a look takes four reads, and serves all that tick within a fifth of an interval, which
is one read for five ticks. A slow machine stretches the rounds; unshared it were four for one."""
QUEUE = "scan.vision"
MOST_MEMORY_BYTES = 256 * 1024 * 1024
"""The limit in manifests/base."""


def test_a_hundred_pools_share_what_they_read(background, tmp_path, rabbitmq) -> None:
    proxy = CountingProxy(f"127.0.0.1:{rabbitmq.ports.management}")
    with (
        background.running(proxy),
        open_stage(background, tmp_path) as stage,
        open_scene(stage, rabbitmq) as scene,
    ):
        direct = f":{rabbitmq.ports.management}/"
        url = scene.secret(MANAGEMENT_URL).replace(direct, f":{proxy.port}/")
        scene.change_secret(**{MANAGEMENT_URL: url})
        scene.queues.publish(QUEUE, 20)
        names = [f"worker-{number}" for number in range(POOLS)]
        for name in names:
            scene.create_deployment(name)
            scene.create_pool(name, QUEUE, pollingIntervalSeconds=POLLING_SECONDS)

        def unready() -> list[str]:
            pools = scene.kube.get(scene.pools)["items"]
            ready = {pool["metadata"]["name"] for pool in pools if is_ready(pool)}
            return [name for name in names if name not in ready]

        def why() -> Obj:
            return scene.condition(unready()[0], "Ready")

        def unscaled() -> list[str]:
            return [name for name in names if stage.scales(scene.namespace, name) != [1, 2]]

        until("every pool is ready", lambda: not unready(), why)
        until("every pool is scaled", lambda: not unscaled(), unscaled)

        ticks, reads = stage.operator.ticks(), proxy.requests.total()
        assert ticks > POOLS
        assert 0 < reads * TICKS_PER_READ <= ticks
        assert stage.operator.ticks("timeout") == stage.operator.ticks("error") == 0
        assert stage.operator.peak_memory_bytes() < MOST_MEMORY_BYTES


def is_ready(pool: Obj) -> bool:
    conditions = pool.get("status", {}).get("conditions", [])
    return any((c["type"], c["status"]) == ("Ready", "True") for c in conditions)
