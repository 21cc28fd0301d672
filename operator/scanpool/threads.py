"""Calls that block, taken off the event loop into a bounded pool of threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

T = TypeVar("T")


async def in_thread(
    executor: Executor, call: Callable[..., T], *args: object, **kwargs: object
) -> T:
    """Return what `call` returns, or raise what it raises, once a thread has carried it out."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(executor, partial(call, *args, **kwargs))
