"""Run a controller: once for each of its objects, and again after every change that concerns it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from scanpool_sandbox.kube.resources import Key
    from scanpool_sandbox.kube.store import Change, Store

T = TypeVar("T", bound=Hashable)
"""What a controller calls the objects that it looks after."""

_COALESCE_SECONDS = 0.01
"""Changes that come in a burst are handled in one pass."""
_REST = 2.0
"""After a pass that took long, the server has twice as long for requests."""
_AT_ONCE = 50
"""Objects that a pass looks at: some tens of milliseconds."""
_RETRY_SECONDS = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Controller(Generic[T]):
    """Looks after objects, one at a time.

    `concerned` tells which of them a change concerns, by the resource that changes (None: any).
    `everything` lists them all, for the start. `reconcile` brings one a step closer to what is
    wanted, from what is stored and not from what has changed; it returns in how many seconds it has
    to look again though nothing changes, or None.
    """

    concerned: Mapping[Key | None, Callable[[Change], Iterable[T]]]
    everything: Callable[[], Iterable[T]]
    reconcile: Callable[[T], float | None]


async def run_controller(store: Store, controller: Controller[T]) -> None:
    """Reconcile whatever is concerned by a change; runs until cancelled.

    An object that fails is logged and tried again, and holds up no other.
    """
    queue: _Queue[T] = _Queue()
    stops = [
        store.listen(key, partial(queue.hear, concerned))
        for key, concerned in controller.concerned.items()
    ]
    try:
        queue.add(controller.everything())
        took = 0.0
        while True:
            await queue.is_filled()
            await asyncio.sleep(max(_COALESCE_SECONDS, _REST * took))
            began = time.monotonic()
            for item in queue.take(_AT_ONCE):
                seconds = _attempt(controller, item)
                if seconds is not None:
                    queue.add_later(item, seconds)
            took = time.monotonic() - began
    finally:
        for stop in stops:
            stop()
        queue.close()


def _attempt(controller: Controller[T], item: T) -> float | None:
    try:
        return controller.reconcile(item)
    except Exception:  # noqa: BLE001 - logged, and made good later
        _log.exception("%s failed for %s", controller.reconcile, item)
        return _RETRY_SECONDS


class _Queue(Generic[T]):
    """What to look at, each once however often it is added, the longest waiting first."""

    def __init__(self) -> None:
        self._waiting: dict[T, None] = {}
        self._later: dict[T, asyncio.TimerHandle] = {}
        self._filled = asyncio.Event()

    def hear(self, concerned: Callable[[Change], Iterable[T]], change: Change) -> None:
        self.add(concerned(change))

    def add(self, items: Iterable[T]) -> None:
        for item in items:
            self._waiting[item] = None
            self._filled.set()

    def add_later(self, item: T, seconds: float) -> None:
        """Add an item when the time is over; only the last such time counts."""
        if item in self._later:
            self._later[item].cancel()
        self._later[item] = asyncio.get_running_loop().call_later(seconds, self._ripen, item)

    def _ripen(self, item: T) -> None:
        del self._later[item]
        self.add([item])

    async def is_filled(self) -> None:
        await self._filled.wait()

    def take(self, most: int) -> list[T]:
        taken = list(self._waiting)[:most]
        for item in taken:
            del self._waiting[item]
        if not self._waiting:
            self._filled.clear()
        return taken

    def close(self) -> None:
        for timer in self._later.values():
            timer.cancel()
