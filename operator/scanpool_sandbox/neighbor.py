"""Another consumer of the same key: burns tokens at a steady rate and asks nobody."""

import asyncio
from contextlib import suppress
from typing import Self

import openai

from scanpool_sandbox.workers.calls import prompt

CONSUMER = "neighbor"
TOKENS_PER_CALL = 5_000
"""As much as a scan."""
SECONDS_PER_MINUTE = 60.0


class Neighbor:
    """Calls at a steady rate, without retries, until it is stopped.

    Args:
        base_url: with /v1.
        api_key: the key that is shared.
        model: the model whose limit is shared.
        tokens_per_minute: what it asks for; it may get less.

    Use as an async context manager.

    """

    def __init__(self, base_url: str, api_key: str, model: str, *, tokens_per_minute: int) -> None:
        self._model = model
        self._client = openai.AsyncOpenAI(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,
            default_headers={"User-Agent": CONSUMER},
        )
        self._interval = TOKENS_PER_CALL * SECONDS_PER_MINUTE / tokens_per_minute
        self._calls: set[asyncio.Task[None]] = set()
        self._burning: asyncio.Task[None] | None = None
        self.accepted = 0
        self.refused = 0

    async def __aenter__(self) -> Self:
        """Begin to burn."""
        self._burning = asyncio.create_task(self._burn())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop; calls under way are dropped, their tokens are spent."""
        tasks = [*self._calls, *([self._burning] if self._burning else [])]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        await self._client.close()

    async def _burn(self) -> None:
        """Begin a call every interval, however long the calls take."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            call = asyncio.create_task(self._call())
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
            due += self._interval
            await asyncio.sleep(due - loop.time())

    async def _call(self) -> None:
        try:
            await self._client.chat.completions.create(
                model=self._model,
                max_completion_tokens=TOKENS_PER_CALL,
                messages=[{"role": "user", "content": prompt(TOKENS_PER_CALL)}],
            )
        except openai.OpenAIError:
            self.refused += 1
        else:
            self.accepted += 1
