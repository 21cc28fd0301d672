"""One loop per pool: a tick, a wait of the polling interval, the next tick.

Loops live beside the watch stream rather than in kopf's daemons, which put a finalizer on every
object: a pool could then not be deleted while no operator runs.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from scanpool.controller.reconcile import Reconciler
from scanpool.decide import Memory
from scanpool.models.pool import Pool
from scanpool.models.units import Clock
from scanpool.report.metrics import Metrics

# A tick's reads end within 15 s and its few writes within 10 s each; longer is a defect.
TICK_TIMEOUT_SECONDS = 60.0
# Intervals without a finished tick after which a loop counts as stuck.
MISSED_INTERVALS = 3

logger = logging.getLogger(__name__)


class _Loop:
    """The loop of one pool."""

    def __init__(
        self,
        pool: Pool,
        reconciler: Reconciler,
        metrics: Metrics,
        monotonic: Clock,
        forget: Callable[["_Loop"], None],
    ) -> None:
        self._pool, self._reconciler, self._metrics = pool, reconciler, metrics
        self._monotonic, self._forget = monotonic, forget
        self._is_over, self._changed = False, asyncio.Event()
        self._finished_at = monotonic()
        self._task = asyncio.create_task(self._run(), name=pool.key)

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name of its pool."""
        return self._pool.namespace, self._pool.name

    @property
    def uid(self) -> str:
        """The object that the loop belongs to, which its name may outlive."""
        return self._pool.uid

    def update(self, pool: Pool) -> None:
        """Take the object as the API server has it; what a person changed is acted on at once."""
        if (pool.generation, pool.pause) != (self._pool.generation, self._pool.pause):
            self._changed.set()
        self._pool = pool

    def is_stuck(self) -> bool:
        """Tell whether no tick has finished for longer than any healthy one takes."""
        waited = self._monotonic() - self._finished_at
        return waited > TICK_TIMEOUT_SECONDS + MISSED_INTERVALS * self._pool.interval_seconds

    async def stop(self) -> None:
        """End the loop, its tick included."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        memory: Memory | None = None
        while True:
            self._changed.clear()
            started = self._monotonic()
            memory = await self._tick(memory)
            if self._is_over:
                logger.info("%s exists no more and is let go", self._pool.key)
                self._forget(self)
                return
            # From start to start: a slow source must not stretch the interval.
            rest = started + self._pool.interval_seconds - self._monotonic()
            # Not wait_for, which until Python 3.12 can swallow a cancellation.
            with suppress(TimeoutError):
                async with asyncio.timeout(max(rest, 0)):
                    await self._changed.wait()

    async def _tick(self, memory: Memory | None) -> Memory | None:
        """Carry out a tick. Whatever goes wrong in it, the loop goes on."""
        pool, started, outcome = self._pool, self._monotonic(), "ok"
        try:
            async with asyncio.timeout(TICK_TIMEOUT_SECONDS):
                if await self._reconciler.is_gone(pool):
                    self._is_over = True
                    return None
                after, memory = await self._reconciler.tick(pool, memory)
            if self._pool is pool:
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
        self._metrics.ticked(outcome, self._finished_at - started)
        return memory


class Loops:
    """The loops of all pools. `monotonic` tells seconds that never go back."""

    def __init__(self, reconciler: Reconciler, metrics: Metrics, monotonic: Clock) -> None:
        self._reconciler, self._metrics, self._monotonic = reconciler, metrics, monotonic
        self._loops: dict[tuple[str, str], _Loop] = {}

    async def update(self, body: Mapping[str, Any]) -> None:
        """Start the loop of a pool, or tell it that the pool has changed."""
        pool = Pool.from_body(body)
        if (loop := self._loops.get((pool.namespace, pool.name))) is not None:
            if loop.uid == pool.uid:
                loop.update(pool)
                return
            await loop.stop()
        self._loops[pool.namespace, pool.name] = _Loop(
            pool, self._reconciler, self._metrics, self._monotonic, self._forget
        )

    async def remove(self, namespace: str, name: str, uid: str) -> None:
        """End the loop of a pool that was deleted. The Deployment keeps its replicas.

        A newer object of the same name, which may be heard of first, keeps its loop.
        """
        loop = self._loops.get((namespace, name))
        if loop is not None and loop.uid == uid:
            await loop.stop()
            self._forget(loop)

    async def close(self) -> None:
        """End all loops."""
        loops = list(self._loops.values())
        self._loops.clear()
        await asyncio.gather(*(loop.stop() for loop in loops))

    def _forget(self, loop: _Loop) -> None:
        """Let go of a loop that has ended, unless another has taken its place."""
        if self._loops.get(loop.key) is loop:
            del self._loops[loop.key]
            self._metrics.forget(*loop.key)
            self._reconciler.forget(*loop.key)

    def stuck(self) -> list[str]:
        """Return namespace/name of the pools whose loop does not get on."""
        return ["/".join(key) for key, loop in self._loops.items() if loop.is_stuck()]
