"""What the demo sees: the pool, its Deployment, the users and the provider, twice a second."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from scanpool_sandbox.demo.screen import Sample, Screen
from scanpool_sandbox.demo.world import NAMESPACE, World
from scanpool_sandbox.pipeline import CHATS, SCANS

POOL, TARGET = "scan-worker", "scan-worker"
POOLS_PATH = "/apis/scan.eco2.io/v1alpha1/scanworkerpools"
"""All of the demo's; a pool that is not there yet is none of them."""
TARGET_PATH = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{TARGET}"
WORKERS = (SCANS.consumer, CHATS.consumer)
OPERATOR_USER = "system:serviceaccount:scanpool-system:scanpool"

SAMPLE_SECONDS = 0.5
STEP_SECONDS = 120.0
"""Most waits take less than half of this, the one for the breaker's slow start more; after all of
it something is wrong."""
SETTLE_SECONDS = 10.0
"""Most of a usage window: what is shown then is nearly the use of the replicas that run, and 429s
had their time to show."""


class Watch:
    """The pool as the API server has it, and everything beside it that the story tells of."""

    def __init__(self, world: World, screen: Screen) -> None:
        self._world = world
        self._screen = screen
        self._started = time.monotonic()
        self._pools: dict[str, dict[str, Any]] = {}
        self.peak_replicas = 0

    @property
    def seconds(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self._started

    @property
    def status(self) -> dict[str, Any]:
        """The pool's status when it was last looked at."""
        return self._status_of(POOL)

    @property
    def second(self) -> dict[str, Any]:
        """The second pool's status when it was last looked at."""
        return self._status_of(CHATS.consumer)

    def _status_of(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self._pools.get(name, {}).get("status", {})
        return status

    @property
    def spec(self) -> dict[str, Any]:
        """The pool's spec when it was last looked at."""
        spec: dict[str, Any] = self._pools[POOL]["spec"]
        return spec

    @property
    def demand(self) -> int:
        """Replicas that the queues ask for, from the ladder in the status."""
        steps = {step["step"]: step["after"] for step in self.status["steps"]}
        return int(steps["demand"])

    def llm(self, field: str) -> int | None:
        """Return a figure of status.llm, tokens per minute; None if it is not known."""
        value = self.status.get("llm", {}).get(field)
        return None if value is None else int(value)

    def condition(self, kind: str) -> str | None:
        """Return a condition's status."""
        conditions = self.status.get("conditions", [])
        return next((each["status"] for each in conditions if each["type"] == kind), None)

    def calls(self) -> tuple[int, int]:
        """Return the workers' calls and how many hit a rate limit, as the provider counts them."""
        consumers = self._world.openai.provider.ledger.consumers
        tallies = [consumers[name] for name in WORKERS if name in consumers]
        return (
            sum(tally.calls for tally in tallies),
            sum(tally.rate_limited.total() for tally in tallies),
        )

    async def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Watch until something holds.

        Raises:
            TimeoutError: naming it, if it does not come about.

        """
        deadline = time.monotonic() + STEP_SECONDS
        with self._screen:
            while True:
                await self._look()
                if self.status and holds():
                    return
                if time.monotonic() > deadline:
                    raise TimeoutError(f"waited {STEP_SECONDS:.0f} s in vain until {what}")
                await asyncio.sleep(SAMPLE_SECONDS)

    async def settle(self) -> None:
        """Watch for a while, so that what is wrong has the time to show."""
        deadline = time.monotonic() + SETTLE_SECONDS
        with self._screen:
            while time.monotonic() < deadline:
                await asyncio.sleep(SAMPLE_SECONDS)
                await self._look()

    async def first_scale_after(self, at: float) -> float | None:
        """Return when the operator first wrote a scale after a time, by the API server's audit.

        Both in seconds since the epoch; None if it wrote none.
        """
        entries = await self._world.get("/sandbox/audit")
        writes = (
            entry["time"]
            for entry in entries
            if entry["subresource"] == "scale"
            and entry["verb"] == "patch"
            and entry["user"] == OPERATOR_USER
            and entry["time"] >= at
        )
        return min(writes, default=None)

    async def _look(self) -> None:
        listed = await self._world.get(POOLS_PATH)
        self._pools = {pool["metadata"]["name"]: pool for pool in listed["items"]}
        target = await self._world.get(TARGET_PATH)
        replicas = target["spec"]["replicas"]
        self.peak_replicas = max(self.peak_replicas, replicas)
        calls, refused = self.calls()
        self._screen.show(
            Sample(
                seconds=self.seconds,
                replicas=replicas,
                ready=target.get("status", {}).get("readyReplicas", 0),
                desired=self.status.get("desiredReplicas"),
                limited_by=self.status.get("limitedBy", "-"),
                backlog=self.status.get("backlog"),
                used=self.llm("usedTokensPerMinute"),
                limit=self.llm("limitTokensPerMinute"),
                headroom=self.llm("headroomTokensPerMinute"),
                completed=self._world.users.counts().completed,
                calls=calls,
                refused=refused,
            )
        )
