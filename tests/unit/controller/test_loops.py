import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from builders import pool, settled
from scanpool.controller import loops as loops_module
from scanpool.controller.loops import MISSED_INTERVALS, TICK_TIMEOUT_SECONDS, Loops
from scanpool.decide import Memory
from scanpool.models import pool as pool_module
from scanpool.models.pool import Pool
from scanpool.report.loop_metrics import LoopMetrics
from scanpool.report.metrics import Metrics
from scanpool.report.pool_status import PoolStatus

SPEC = pool().model_dump(mode="json", by_alias=True, exclude_none=True)
Tick = Callable[[Pool, Memory | None], Awaitable[tuple[Pool, Memory | None]]]


async def unchanged(pool: Pool, memory: Memory | None) -> tuple[Pool, Memory | None]:
    return pool, memory


class Ticks:
    """Stands in for the reconciler: says what each tick was given, and does what it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[Pool, Memory | None]] = []
        self.does: Tick = unchanged
        self.forgotten: list[str] = []
        self.reported: list[str] = []
        self._begun = asyncio.Condition()

    def forget(self, namespace: str, name: str) -> None:
        self.forgotten.append(f"{namespace}/{name}")

    async def tick(self, pool: Pool, memory: Memory | None) -> tuple[Pool, Memory | None]:
        async with self._begun:
            self.seen.append((pool, memory))
            self._begun.notify_all()
        return await self.does(pool, memory)

    async def report_stuck(self, pool: Pool) -> None:
        self.reported.append(pool.key)

    async def reach(self, count: int) -> None:
        """Wait until so many ticks have begun."""
        async with asyncio.timeout(30), self._begun:
            await self._begun.wait_for(lambda: len(self.seen) >= count)


class Clock:
    """Seconds that go by on their own, and that a test may move on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


def body(
    name: str = "pool", *, uid: str = "uid-1", generation: int = 1, interval: int = 3600
) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "scan", "name": name, "uid": uid, "generation": generation,
        },
        "spec": {**SPEC, "pollingIntervalSeconds": interval},
    }  # fmt: skip


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


@pytest.fixture
async def loops(
    ticks: Ticks, metrics: Metrics, registry: CollectorRegistry, clock: Clock
) -> AsyncIterator[Loops]:
    made = Loops(cast("Any", ticks), metrics, LoopMetrics(registry), clock)
    yield made
    await made.close()


def due_in_quarters(loops: Loops) -> list[int]:
    """Count the ticks that are due in each quarter of a second, whenever they begin."""
    due = [loop._due % 1 for loop in loops._loops.values()]
    return [sum(int(at * 4) == quarter for at in due) for quarter in range(4)]


