"""A provider's limits, as its answer to the smallest call shows them."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Final

import httpx

from scanpool.models.conditions import Reason
from scanpool.models.llm import Provider
from scanpool.models.observation import ProviderState
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources.anthropic import ANTHROPIC
from scanpool.sources.azure_openai import AZURE_OPENAI
from scanpool.sources.dialect import Dialect, Refusal, access, body_of, mapping, refusal_of
from scanpool.sources.http import Answer, exchange
from scanpool.sources.openai import OPENAI
from scanpool.sources.text import quoted

SOURCE: Final = "probe"

MOST_TOKENS: Final = 32
"""The bound of what one probe takes from the limit: at most 16 tokens of answer, and a prompt of
one token with its framing, which no provider counts as more than 16."""

DIALECTS: Final[Mapping[Provider, Dialect]] = {
    Provider.OPENAI: OPENAI,
    Provider.AZURE_OPENAI: AZURE_OPENAI,
    Provider.ANTHROPIC: ANTHROPIC,
}


async def probe(
    http: httpx.AsyncClient,
    provider: Provider,
    base_url: str,
    api_version: str | None,
    api_key: str,
    model: str,
    *,
    clock: Callable[[], float],
) -> Reading[ProviderState]:
    """Make one call of a few tokens and read the limits, or the refusal, from its answer.

    Args:
        http: the client.
        provider: whose dialect the API speaks.
        base_url: of the API, for example https://api.openai.com/v1.
        api_version: of Azure's paths that name the deployment; None for the v1 API.
        api_key: the workers' key, since limits belong to its project.
        model: the workers' model, since limits belong to the model; on Azure the deployment.
        clock: seconds since the epoch.

    """
    api = access(base_url, api_key, name="API key", ref="llm.apiKeySecretRef")
    if isinstance(api, Unavailable):
        return api
    dialect = DIALECTS[provider]
    call = dialect.call(api.base, api_version, api.key, model)
    answer = await exchange(
        http,
        "POST",
        call.url,
        origin=api.origin,
        unreachable=Reason.PROVIDER_UNREACHABLE,
        headers=call.headers,
        json=call.body,
    )
    if isinstance(answer, Unavailable):
        return answer
    now, refusal = clock(), refusal_of(answer, api.key)
    state = _state(dialect, answer, refusal, now)
    if state is None:
        return _failure(refusal, api.origin, model)
    return Available(state, at=now, source=SOURCE)


def _state(dialect: Dialect, answer: Answer, refusal: Refusal, now: float) -> ProviderState | None:
    """Return what the provider says about limits; None if its answer is about something else."""
    limits = dialect.limits(answer.headers, now)
    if answer.status == httpx.codes.OK:
        return replace(limits, tokens_spent=dialect.spent(mapping(body_of(answer).get("usage"))))
    if (refused := dialect.refused(refusal)) is not None:
        return _over(refused, limits)
    if answer.status == httpx.codes.BAD_REQUEST and limits != ProviderState():
        # Some models refuse so small a completion, yet only after they looked at the limits.
        return limits
    return None


def _over(refused: ProviderState, limits: ProviderState) -> ProviderState:
    """Return what a refusal says, and the limits of the headers over those of its message."""
    told = {
        field.name: value
        for field in fields(limits)
        if (value := getattr(limits, field.name)) != field.default
    }
    return replace(refused, **told)


def _failure(refusal: Refusal, origin: str, model: str) -> Unavailable:
    words = refusal.words
    match refusal.status:
        case httpx.codes.UNAUTHORIZED:
            return Unavailable(
                Reason.PROVIDER_AUTHENTICATION_FAILED,
                f"{origin} refuses the API key ({words}); correct the Secret of "
                "llm.apiKeySecretRef, or llm.provider and llm.baseUrl if it is another's",
            )
        case httpx.codes.FORBIDDEN:
            return Unavailable(
                Reason.PROVIDER_AUTHENTICATION_FAILED,
                f"the API key may not call '{quoted(model)}' at {origin} ({words}); allow "
                "it in the key's project, or allow the operator's address and region",
            )
        case httpx.codes.NOT_FOUND:
            return Unavailable(
                Reason.MODEL_NOT_FOUND,
                f"{origin} knows no model '{quoted(model)}' for this key ({words}); "
                "correct llm.model (on Azure the name of the deployment), llm.baseUrl or "
                "llm.apiVersion",
            )
    if refusal.status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Unavailable(
            Reason.PROVIDER_UNREACHABLE,
            f"{origin} is failing or overloaded ({words}); this is not a limit of the key, "
            "wait or see the provider's status page",
        )
    return Unavailable(
        Reason.PROVIDER_ERROR,
        f"{origin} does not accept the probe for '{quoted(model)}' ({words}); if the model "
        "has no chat completions, set llm.tokensPerMinute and disable llm.probe",
    )
