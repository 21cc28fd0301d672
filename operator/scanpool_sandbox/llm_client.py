"""A client of the LLM provider that retries as OpenAI's SDK does."""

import asyncio
import random
from typing import Any, Self

import httpx

from scanpool_sandbox.openai_wire import Endpoint

SDK_RETRIES = 2
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 8.0
JITTER = 0.25
LONGEST_OBEYED_WAIT_SECONDS = 60.0
"""The SDK's own figures: delays double from the first to the longest, shortened by up to a
quarter, unless the answer names a wait of at most a minute."""

RETRIED_STATUSES = frozenset({408, 409, 429})
FIRST_SERVER_ERROR = 500

CALL_TIMEOUT_SECONDS = 120.0
INPUT_SHARE = 2 / 3
"""How much of a call's tokens is input."""
FOUR_CHARACTERS = "scan"
"""What the provider estimates at one token."""


class CallFailedError(Exception):
    """A call was not answered with a completion; the text is the error's code."""

    def __init__(
        self, code: str, *, retryable: bool, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(code)
        self.code = code
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds


class LLMClient:
    """Calls that cost a given number of tokens.

    Args:
        base_url: with /v1, as in OPENAI_BASE_URL.
        api_key: sent as the Bearer token.
        model: the model to ask for.
        consumer: sent as the User-Agent, by which the sandbox's provider tells consumers apart.

    Use as an async context manager.

    """

    def __init__(self, base_url: str, api_key: str, model: str, *, consumer: str) -> None:
        self._model = model
        self._prompts: dict[int, str] = {}
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {api_key}", "User-Agent": consumer},
            timeout=CALL_TIMEOUT_SECONDS,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            # Loading the trusted authorities costs a light process a tenth of a second.
            verify=base_url.startswith("https"),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def call(self, endpoint: Endpoint, tokens: int) -> None:
        """Make one call that is charged exactly `tokens`.

        Raises:
            CallFailedError: if there is no completion.

        """
        try:
            answer = await self._client.post(endpoint, json=self._body(endpoint, tokens))
        except httpx.HTTPError as error:
            raise CallFailedError(type(error).__name__, retryable=True) from error
        if not answer.is_success:
            raise _failure(answer)

    async def call_with_retries(self, endpoint: Endpoint, tokens: int) -> None:
        """Make up to three calls, as the SDK does by default.

        Raises:
            CallFailedError: the last one's failure.

        """
        for attempt in range(SDK_RETRIES):
            try:
                return await self.call(endpoint, tokens)
            except CallFailedError as failure:
                if not failure.retryable:
                    raise
                await asyncio.sleep(sdk_delay_seconds(attempt, failure.retry_after_seconds))
        return await self.call(endpoint, tokens)

    def _body(self, endpoint: Endpoint, tokens: int) -> dict[str, Any]:
        prompt = self._prompts.get(tokens)
        if prompt is None:
            prompt = FOUR_CHARACTERS * int(tokens * INPUT_SHARE)
            self._prompts[tokens] = prompt
        if endpoint == "responses":
            content = [{"type": "input_text", "text": prompt}]
            question = [{"role": "user", "content": content}]
            return {"model": self._model, "input": question, "max_output_tokens": tokens}
        messages = [{"role": "user", "content": prompt}]
        return {"model": self._model, "messages": messages, "max_completion_tokens": tokens}


def sdk_delay_seconds(attempt: int, retry_after_seconds: float | None) -> float:
    """Return the wait before the next try; `attempt` counts from 0."""
    if retry_after_seconds is not None and 0 < retry_after_seconds <= LONGEST_OBEYED_WAIT_SECONDS:
        return retry_after_seconds
    delay = min(FIRST_DELAY_SECONDS * 2.0**attempt, LONGEST_DELAY_SECONDS)
    return delay * (1 - JITTER * random.random())


def _failure(answer: httpx.Response) -> CallFailedError:
    retryable = answer.status_code in RETRIED_STATUSES or answer.status_code >= FIRST_SERVER_ERROR
    try:
        code = str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        code = f"HTTP {answer.status_code}"
    return CallFailedError(code, retryable=retryable, retry_after_seconds=_wait(answer.headers))


def _wait(headers: httpx.Headers) -> float | None:
    for name, seconds in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return float(headers[name]) * seconds
        except (KeyError, ValueError):
            continue
    return None
