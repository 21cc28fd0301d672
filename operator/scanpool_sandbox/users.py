"""Users of a pipeline: they submit scans, or chats, and count what comes back.

Results are told apart by the scan's id: a task that was redelivered may end twice, and counts as a
duplicate then, not as a second completion.
"""

import asyncio
import itertools
import math
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self

from kombu.exceptions import OperationalError

from scanpool_sandbox.pipeline import SCANS, Pipeline, Result
from scanpool_sandbox.results import Results
from scanpool_sandbox.workers.app import new_pipeline_app, task


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

    def __init__(self, broker_url: str, pipeline: Pipeline = SCANS) -> None:
        self._pipeline = pipeline
        self._app = new_pipeline_app(pipeline, broker_url)
        self._results = Results(self._app, pipeline, self._count)
        # Celery publishes in the thread that asks: one, and in the order of asking.
        self._publishing = ThreadPoolExecutor(max_workers=1)
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

    async def __aenter__(self) -> Self:
        """Connect, declare the queues, and listen for results."""
        await self._results.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect; what is still to be published is given up."""
        await self._results.close()
        await asyncio.to_thread(self._publishing.shutdown)
        self._app.close()

    async def submit(self, number: int) -> None:
        """Publish scans at once, and return when the broker has taken all of them."""
        await self._publish([f"{self._prefix}-{next(self._numbers)}" for _ in range(number)])

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
            await self._publish([scan_id])
            given_up_at = time.monotonic() + profile.timeout_seconds
            while scan_id not in self._outcomes:
                if time.monotonic() >= given_up_at:
                    self._timed_out += 1
                    break
                if time.monotonic() >= end:
                    return
                await asyncio.sleep(profile.poll_seconds)

    async def _publish(self, scan_ids: Sequence[str]) -> None:
        now = time.monotonic()
        self._submitted_at |= dict.fromkeys(scan_ids, now)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._publishing, self._publish_all, scan_ids)

    def _publish_all(self, scan_ids: Iterable[str]) -> None:
        """Publish, however long the broker is away; one that came twice counts once."""
        for scan_id in scan_ids:
            while not self._results.closed:
                try:
                    task(self._app, self._pipeline, scan_id).apply_async()
                except OperationalError:
                    continue
                break

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
