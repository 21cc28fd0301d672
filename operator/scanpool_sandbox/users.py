"""Users of the scan pipeline: they submit scans and count what comes back.

Results are told apart by the scan's id: a task that was redelivered may end twice, and counts as a
duplicate then, not as a second completion.
"""

import asyncio
import itertools
import math
import secrets
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Self

from scanpool_sandbox.amqp import ConnectionLostError, Delivery, Session
from scanpool_sandbox.amqp_link import Link
from scanpool_sandbox.pipeline import RESULTS_QUEUE, VISION, Result, encode_task

PREFETCH = 200
PUBLISHED_AT_ONCE = 200
"""Enough to hide the confirms' round trips, few enough to leave the loop to others."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Scans so far. `in_flight` neither completed nor failed; if all is quiet, they are lost.

    `timed_out` are those a virtual user gave up on, whatever became of them later.
    """

    submitted: int = 0
    completed: int = 0
    failed: int = 0
    duplicates: int = 0
    timed_out: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def in_flight(self) -> int:
        """Submitted, and nothing was heard of them."""
        return self.submitted - self.completed - self.failed


@dataclass(frozen=True, slots=True)
class LoadProfile:
    """A closed loop of users: each submits a scan, polls until it ends, and submits the next.

    The defaults are those of the load tests this sandbox imitates.
    """

    users: int
    ramp_up_seconds: float = 30.0
    hold_seconds: float = 120.0
    ramp_down_seconds: float = 30.0
    poll_seconds: float = 2.0
    timeout_seconds: float = 300.0


class Users:
    """Submits scans and consumes their results. Use as an async context manager."""

    def __init__(self, broker_url: str) -> None:
        self._link = Link(
            broker_url, prefetch=PREFETCH, prepare=self._consume, abandon=lambda: None
        )
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._submitted_at: dict[str, float] = {}
        self._outcomes: dict[str, Result] = {}
        self._seconds: list[float] = []
        self._statuses: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._duplicates = 0
        self._timed_out = 0
        self._news = asyncio.Event()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Connect, and declare the pipeline's queues."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._link)
            await self._link.session()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._stack.aclose()

    async def submit(self, number: int) -> None:
        """Publish scans at once, and return when the broker has taken all of them."""
        scan_ids = [f"{self._prefix}-{next(self._numbers)}" for _ in range(number)]
        for first in range(0, number, PUBLISHED_AT_ONCE):
            chunk = scan_ids[first : first + PUBLISHED_AT_ONCE]
            await asyncio.gather(*(self._publish(scan_id) for scan_id in chunk))

    def counts(self) -> Counts:
        """Return the counts so far."""
        return Counts(
            submitted=len(self._submitted_at),
            completed=self._statuses["completed"],
            failed=self._statuses["failed"],
            duplicates=self._duplicates,
            timed_out=self._timed_out,
            reasons=dict(self._reasons),
        )

    def e2e_seconds(self, percentile: float) -> float:
        """Return a percentile of the time from submission to completion; NaN if none completed.

        Args:
            percentile: from 0 to 100; nearest rank.

        """
        if not self._seconds:
            return math.nan
        ranked = sorted(self._seconds)
        rank = math.ceil(percentile / 100 * len(ranked))
        return ranked[max(rank, 1) - 1]

    async def wait_all(self, timeout_seconds: float) -> Counts:
        """Return the counts once nothing is in flight.

        Raises:
            TimeoutError: if something still is.

        """
        async with asyncio.timeout(timeout_seconds):
            while self.counts().in_flight:
                await self._next_news()
        return self.counts()

    async def run(self, profile: LoadProfile) -> Counts:
        """Run a closed loop of users to its end. Scans in flight then are left to `wait_all`."""
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for begin, end in _shifts(profile):
                group.create_task(self._use(profile, start + begin, start + end))
        return self.counts()

    async def _use(self, profile: LoadProfile, begin: float, end: float) -> None:
        """Be one user between two instants."""
        await asyncio.sleep(begin - time.monotonic())
        while time.monotonic() < end:
            scan_id = f"{self._prefix}-{next(self._numbers)}"
            await self._publish(scan_id)
            given_up_at = time.monotonic() + profile.timeout_seconds
            while scan_id not in self._outcomes:
                if time.monotonic() >= given_up_at:
                    self._timed_out += 1
                    break
                if time.monotonic() >= end:
                    return
                await asyncio.sleep(profile.poll_seconds)

    async def _publish(self, scan_id: str) -> None:
        self._submitted_at[scan_id] = time.monotonic()
        while True:
            session = await self._link.session()
            try:
                return await session.publish(VISION.queue, encode_task(scan_id))
            except ConnectionLostError:
                continue  # it may have arrived: then it is done twice and counted once

    async def _consume(self, session: Session) -> None:
        await session.declare_pipeline()

        def on_result(delivery: Delivery) -> None:
            self._count(Result.decode(delivery.body))
            session.acknowledge(delivery)

        await session.consume(RESULTS_QUEUE, on_result)

    def _count(self, result: Result) -> None:
        submitted_at = self._submitted_at.get(result.scan_id)
        if submitted_at is None:
            return  # left over from users before us
        if result.scan_id in self._outcomes:
            self._duplicates += 1
            return
        self._outcomes[result.scan_id] = result
        self._statuses[result.status] += 1
        if result.status == "completed":
            self._seconds.append(time.monotonic() - submitted_at)
        else:
            self._reasons[result.reason] += 1
        self._news.set()

    async def _next_news(self) -> None:
        self._news.clear()
        await self._news.wait()


def _shifts(profile: LoadProfile) -> Iterable[tuple[float, float]]:
    """Yield each user's first and last second: first come, first gone."""
    steady = profile.ramp_up_seconds + profile.hold_seconds
    for user in range(profile.users):
        share = user / profile.users
        yield share * profile.ramp_up_seconds, steady + share * profile.ramp_down_seconds
