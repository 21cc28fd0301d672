"""What is told of idle pods that cannot be marked, and how often."""

from dataclasses import dataclass, replace

import pytest

from builders import pods, pool, seen, target, unseen
from scanpool.controller.draining import Draining
from scanpool.models.conditions import Reason
from scanpool.models.deliveries import Consuming
from scanpool.models.pool import Pool
from scanpool.models.reading import Reading, Unavailable

FOUR = target(4, [replace(one, address=f"10.0.0.{at}") for at, one in enumerate(pods(4))])
POOL = Pool.from_body({"metadata": {"namespace": "scan", "name": "pool", "uid": "uid-1"}})
FORBIDDEN = unseen(Reason.KUBERNETES_FORBIDDEN)
BUSY: Reading[tuple[Consuming, ...]] = seen((Consuming("10.0.0.0", (), 1),))


@dataclass
class World:
    """Cluster and observer in one."""

    consuming: Reading[tuple[Consuming, ...]] = BUSY
    refusal: Unavailable | None = None
    writes: int = 0

    async def read_consuming(self, *_: object) -> Reading[tuple[Consuming, ...]]:
        return self.consuming

    async def set_deletion_cost(self, *_: object) -> Unavailable | None:
        self.writes += 1
        return self.refusal


async def test_what_cannot_be_marked_is_told_once_until_it_went_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(refusal=FORBIDDEN)
    draining = Draining(world, world)  # type: ignore[arg-type]
    spec = pool()

    async def told(consuming: Reading[tuple[Consuming, ...]] = BUSY) -> int:
        world.consuming = consuming
        caplog.clear()
        await draining.prefer_idle(POOL, spec, FOUR, 2)
        return len(caplog.records)

    assert [await told(), await told()] == [1, 0]
    # Something else is in the way.
    assert [await told(unseen()), await told(unseen())] == [1, 0]
    world.refusal = None
    assert await told() == 0
    assert await told(unseen()) == 1
    draining.forget("scan/pool")
    assert await told(unseen()) == 1
    assert world.writes == 6


async def test_without_the_management_api_nobody_is_asked() -> None:
    world = World()
    usual = pool().rabbitmq
    refs = {
        "management_url_secret_ref": None,
        "url_secret_ref": usual.management_url_secret_ref,
    }
    by_amqp = usual.model_copy(update=refs)

    await Draining(world, world).prefer_idle(  # type: ignore[arg-type]
        POOL, pool(rabbitmq=by_amqp), FOUR, 2
    )

    assert world.writes == 0


@pytest.mark.parametrize(("heeding", "writes"), [(0, 0), (4, 2)])
async def test_only_pods_whose_controller_heeds_a_cost_are_marked(
    heeding: int, writes: int
) -> None:
    world = World()
    those = tuple(
        replace(one, goes_by_cost=at >= len(FOUR.pods) - heeding)
        for at, one in enumerate(FOUR.pods)
    )
    draining = Draining(world, world)  # type: ignore[arg-type]

    await draining.prefer_idle(POOL, pool(), replace(FOUR, pods=those), 2)

    assert world.writes == writes
