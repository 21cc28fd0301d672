import asyncio

import pytest

from scanpool.models.reading import Available, Reading
from scanpool.observe import in_time


async def test_nothing_goes_on_reading_once_a_tick_was_cancelled() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def for_ever() -> Reading[int]:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return Available(1, at=0.0, source="never")

    tick = asyncio.create_task(in_time.all_of({"queues": for_ever()}))
    await begun.wait()
    tick.cancel()
    with pytest.raises(asyncio.CancelledError):
        await tick
    async with asyncio.timeout(5):
        await ended.wait()