async def settle() -> None:
    """Let everything run that can run without time going by."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_pool_is_ticked_at_once_and_then_at_its_interval(
    loops: Loops, ticks: Ticks
) -> None:
    began = time.monotonic()
    await loops.put(body(interval=1))
    await ticks.reach(1)
    assert time.monotonic() - began < 1

    await ticks.reach(2)
    second = time.monotonic()
    await ticks.reach(4)
    assert time.monotonic() - second >= 1.9


async def test_pools_that_begin_together_do_not_go_on_together(
    loops: Loops, ticks: Ticks, registry: CollectorRegistry
) -> None:
    """Each has a moment of its own in the interval, so that no quarter of it has most ticks."""
    pools = 100
    await loops.replace("", [body(f"p-{n}", uid=f"uid-{n}", interval=1) for n in range(pools)])
    await ticks.reach(4 * pools)

    assert max(due_in_quarters(loops)) < pools / 2
    assert registry.get_sample_value("scanpool_tick_lag_seconds_count") == len(ticks.seen)


async def test_pools_that_were_held_up_together_do_not_go_on_together(
    loops: Loops, ticks: Ticks, clock: Clock
) -> None:
    """As by a broker that answers nobody for some intervals: each keeps its own moment."""
    pools = 100
    answered = asyncio.Event()
    begun = Counter[str]()

    async def held_up(pool: Pool, memory: Memory | None) -> tuple[Pool, Memory | None]:
        begun[pool.name] += 1
        if begun[pool.name] == 2:
            await answered.wait()
        return pool, memory

    ticks.does = held_up
    await loops.replace("", [body(f"p-{n}", uid=f"uid-{n}", interval=1) for n in range(pools)])
    await ticks.reach(2 * pools)
    clock.ahead += 5.3
    answered.set()
    await ticks.reach(6 * pools)

    assert max(due_in_quarters(loops)) < pools / 2


async def test_ticks_that_are_due_at_once_do_not_all_begin_at_once(
    loops: Loops, ticks: Ticks
) -> None:
    """What one takes does not grow with how many are due: they wait before they begin."""
    pools, steps = 100, 5
    under_way, most = set[str](), list[int]()

    async def steps_of_readings(pool: Pool, memory: Memory | None) -> tuple[Pool, Memory | None]:
        under_way.add(pool.name)
        most.append(len(under_way))
        for _ in range(steps):
            await asyncio.sleep(0)
        under_way.discard(pool.name)
        return pool, memory

    await loops.replace("", [body(f"p-{n}", uid=f"uid-{n}") for n in range(pools)])
    await ticks.reach(pools)
    ticks.does = steps_of_readings
    loops.wake()
    await ticks.reach(2 * pools)

    # As many as begin while one gets on, and not a hundred.
    assert steps // 2 <= max(most) <= 2 * steps


async def test_a_tick_that_waits_for_its_source_keeps_no_other_from_beginning(
    loops: Loops, ticks: Ticks
) -> None:
    async def never(pool: Pool, memory: Memory | None) -> tuple[Pool, Memory | None]:
        await asyncio.Event().wait()
        return pool, memory

    ticks.does = never
    await loops.replace("", [body(f"p-{n}", uid=f"uid-{n}") for n in range(10)])

    await ticks.reach(10)


async def test_a_slow_tick_does_not_stretch_the_interval(
    loops: Loops, ticks: Ticks, clock: Clock
) -> None:
    async def slow(pool: Pool, memory: Memory | None) -> tuple[Pool, Memory | None]:
        clock.ahead += 3600
        return pool, memory

    ticks.does = slow
    await loops.put(body(interval=3600))

    # Each tick takes the whole interval: the next is due when it ends.
    await ticks.reach(3)


async def test_a_tick_gets_what_the_one_before_has_left(loops: Loops, ticks: Ticks) -> None:
    after, memory = Pool.from_body({**body(), "status": {"replicas": 3}}), settled(3)

    async def leave(_: Pool, __: Memory | None) -> tuple[Pool, Memory | None]:
        return after, memory

    ticks.does = leave
    await loops.put(body(interval=1))
    await ticks.reach(1)
    await settle()
    await loops.put({**body(generation=2), "status": {"replicas": 3}})
    await ticks.reach(2)

    assert ticks.seen[0][1] is None
    assert ticks.seen[1][1] is memory
    assert ticks.seen[1][0].status == {"replicas": 3}


async def test_a_new_spec_is_acted_on_at_once(loops: Loops, ticks: Ticks) -> None:
    await loops.put(body())
    await ticks.reach(1)

    await loops.put(body(generation=2))
    await ticks.reach(2)

    assert ticks.seen[-1][0].generation == 2


async def test_a_shorter_interval_counts_from_the_change_on(loops: Loops, ticks: Ticks) -> None:
    await loops.put(body(interval=3600))
    await ticks.reach(1)
    await settle()

    await loops.put(body(generation=2, interval=1))
    await ticks.reach(4)

    assert [pool.generation for pool, _ in ticks.seen] == [1, 2, 2, 2]


@pytest.mark.parametrize(
    ("annotations", "ticked"),
    [({"scan.eco2.io/paused": "true"}, True), ({"kubectl.kubernetes.io/note": "x"}, False)],
)
async def test_a_pause_is_acted_on_at_once_and_no_other_annotation(
    loops: Loops, ticks: Ticks, annotations: dict[str, str], ticked: bool
) -> None:
    await loops.put(body())
    await ticks.reach(1)
    await settle()
    changed = body()
    changed["metadata"]["annotations"] = annotations
    await loops.put(changed)
    await settle()
    assert len(ticks.seen) == (2 if ticked else 1)


async def test_a_new_spec_during_a_tick_is_acted_on_after_it(loops: Loops, ticks: Ticks) -> None:
    go_on = asyncio.Event()

    async def wait(pool: Pool, memory: Memory | None) -> tuple[Pool, Memory | None]:
        await go_on.wait()
        return pool, memory

    ticks.does = wait
    await loops.put(body())
    await ticks.reach(1)
    await loops.put(body(generation=2))
    go_on.set()
    await ticks.reach(2)

    assert [pool.generation for pool, _ in ticks.seen] == [1, 2]


async def test_a_new_spec_that_the_tick_itself_meets_is_acted_on_at_once(
    loops: Loops, ticks: Ticks
) -> None:
    """The status write returns the object, which may be newer than what the watch has told."""

    async def meet(_: Pool, memory: Memory | None) -> tuple[Pool, Memory | None]:
        return Pool.from_body(body(generation=2)), memory

    ticks.does = meet
    await loops.put(body())
    await ticks.reach(2)
    await loops.put(body(generation=2))
    await settle()

    assert [pool.generation for pool, _ in ticks.seen] == [1, 2]


async def test_an_event_that_changes_no_spec_wakes_nobody(loops: Loops, ticks: Ticks) -> None:
    await loops.put(body())
    await ticks.reach(1)

    await loops.put({**body(), "status": {"replicas": 3}})
    await settle()

    assert len(ticks.seen) == 1


async def test_a_spec_that_cannot_be_read_is_looked_at_again(
    loops: Loops, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "DEFAULT_INTERVAL_SECONDS", 0.01)

    await loops.put({**body(), "spec": {}})

    await ticks.reach(3)


def outcomes(registry: CollectorRegistry) -> dict[str, float | None]:
    return {
        outcome: registry.get_sample_value("scanpool_ticks_total", {"outcome": outcome})
        for outcome in ("ok", "timeout", "error")
    }


async def test_a_tick_that_raises_does_not_end_the_loop(
    loops: Loops, ticks: Ticks, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail_once(_: Pool, __: Memory | None) -> tuple[Pool, Memory | None]:
        ticks.does = unchanged
        raise RuntimeError("a defect")

    ticks.does = fail_once
    await loops.put(body(interval=1))
    await ticks.reach(2)
    await settle()

    assert outcomes(registry) == {"ok": 1, "timeout": 0, "error": 1}
    assert "A tick of scan/pool failed" in caplog.text
    assert "RuntimeError: a defect" in caplog.text


async def test_a_tick_that_hangs_is_given_up(
    loops: Loops,
    ticks: Ticks,
    registry: CollectorRegistry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def hang_once(pool: Pool, memory: Memory | None) -> tuple[Pool, Memory | None]:
        ticks.does = unchanged
        await asyncio.Event().wait()
        return pool, memory

    monkeypatch.setattr(loops_module, "TICK_TIMEOUT_SECONDS", 0.05)
    ticks.does = hang_once
    await loops.put(body(interval=1))
    await ticks.reach(2)
    await settle()

    assert outcomes(registry) == {"ok": 1, "timeout": 1, "error": 0}
    assert "was given up" in caplog.text


async def test_the_memory_survives_a_tick_that_fails(loops: Loops, ticks: Ticks) -> None:
    memory = settled(3)

    async def learn(pool: Pool, _: Memory | None) -> tuple[Pool, Memory | None]:
        ticks.does = fail
        return pool, memory

    async def fail(_: Pool, __: Memory | None) -> tuple[Pool, Memory | None]:
        ticks.does = unchanged
        raise RuntimeError("a defect")

    ticks.does = learn
    await loops.put(body())
    await ticks.reach(1)
    for generation in (2, 3):
        await loops.put(body(generation=generation))
        await ticks.reach(generation)

    assert [seen for _, seen in ticks.seen] == [None, memory, memory]


async def test_another_object_of_the_same_name_starts_anew(loops: Loops, ticks: Ticks) -> None:
    async def learn(pool: Pool, _: Memory | None) -> tuple[Pool, Memory | None]:
        return pool, settled(3)

    ticks.does = learn
    await loops.put(body())
    await ticks.reach(1)
    await loops.put(body(uid="uid-2"))
    await ticks.reach(2)

    assert ticks.seen[1][0].uid == "uid-2"
    assert ticks.seen[1][1] is None


def shown(registry: CollectorRegistry) -> set[str]:
    return {
        sample.labels["pool"]
        for metric in registry.collect()
        for sample in metric.samples
        if "pool" in sample.labels
    }


async def test_a_pool_that_is_removed_is_ticked_and_shown_no_more(
    loops: Loops, ticks: Ticks, metrics: Metrics, registry: CollectorRegistry
) -> None:
    ended = asyncio.Event()

    async def hang(pool: Pool, _: Memory | None) -> tuple[Pool, Memory | None]:
        metrics.record(pool.namespace, pool.name, PoolStatus(replicas=3))
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        ended.set()
        raise asyncio.CancelledError

    ticks.does = hang
    await loops.put(body())
    await loops.put(body("other", uid="uid-2"))
    await ticks.reach(2)
    await settle()
    assert shown(registry) == {"pool", "other"}

    await loops.drop(body(uid="uid-1"))

    assert ended.is_set()
    assert shown(registry) == {"other"}
    assert ticks.forgotten == ["scan/pool"]


async def test_the_end_of_an_object_does_not_end_its_successor(loops: Loops, ticks: Ticks) -> None:
    await loops.put(body(uid="uid-1"))
    await loops.put(body(uid="uid-2"))

    # kopf has a queue per object: the older one's end may be handled last.
    await loops.drop(body(uid="uid-1"))
    await ticks.reach(1)
    count = len(ticks.seen)
    await loops.put(body(uid="uid-2", generation=2))

    await ticks.reach(count + 1)


@pytest.mark.parametrize("turns", range(8))
async def test_a_pool_that_is_removed_just_as_it_wakes_is_removed(
    loops: Loops, ticks: Ticks, turns: int
) -> None:
    await loops.put(body())
    await ticks.reach(1)
    await settle()
    await loops.put(body(generation=2))
    for _ in range(turns):
        await asyncio.sleep(0)

    async with asyncio.timeout(10):
        await loops.drop(body(uid="uid-1"))

    assert not [task for task in asyncio.all_tasks() if task.get_name() == "scan/pool"]


async def test_removing_a_pool_that_never_was_is_no_matter(loops: Loops) -> None:
    await loops.drop(body(uid="uid-1"))


async def test_what_the_watch_tells_after_the_end_begins_nothing(
    loops: Loops, ticks: Ticks
) -> None:
    """A tick that begins then holds up the end of the process, and acts without its Lease."""
    await loops.put(body())
    await ticks.reach(1)
    await loops.close()

    await loops.put(body(generation=2))
    await loops.replace("", [body(), body("other", uid="uid-2")])
    await settle()

    assert len(ticks.seen) == 1


async def test_closing_ends_every_tick(loops: Loops, ticks: Ticks) -> None:
    async def hang(pool: Pool, memory: Memory | None) -> tuple[Pool, Memory | None]:
        await asyncio.Event().wait()
        return pool, memory

    ticks.does = hang
    for name in ("a", "b", "c"):
        await loops.put(body(name))
    await ticks.reach(3)

    await loops.close()

    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("scan/")]


async def hang_if_stuck(pool: Pool, memory: Memory | None) -> tuple[Pool, Memory | None]:
    if pool.name == "stuck":
        await asyncio.Event().wait()
    return pool, memory


def restarts(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("scanpool_loop_restarts_total")


@pytest.mark.parametrize("interval", [1, 3600])
async def test_a_loop_that_does_not_get_on_is_started_anew_alone_and_reported(
    loops: Loops, ticks: Ticks, clock: Clock, registry: CollectorRegistry, interval: int
) -> None:
    ticks.does = hang_if_stuck
    await loops.put(body("stuck", interval=interval))
    await ticks.reach(1)
    patience = TICK_TIMEOUT_SECONDS + MISSED_INTERVALS * interval

    clock.ahead = patience - 1
    await loops.restart_stuck()
    assert (ticks.reported, restarts(registry)) == ([], 0)
    clock.ahead = patience + 1
    await loops.put(body("fine", interval=interval))
    await loops.restart_stuck()
    assert (ticks.reported, restarts(registry)) == (["scan/stuck"], 1)

    before = len(ticks.seen)
    await ticks.reach(before + 2)
    assert "stuck" in [pool.name for pool, _ in ticks.seen[1:]]


async def test_a_tick_that_cannot_be_ended_does_not_keep_its_pool_from_starting_anew(
    loops: Loops, ticks: Ticks, clock: Clock
) -> None:
    release = asyncio.Event()

    async def stubborn(pool: Pool, memory: Memory | None) -> tuple[Pool, Memory | None]:
        ticks.does = unchanged
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()
        return pool, memory

    ticks.does = stubborn
    await loops.put(body())
    await ticks.reach(1)
    clock.ahead = 1_000_000
    await loops.restart_stuck()

    await ticks.reach(2)
    release.set()


async def test_the_process_gets_on_while_any_pool_does(
    loops: Loops, ticks: Ticks, clock: Clock
) -> None:
    ticks.does = hang_if_stuck
    await loops.put(body("stuck"))
    await ticks.reach(1)
    clock.ahead = 1_000_000
    assert not loops.is_getting_on()

    await loops.put(body("fine", uid="uid-2"))
    await ticks.reach(2)
    await settle()
    assert loops.is_getting_on()


async def test_a_process_without_pools_gets_on(loops: Loops, clock: Clock) -> None:
    clock.ahead = 1_000_000

    assert loops.is_getting_on()


async def test_a_loop_that_gets_on_is_not_stuck(loops: Loops, ticks: Ticks, clock: Clock) -> None:
    await loops.put(body(interval=1))
    await ticks.reach(1)
    await settle()
    clock.ahead = 1_000_000
    await loops.put(body(interval=1, generation=2))
    await ticks.reach(2)
    await settle()
    await loops.restart_stuck()

    assert ticks.reported == []


@pytest.mark.parametrize("namespace", ["", "scan"])
async def test_a_pool_that_vanished_unseen_is_ticked_no_more(
    loops: Loops, ticks: Ticks, metrics: Metrics, registry: CollectorRegistry, namespace: str
) -> None:
    await loops.put(body("gone"))
    await loops.put(body("kept", uid="uid-2"))
    await ticks.reach(2)
    for name in ("gone", "kept"):
        metrics.record("scan", name, PoolStatus(replicas=3))

    await loops.replace(namespace, [body("kept", uid="uid-2", generation=2)])
    await ticks.reach(3)

    assert [pool.name for pool, _ in ticks.seen[2:]] == ["kept"]
    assert shown(registry) == {"kept"}


async def test_another_namespaces_list_ends_no_loop(loops: Loops, ticks: Ticks) -> None:
    await loops.put(body())
    await ticks.reach(1)

    await loops.replace("other", [])
    await loops.put(body(generation=2))

    await ticks.reach(2)


async def test_what_a_write_has_answered_is_no_news_from_the_watch(
    loops: Loops, ticks: Ticks
) -> None:
    def written(version: str, generation: int) -> dict[str, Any]:
        told = body(generation=generation)
        told["metadata"]["resourceVersion"] = version
        return told

    async def write(pool: Pool, memory: Memory | None) -> tuple[Pool, Memory | None]:
        return pool.changed(written("8", 1)), memory

    ticks.does = write
    await loops.put(written("7", 1))
    await ticks.reach(1)
    await settle()
    await loops.put(written("8", 2))
    await settle()
    assert len(ticks.seen) == 1

    await loops.put(written("9", 2))
    await ticks.reach(2)


async def test_what_a_tick_has_written_stays_as_it_knows_it_when_the_watch_tells_it_first(
    loops: Loops, ticks: Ticks
) -> None:
    """An older CRD prunes some of it: to take that for the status would be news at each tick."""
    first = body()
    first["metadata"]["resourceVersion"] = "7"
    told = body()
    told["metadata"]["resourceVersion"] = "8"
    status = PoolStatus(replicas=3)

    async def write(pool: Pool, memory: Memory | None) -> tuple[Pool, Memory | None]:
        await loops.put({**told, "status": {}})
        return replace(pool.changed(told), status=status), memory

    ticks.does = write
    await loops.put(first)
    await ticks.reach(1)
    await settle()
    loops.wake()
    await ticks.reach(2)

    assert ticks.seen[1][0].status is status
