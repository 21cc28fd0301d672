"""One read for all who ask for the same: pools that name one broker, key or Prometheus share it."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from scanpool.models.reading import Reading, Unavailable
from scanpool.models.units import Clock

T = TypeVar("T")

# A failed read is worth another try this soon, whatever its interval: a probe that runs once in
# ten minutes must not hold a pool for ten minutes over one lost packet.
RETRY_SECONDS = 5.0
# A read that nobody has asked for this long is forgotten, with the credentials in its key.
FORGET_SECONDS = 2 * 3600.0


@dataclass(slots=True)
class _Entry:
    task: asyncio.Task[Reading[Any]]
    started_at: float
    wanted_at: float


class SharedReads:
    """The last reading of everything that is read, by what it was read from."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # What was wanted last comes last.
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    async def get(
        self, key: Hashable, max_age: float, read: Callable[[], Awaitable[Reading[T]]]
    ) -> Reading[T]:
        """Return a reading no older than `max_age` seconds, joining one that is under way.

        A caller that gives up does not end the read for the others.
        """
        now = self._clock()
        entry = self._entries.get(key)
        if entry is None or self._is_old(entry, max_age, now):
            self._forget_unwanted(now)
            entry = _Entry(asyncio.ensure_future(read()), now, now)
            self._entries[key] = entry
        entry.wanted_at = now
        self._entries.move_to_end(key)
        return await asyncio.shield(entry.task)

    async def close(self) -> None:
        """End the reads that are under way."""
        tasks = [entry.task for entry in self._entries.values()]
        self._entries.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_old(self, entry: _Entry, max_age: float, now: float) -> bool:
        if not entry.task.done():
            return False
        failed = (
            entry.task.cancelled()
            or entry.task.exception() is not None
            or isinstance(entry.task.result(), Unavailable)
        )
        age = now - entry.started_at
        # Of the future: the clock was set back, and nothing tells how old it is.
        return age < 0 or age >= (min(max_age, RETRY_SECONDS) if failed else max_age)

    def _forget_unwanted(self, now: float) -> None:
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if now - entry.wanted_at < FORGET_SECONDS or not entry.task.done():
                return
            del self._entries[key]
