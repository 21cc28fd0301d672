"""Stands for election as long as the process lives, and opens the fence while it leads."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from math import inf
from typing import NamedTuple

from scanpool.kube.fence import Fence
from scanpool.kube.leases import Leases
from scanpool.lead import election
from scanpool.lead.election import Candidate, Seen
from scanpool.models.conditions import Reason
from scanpool.models.lease import NOBODY, Lease
from scanpool.models.reading import Unavailable
from scanpool.models.units import Clock

# Forbidden to see a Lease that was never seen, a process asks for it this often.
ASK_AGAIN_SECONDS = 60.0

logger = logging.getLogger(__name__)


class Clocks(NamedTuple):
    """`wall` tells seconds since the epoch, for people; `monotonic` ones that never go back."""

    wall: Clock
    monotonic: Clock


class Told(NamedTuple):
    """Whom to tell that this process begins to lead, and that it does not any more."""

    gained: Callable[[], None]
    lost: Callable[[], None]


class Elector:
    """Takes the Lease when it is free, renews it, and gives it back at the end.

    A process that is refused the Lease, and has never seen it, leads without one after as long as a
    Lease lasts: there may be no other, and whoever had it has stopped by then.
    """

    def __init__(
        self, leases: Leases, candidate: Candidate, fence: Fence, clocks: Clocks, told: Told
    ) -> None:
        self._leases, self._fence, self._clocks, self._told = leases, fence, clocks, told
        self._me, self._terms = candidate, candidate.terms
        self._lease = f"Lease {leases.namespace}/{leases.name}"
        self._seen, self._leads, self._is_alone = Seen(), False, False
        self._refused_since: float | None = None
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to stand for election."""
        self._task = asyncio.create_task(self._run(), name="election")

    async def close(self) -> None:
        """Stop leading: no write begins any more, and then the Lease is given back."""
        self._fence.shut()
        self._over.set()
        if self._task is not None:
            await self._task
        self._fence.shut()
        if (held := self._held) is None:
            return
        # What is on its way must have arrived before another process may write.
        wait = self._fence.wait_until_idle
        if not await asyncio.to_thread(wait, self._terms.renew_seconds):
            logger.warning("A write is still under way; %s is left to run out", self._lease)
            return
        lease = election.given_back(held, self._stamp())
        given = await self._leases.write(lease)
        if isinstance(given, Unavailable):
            logger.warning("%s was not given back: %s", self._lease, given.message)
        else:
            logger.info("%s was given back", self._lease)

    @property
    def _held(self) -> Lease | None:
        """The Lease, if this process is the last that is known to have written it."""
        lease = self._seen.lease
        return lease if lease is not None and lease.holder == self._me.name else None

    async def _run(self) -> None:
        while not self._over.is_set():
            wait = self._terms.retry_seconds
            try:
                wait = await self.attempt()
            except Exception:
                # A defect: what is held runs out, unless the next attempt fares better.
                logger.exception("An attempt at %s failed", self._lease)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._over.wait()

    async def attempt(self) -> float:
        """Look at the Lease, and take or renew it; return in how many seconds to do so again."""
        # Its holder knows what it wrote, and hears of a conflict if that is not so any more.
        trouble = None if self._held else await self._look()
        if trouble is None and election.may_take(self._seen, self._clocks.monotonic()):
            trouble = await self._bid()
        if trouble is not None:
            return self._without_answer(trouble)
        self._refused_since = None
        holder = NOBODY if self._seen.lease is None else self._seen.lease.holder
        if holder not in (NOBODY, self._me.name) and not self._fence.is_shut:
            self._step_down(f"{self._lease} is held by {holder}")
        return election.wait_seconds(self._seen, self._terms, self._clocks.monotonic())

    async def _look(self) -> Unavailable | None:
        found = await self._leases.read()
        if isinstance(found, Unavailable):
            return found
        if self._is_alone:
            self._is_alone = False
            self._step_down(f"{self._lease} can be seen now")
        self._seen = election.look(self._seen, found, self._me, self._clocks.monotonic())
        return None

    async def _bid(self) -> Unavailable | None:
        """Write the Lease. It counts from before it was sent; for others, from after it came."""
        began = self._clocks.monotonic()
        lease = election.bid(self._seen, self._me, self._stamp())
        written = await self._leases.write(lease)
        if isinstance(written, Unavailable):
            is_gone = written.reason is Reason.NOT_FOUND and lease.version
            if is_gone or written.reason is Reason.SCALE_CONFLICT:
                # Changed, made or deleted meanwhile: what it is now says who leads.
                return await self._look()
            return written
        self._seen = Seen(written, mine_until=began + self._terms.seconds)
        if not self._over.is_set():
            self._act(began + self._terms.renew_seconds, began + self._terms.seconds)
        return None

    def _without_answer(self, trouble: Unavailable) -> float:
        """Let what is held run out; lead without the Lease where it was never to be seen."""
        now = self._clocks.monotonic()
        if self._leads and not self._fence.is_open:
            self._leads = False
            self._told.lost()
            logger.warning(
                "%s was not renewed in time, and nothing is changed any more: %s",
                self._lease,
                trouble.message,
            )
        if trouble.reason is not Reason.KUBERNETES_FORBIDDEN or self._seen.lease is not None:
            self._refused_since = None
            return self._terms.retry_seconds
        if self._refused_since is None:
            self._refused_since = now
        if self._is_alone:
            return ASK_AGAIN_SECONDS
        if now - self._refused_since < self._terms.seconds:
            return self._terms.retry_seconds
        self._is_alone = True
        logger.warning(
            "Leading without %s, which is well if no other replica runs: %s; or run it with "
            "--leader-elect=false",
            self._lease,
            trouble.message,
        )
        self._act(inf, inf)
        return ASK_AGAIN_SECONDS

    def _act(self, acts_until: float, ends_at: float) -> None:
        self._fence.open_until(acts_until, ends_at)
        if not self._leads:
            self._leads = True
            logger.info("This process leads (%s, as %s)", self._lease, self._me.name)
            self._told.gained()

    def _step_down(self, why: str) -> None:
        self._fence.shut()
        if self._leads:
            self._leads = False
            logger.warning("This process leads no more: %s", why)
            self._told.lost()

    def _stamp(self) -> str:
        """Return the time of day as the API writes it in Leases: to the microsecond."""
        now = datetime.fromtimestamp(self._clocks.wall(), UTC)
        return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
