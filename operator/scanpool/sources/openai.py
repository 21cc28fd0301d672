"""OpenAI's limits, as its answer to the smallest completion shows them."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import httpx

from scanpool.models.conditions import Reason
from scanpool.models.observation import ProviderState
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources.billing import is_billing
from scanpool.sources.http import Answer, exchange
from scanpool.sources.openai_headers import (
    limit_in_message,
    requests_per_minute,
    tokens_per_minute,
    tokens_remaining,
)
from scanpool.sources.text import HEADER_TOKEN, quoted, without_secrets
from scanpool.sources.urls import Address, InvalidUrlError, parse_address

SOURCE: Final = "probe"
DEFAULT_PORTS: Final = {"http": 80, "https": 443}

PROMPT: Final = "1"
MAX_COMPLETION_TOKENS: Final = 16
"""The least that models accept. With the prompt it is what a probe takes from the limit."""

SLOW_DOWN: Final = "slow_down"
RATE_LIMIT_EXCEEDED: Final = "rate_limit_exceeded"

KEY_IN_MESSAGE: Final = re.compile(r"\bsk-[\w*-]+")
"""OpenAI quotes a wrong key in part: its first and last characters, asterisks between them."""


async def probe(
    http: httpx.AsyncClient,
    base_url: str,
    api_key: str,
    model: str,
    *,
    clock: Callable[[], float],
) -> Reading[ProviderState]:
    """Make one call of a few tokens and read the limits, or the refusal, from its answer.

    Args:
        http: the client.
        base_url: of the API, for example https://api.openai.com/v1.
        api_key: the workers' key, since limits belong to its project.
        model: the workers' model, since limits belong to the model.
        clock: seconds since the epoch.

    """
    try:
        address = parse_address(base_url, DEFAULT_PORTS)
    except InvalidUrlError as error:
        return Unavailable(Reason.INVALID_URL, f"{error}; correct llm.baseUrl")
    api_key = api_key.strip()
    if not HEADER_TOKEN.fullmatch(api_key):
        return Unavailable(
            Reason.PROVIDER_AUTHENTICATION_FAILED,
            "the API key is empty or has characters that no key has; correct the Secret of "
            "llm.apiKeySecretRef",
        )
    answer = await exchange(
        http,
        "POST",
        f"{address.origin}{address.path.rstrip('/')}/chat/completions",
        origin=address.origin,
        unreachable=Reason.PROVIDER_UNREACHABLE,
        headers={"Authorization": f"Bearer {api_key}"},
        json={
            "model": model,
            "messages": [{"role": "user", "content": PROMPT}],
            "max_completion_tokens": MAX_COMPLETION_TOKENS,
        },
    )
    if isinstance(answer, Unavailable):
        return answer
    refusal = _Refusal(answer, api_key)
    state = _state(answer, refusal)
    if state is None:
        return _failure(answer.status, refusal, address, model)
    return Available(state, at=clock(), source=SOURCE)


class _Refusal:
    """The error of an answer's body: code, type and message, each empty where there is none."""

    def __init__(self, answer: Answer, api_key: str) -> None:
        error = _error(answer)
        self.code, self.type, self.message = (
            str(error.get(name) or "") for name in ("code", "type", "message")
        )
        self._api_key = api_key
        self._status = answer.status

    @property
    def words(self) -> str:
        """What it says, fit to be shown."""
        said = self.message or self.code or f"HTTP {self._status}"
        return quoted(KEY_IN_MESSAGE.sub("***", without_secrets(said, self._api_key)))

    @property
    def billing_code(self) -> str | None:
        """The code or type that means that someone must pay."""
        for word in (self.code, self.type):
            if is_billing(word):
                return quoted(without_secrets(word, self._api_key))
        return None


def _state(answer: Answer, refusal: _Refusal) -> ProviderState | None:
    """Return what the provider says about limits; None if its answer is about something else."""
    limits = ProviderState(
        tokens_per_minute=tokens_per_minute(answer.headers),
        requests_per_minute=requests_per_minute(answer.headers),
        tokens_remaining=tokens_remaining(answer.headers),
    )
    if answer.status == httpx.codes.OK:
        return limits
    if answer.status == httpx.codes.BAD_REQUEST and limits != ProviderState():
        # Some models refuse so small a completion, yet only after they looked at the limits.
        return limits
    if answer.status != httpx.codes.TOO_MANY_REQUESTS:
        return None
    if refusal.billing_code is not None:
        return replace(limits, billing_code=refusal.billing_code)
    if refusal.code == SLOW_DOWN:
        return replace(limits, slow_down=True)
    # A gateway's 429 without a code is a rate limit too: that is what the status means.
    return _with_limit_in_message(replace(limits, rate_limited=True), refusal.message)


def _with_limit_in_message(state: ProviderState, message: str) -> ProviderState:
    match limit_in_message(message):
        case ("tokens", limit) if state.tokens_per_minute is None:
            return replace(state, tokens_per_minute=limit)
        case ("requests", limit) if state.requests_per_minute is None:
            return replace(state, requests_per_minute=limit)
    return state


def _failure(status: int, refusal: _Refusal, address: Address, model: str) -> Unavailable:
    words = refusal.words
    match status:
        case httpx.codes.UNAUTHORIZED:
            return Unavailable(
                Reason.PROVIDER_AUTHENTICATION_FAILED,
                f"{address.origin} refuses the API key ({words}); correct the Secret of "
                "llm.apiKeySecretRef",
            )
        case httpx.codes.FORBIDDEN:
            return Unavailable(
                Reason.PROVIDER_AUTHENTICATION_FAILED,
                f"the API key may not call '{quoted(model)}' at {address.origin} ({words}); allow "
                "it in the key's project, or allow the operator's address and region",
            )
        case httpx.codes.NOT_FOUND:
            return Unavailable(
                Reason.MODEL_NOT_FOUND,
                f"{address.origin} knows no model '{quoted(model)}' for this key ({words}); "
                "correct llm.model or llm.baseUrl",
            )
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Unavailable(
            Reason.PROVIDER_UNREACHABLE,
            f"{address.origin} is failing or overloaded ({words}); this is not a limit of the key, "
            "wait or see the provider's status page",
        )
    return Unavailable(
        Reason.PROVIDER_ERROR,
        f"{address.origin} does not accept the probe for '{quoted(model)}' ({words}); if the model "
        "has no chat completions, set llm.tokensPerMinute and disable llm.probe",
    )


def _error(answer: Answer) -> Mapping[str, object]:
    try:
        body: object = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    error = body.get("error") if isinstance(body, Mapping) else None
    return error if isinstance(error, Mapping) else {}
