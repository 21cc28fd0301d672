"""Run a controller: once at start, and again after every change of what it looks at."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scanpool_sandbox.kube.resources import Key
    from scanpool_sandbox.kube.store import Change, Store

_COALESCE_SECONDS = 0.01
"""Changes that come in a burst are handled in one pass."""
_REST = 2.0
"""A pass over thousands of objects takes long: the server then has twice as long for requests."""

_log = logging.getLogger(__name__)


async def run_controller(
    store: Store,
    keys: Sequence[Key | None],
    reconcile: Callable[[], None],
    resync_seconds: float | None = None,
) -> None:
    """Call `reconcile` whenever a resource in `keys` (None: any) changes; runs until cancelled.

    A pass looks at the whole state, so that it does not matter which change woke it, and a pass
    that fails is logged and made good by the next.
    """
    wake = asyncio.Event()

    def on_change(_change: Change) -> None:
        wake.set()

    stops = [store.listen(key, on_change) for key in keys]
    try:
        while True:
            wake.clear()
            began = time.monotonic()
            try:
                reconcile()
            except Exception:  # noqa: BLE001 - logged, and the next pass makes it good
                _log.exception("a pass of %s failed", reconcile)
            took = time.monotonic() - began
            # Not wait_for: before Python 3.12 it can lose a cancellation.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(resync_seconds):
                    await wake.wait()
            await asyncio.sleep(max(_COALESCE_SECONDS, _REST * took))
    finally:
        for stop in stops:
            stop()
