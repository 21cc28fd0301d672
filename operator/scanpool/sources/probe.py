"""A provider's limits, as its answer to the smallest call shows them."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Final

import httpx

from scanpool.models.conditions import Reason
from scanpool.models.llm import Provider
from scanpool.models.observation import ProviderState
from scanpool.models.reading import Available, Reading
from scanpool.models.units import Clock
from scanpool.sources.anthropic import ANTHROPIC
from scanpool.sources.azure_openai import AZURE_OPENAI
from scanpool.sources.dialect import (
    ANY_OTHER,
    Dialect,
    Meaning,
    Refusal,
    access,
    body_of,
    failure,
    refusal_of,
)
from scanpool.sources.failures import reading
from scanpool.sources.http import Answer, Request, exchange
from scanpool.sources.openai import OPENAI
from scanpool.sources.text import mapping, quoted

SOURCE: Final = "probe"

MOST_TOKENS: Final = 32
"""The bound of what one probe takes from the limit: at most 16 tokens of answer, and a prompt of
one token with its framing, which no provider counts as more than 16."""

DIALECTS: Final[Mapping[Provider, Dialect]] = {
    Provider.OPENAI: OPENAI,
    Provider.AZURE_OPENAI: AZURE_OPENAI,
    Provider.ANTHROPIC: ANTHROPIC,
}

FAILURES: Final = {
    httpx.codes.UNAUTHORIZED: Meaning(
        Reason.PROVIDER_AUTHENTICATION_FAILED,
        "{origin} refuses the API key ({words}); correct the Secret of llm.apiKeySecretRef, or "
        "llm.provider and llm.baseUrl if it is another's",
    ),
    httpx.codes.FORBIDDEN: Meaning(
        Reason.PROVIDER_AUTHENTICATION_FAILED,
        "the API key may not call '{model}' at {origin} ({words}); allow it in the key's project, "
        "or allow the operator's address and region",
    ),
    httpx.codes.NOT_FOUND: Meaning(
        Reason.MODEL_NOT_FOUND,
        "{origin} knows no model '{model}' for this key ({words}); correct llm.model (on Azure the "
        "name of the deployment), llm.baseUrl or llm.apiVersion",
    ),
    httpx.codes.INTERNAL_SERVER_ERROR: Meaning(
        Reason.PROVIDER_UNREACHABLE,
        "{origin} is failing or overloaded ({words}); this is not a limit of the key, wait or see "
        "the provider's status page",
    ),
    ANY_OTHER: Meaning(
        Reason.PROVIDER_ERROR,
        "{origin} does not accept the probe for '{model}' ({words}); if the model has no chat "
        "completions, set llm.tokensPerMinute and disable llm.probe",
    ),
}


@reading
async def probe(
    http: httpx.AsyncClient,
    provider: Provider,
    base_url: str,
    api_version: str | None,
    api_key: str,
    model: str,
    *,
    clock: Clock,
) -> Reading[ProviderState]:
    """Make one call of a few tokens and read the limits, or the refusal, from its answer.

    Key and model are the workers', since limits belong to the key's project and to the model, on
    Azure to the deployment. `api_version` is that of Azure's paths that name the deployment; None
    for the v1 API.
    """
    api = access(base_url, api_key, name="API key", ref="llm.apiKeySecretRef")
    dialect = DIALECTS[provider]
    call = dialect.call(api.base, api_version, api.key, model)
    unreachable = Reason.PROVIDER_UNREACHABLE
    request = Request(call.url, api.origin, unreachable, "POST", None, call.headers, call.body)
    answer = await exchange(http, request)
    now, refusal = clock(), refusal_of(answer, api.key)
    state = _state(dialect, answer, refusal, now)
    if state is None:
        raise failure(refusal, FAILURES, origin=api.origin, model=quoted(model))
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
