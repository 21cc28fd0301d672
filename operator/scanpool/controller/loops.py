"""One loop per pool: a tick, a wait of the polling interval, the next tick.

Loops live beside the watch rather than in kopf's daemons, which put a finalizer on every object: a
pool could then not be deleted while no operator runs.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from zlib import crc32

from scanpool.controller.duty import Duty
from scanpool.decide import Memory
from scanpool.models.pool import Pool
from scanpool.models.units import Clock
from scanpool.report.loop_metrics import LoopMetrics
from scanpool.report.metrics import Metrics

# A tick's reads end within 15 s and its few writes within 10 s each; longer is a defect.
TICK_TIMEOUT_SECONDS = 60.0
# Intervals without a finished tick after which a loop counts as stuck.
MISSED_INTERVALS = 3
# How often to look for loops that are stuck; they are for more than a minute before.
WATCHDOG_SECONDS = 10.0
# Between the first ticks of pools that come together, as at a start: about what a tick computes.
FIRST_TICKS_SECONDS = 0.005
# crc32 has so many values.
HASHES = 2**32

logger = logging.getLogger(__name__)


class _Shared(NamedTuple):
    """What the loops of a process have in common; `monotonic` tells seconds.

    Whoever holds `turn` may begin a tick: one begins in each turn of the event loop. Where there
    are more than the process has CPU for, each then waits before it begins, and takes no longer
    than ever: all at once, they would hold each other up until their readings are out of time.
    """

    duty: Duty
    metrics: LoopMetrics
    monotonic: Clock
    turn: asyncio.Lock


class _Loop:
    """The loop of one pool. Its first tick is due at `due`, on the clock of all."""

    def __init__(
        self, pool: Pool, due: float, shared: _Shared, finished: Callable[[], None]
    ) -> None:
        self.pool = pool
        self._duty, self._metrics, self._monotonic, self._turn = shared
        self._finished = finished
        self._changed = asyncio.Event()
        self._due = due
        self._finished_at = self._monotonic()
        self._task = asyncio.create_task(self._run(), name=pool.key)

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name of its pool."""
        return self.pool.namespace, self.pool.name

    def update(self, pool: Pool) -> None:
        """Take the object as the API server has it; what a person changed is acted on at once."""
        if (pool.generation, pool.pause) != (self.pool.generation, self.pool.pause):
            self._changed.set()
        self.pool = pool

    def wake(self) -> None:
        """Tick at once, or again as soon as the tick that is under way has ended."""
        self._changed.set()

    def is_stuck(self) -> bool:
        """Tell whether no tick has finished for longer than any healthy one takes."""
        waited = self._monotonic() - self._finished_at
        return waited > TICK_TIMEOUT_SECONDS + MISSED_INTERVALS * self.pool.interval_seconds

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._task.done()

    def abandon(self) -> None:
        """End the loop, and its tick as soon as that can be ended."""
        self._task.cancel()

    async def stop(self) -> None:
        """End the loop, its tick included."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        memory: Memory | None = None
        is_first = True
        while True:
            # Not wait_for, which until Python 3.12 can swallow a cancellation.
            with suppress(TimeoutError):
                async with asyncio.timeout(max(self._due - self._monotonic(), 0)):
                    await self._changed.wait()
            async with self._turn:
                await asyncio.sleep(0)
            if self._changed.is_set():
                self._changed.clear()
            else:
                self._metrics.began(self._monotonic() - self._due)
            started = self._monotonic()
            memory = await self._tick(memory)
            self._due = self._next(started, is_first=is_first)
            is_first = False

    def _next(self, started: float, *, is_first: bool) -> float:
        """Return when the next tick is due.

        From start to start: a slow source must not stretch the interval. After the first tick
        comes each pool's own moment within the interval, and it keeps that: those that began
        together, or that one source held up for longer than the interval, do not go on together.
        """
        interval = self.pool.interval_seconds
        if is_first:
            return started + interval * crc32(self.pool.uid.encode()) / HASHES
        if started < self._due:
            # A change came first, of the interval perhaps. Never at once again.
            return started + ((self._due - started) % interval or interval)
        missed = (started - self._due) // interval
        return self._due + (1 + missed) * interval

    async def _tick(self, memory: Memory | None) -> Memory | None:
        """Carry out a tick. Whatever goes wrong in it, the loop goes on."""
        pool, started, outcome = self.pool, self._monotonic(), "ok"
        try:
            async with asyncio.timeout(TICK_TIMEOUT_SECONDS):
                after, memory = await self._duty.tick(pool, memory)
            # Of what it has written the watch may have told first, and less than the tick knows.
            if self.pool is pool or self.pool.is_same(after):
                self.update(after)
        except TimeoutError:
            outcome = "timeout"
            logger.error(  # noqa: TRY400 - where it was waiting says less than that it waited
                "A tick of %s took longer than %.0f s and was given up",
                pool.key,
                TICK_TIMEOUT_SECONDS,
            )
        except Exception:
            # A defect of the operator: its trace is what a report needs, and the pool holds.
            outcome = "error"
            logger.exception("A tick of %s failed", pool.key)
        self._finished_at = self._monotonic()
        self._finished()
        self._metrics.ticked(outcome, self._finished_at - started)
        return memory


class Loops:
    """The loops of all pools. `monotonic` tells seconds that never go back."""

    def __init__(
        self,
        duty: Duty,
        metrics: Metrics,
        loop_metrics: LoopMetrics,
        monotonic: Clock,
    ) -> None:
        self._duty, self._metrics, self._loop_metrics = duty, metrics, loop_metrics
        self._monotonic = monotonic
        self._shared = _Shared(duty, loop_metrics, monotonic, asyncio.Lock())
        self._loops: dict[tuple[str, str], _Loop] = {}
        self._abandoned: list[_Loop] = []
        self._next_first = monotonic()
        self._got_on_at = monotonic()
        self._is_closed = False

    async def replace(self, namespace: str, objects: Iterable[Mapping[str, Any]]) -> None:
        """Take all pools of a namespace, of all of them if it is empty.

        Those that are not among them are gone, which no event may have told: what is deleted while
        a watch is broken, or in the moment in which the CRD goes, is never heard of.
        """
        there = set()
        for body in objects:
            await self.put(body)
            there.add((body["metadata"]["namespace"], body["metadata"]["name"]))
        for loop in list(self._loops.values()):
            if namespace in ("", loop.key[0]) and loop.key not in there:
                logger.info("%s exists no more and is let go", loop.pool.key)
                await self._end(loop)

    async def put(self, body: Mapping[str, Any]) -> None:
        """Start the loop of a pool, or tell it that the pool has changed."""
        metadata = body["metadata"]
        loop = self._loops.get((metadata["namespace"], metadata["name"]))
        if loop is not None and loop.pool.uid == metadata["uid"]:
            # The answer to a write comes twice: to the writer, and by the watch.
            if not loop.pool.is_of(body):
                loop.update(loop.pool.changed(body))
            return
        if loop is not None:
            await loop.stop()
        self._begin(Pool.from_body(body))

    async def drop(self, body: Mapping[str, Any]) -> None:
        """End the loop of a pool that was deleted. The Deployment keeps its replicas."""
        metadata = body["metadata"]
        loop = self._loops.get((metadata["namespace"], metadata["name"]))
        if loop is not None and loop.pool.uid == metadata["uid"]:
            await self._end(loop)

    def wake(self) -> None:
        """Tick every pool at once: this process has begun to lead."""
        for loop in self._loops.values():
            loop.wake()

    async def close(self) -> None:
        """End all loops, and begin none any more: the watch of pools may end later."""
        self._is_closed = True
        loops = [*self._loops.values(), *self._abandoned]
        self._loops.clear()
        await asyncio.gather(*(loop.stop() for loop in loops))

    async def watch(self) -> None:
        """Start loops anew that are stuck, each alone, until cancelled."""
        while True:
            await asyncio.sleep(WATCHDOG_SECONDS)
            await self.restart_stuck()

    async def restart_stuck(self) -> None:
        """Start the loops anew that do not get on, and say so in their pools' conditions."""
        stuck = [loop for loop in self._loops.values() if loop.is_stuck()]
        for loop in stuck:
            logger.error("No tick of %s has finished in time: its loop starts anew", loop.pool.key)
            loop.abandon()
            self._abandoned.append(loop)
            self._loop_metrics.restarted()
            self._begin(loop.pool)
        self._abandoned = [loop for loop in self._abandoned if not loop.is_over]
        for loop in stuck:
            await self._duty.report_stuck(loop.pool)

    def is_getting_on(self) -> bool:
        """Tell whether ticks finish, of any pool, if there is one.

        Those that were started anew get their chance: it takes twice as long as for one to be
        stuck.
        """
        if not self._loops:
            return True
        interval = min(loop.pool.interval_seconds for loop in self._loops.values())
        patience = 2 * TICK_TIMEOUT_SECONDS + MISSED_INTERVALS * interval
        return self._monotonic() - self._got_on_at <= patience

    def _begin(self, pool: Pool) -> None:
        if self._is_closed:
            return
        now = self._monotonic()
        if not self._loops:
            self._got_on_at = now
        self._next_first = max(self._next_first + FIRST_TICKS_SECONDS, now)
        self._loops[pool.namespace, pool.name] = _Loop(
            pool, self._next_first, self._shared, self._get_on
        )

    def _get_on(self) -> None:
        self._got_on_at = self._monotonic()

    async def _end(self, loop: _Loop) -> None:
        await loop.stop()
        if self._loops.get(loop.key) is loop:
            del self._loops[loop.key]
            self._metrics.forget(*loop.key)
            self._duty.forget(*loop.key)
