"""The deadline that all readings of a tick have together."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from scanpool.models.conditions import Reason
from scanpool.models.reading import Reading, Unavailable

# Longer than any single source's own time-out: reached only by several in a row.
DEADLINE_SECONDS = 15.0


async def all_of(reads: Mapping[str, Awaitable[Reading[Any]]]) -> dict[str, Reading[Any]]:
    """Return what is read at once, by its name; what is not there in time is unavailable.

    Nothing goes on reading once this has ended, be it because it was cancelled.
    """
    tasks = {name: asyncio.ensure_future(read) for name, read in reads.items()}
    try:
        _, late = await asyncio.wait(tasks.values(), timeout=DEADLINE_SECONDS)
    finally:
        for task in tasks.values():
            task.cancel()
    return {
        name: _too_late(name) if task in late else task.result() for name, task in tasks.items()
    }


def _too_late(name: str) -> Unavailable:
    return Unavailable(
        Reason.DEADLINE_EXCEEDED,
        f"reading {name} took longer than {DEADLINE_SECONDS:.0f} s: see whether its server, or "
        "the operator's CPU, is overloaded",
    )
