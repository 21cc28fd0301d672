"""Whether a pool is acted on or only followed: by whether this process leads at that moment."""

from scanpool.controller.reconcile import Reconciler
from scanpool.decide import Memory
from scanpool.kube.fence import Fence
from scanpool.models.pool import Pool
from scanpool.report.metrics import Metrics


class Duty:
    """The reconciler as the loops use it. A standby works like a leader whose hands are tied.

    It reads, learns and decides each tick, so that its first one as the leader may act: it knows
    what was recommended all through the stabilization window.
    """

    def __init__(self, reconciler: Reconciler, fence: Fence, metrics: Metrics) -> None:
        self._reconciler, self._fence, self._metrics = reconciler, fence, metrics
        # Pools whose memory was last made by following.
        self._followed: set[str] = set()

    async def tick(self, pool: Pool, memory: Memory | None) -> tuple[Pool, Memory | None]:
        """Act on a pool, or follow it; return it with the memory for its next tick."""
        if not self._fence.is_open:
            if self._fence.is_shut:
                # Whoever leads shows it. Where nobody does for a while, what was last seen stays.
                self._metrics.forget(pool.namespace, pool.name)
            self._followed.add(pool.key)
            return pool, await self._reconciler.follow(pool, memory)
        if pool.key in self._followed:
            memory = self._reconciler.heard(pool, memory)
            self._followed.discard(pool.key)
        return await self._reconciler.tick(pool, memory)

    async def report_stuck(self, pool: Pool) -> None:
        """Say that a pool's ticks did not end, if that is this process's to say."""
        if self._fence.is_open:
            await self._reconciler.report_stuck(pool)

    def forget(self, namespace: str, name: str) -> None:
        """Let go of a pool that was deleted."""
        self._followed.discard(f"{namespace}/{name}")
        self._reconciler.forget(namespace, name)
