"""One loop per pool: a tick, a wait of the polling interval, the next tick.

Loops live beside the watch stream rather than in kopf's daemons, which put a finalizer on every
object: a pool could then not be deleted while no operator runs.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from scanpool.metrics import Metrics
from scanpool.models.memory import Memory
from scanpool.models.reading import Unavailable
from scanpool.reconcile import Pool, Reconciler, parse

# A tick's reads end within 15 s and its few writes within 10 s each; longer is a defect.
TICK_TIMEOUT_SECONDS = 60.0
# For a spec that cannot be read, whose own interval is unknown.
DEFAULT_INTERVAL_SECONDS = 10.0
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
        monotonic: Callable[[], float],
        forget: Callable[["_Loop"], None],
    ) -> None:
        self._pool = pool
        self._forget = forget
        self._is_over = False
        self._reconciler = reconciler
        self._metrics = metrics
        self._monotonic = monotonic
        self._changed = asyncio.Event()
        self._finished_at = monotonic()
        self._task = asyncio.create_task(self._run(), name=f"{pool.namespace}/{pool.name}")

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name of its pool."""
        return self._pool.namespace, self._pool.name

    @property
    def uid(self) -> str:
        """The object that the loop belongs to, which its name may outlive."""
        return self._pool.uid

    def update(self, pool: Pool) -> None:
        """Take the object as the API server now has it; a new spec is acted on at once."""
        if pool.generation != self._pool.generation:
            self._changed.set()
        self._pool = pool

    def is_stuck(self) -> bool:
        """Tell whether no tick has finished for longer than any healthy one takes."""
        waited = self._monotonic() - self._finished_at
        return waited > TICK_TIMEOUT_SECONDS + MISSED_INTERVALS * self._interval()

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
                logger.info("%s/%s exists no more and is let go", *self.key)
                self._forget(self)
                return
            # From start to start: a slow source must not stretch the interval.
            rest = started + self._interval() - self._monotonic()
            # Not wait_for, which until Python 3.12 can swallow a cancellation.
            with suppress(TimeoutError):
                async with asyncio.timeout(max(rest, 0)):
                    await self._changed.wait()

    async def _tick(self, memory: Memory | None) -> Memory | None:
        """Carry out a tick. Whatever goes wrong in it, the loop goes on."""
        pool, started = self._pool, self._monotonic()
        outcome = "ok"
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
                "A tick of %s/%s took longer than %.0f s and was given up",
                pool.namespace, pool.name, TICK_TIMEOUT_SECONDS,
            )  # fmt: skip
        except Exception:
            # A defect of the operator: its trace is what a report needs, and the pool holds.
            outcome = "error"
            logger.exception("A tick of %s/%s failed", pool.namespace, pool.name)
        self._finished_at = self._monotonic()
        self._metrics.ticked(outcome, self._finished_at - started)
        return memory

    def _interval(self) -> float:
        spec = parse(self._pool)
        if isinstance(spec, Unavailable):
            return DEFAULT_INTERVAL_SECONDS
        return float(spec.polling_interval_seconds)


class Loops:
    """The loops of all pools. `monotonic` tells seconds that never go back."""

    def __init__(
        self, reconciler: Reconciler, metrics: Metrics, monotonic: Callable[[], float]
    ) -> None:
        self._reconciler = reconciler
        self._metrics = metrics
        self._monotonic = monotonic
        self._loops: dict[tuple[str, str], _Loop] = {}

    async def update(self, body: Mapping[str, Any]) -> None:
        """Start the loop of a pool, or tell it that the pool has changed."""
        pool = Pool.from_body(body)
        loop = self._loops.get((pool.namespace, pool.name))
        if loop is not None and loop.uid == pool.uid:
            loop.update(pool)
            return
        if loop is not None:
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
        return [
            f"{namespace}/{name}"
            for (namespace, name), loop in self._loops.items()
            if loop.is_stuck()
        ]
