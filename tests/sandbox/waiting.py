"""Wait for a condition of the emulator, and no longer than anybody would."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.02


async def until(probe: Callable[[], Any]) -> Any:
    """Return what the probe, plain or async, says once it is true."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = probe()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(_POLL_SECONDS)
