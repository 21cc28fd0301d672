"""A provider's limits, as its answer to the smallest call shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import httpx

from scanpool.models.conditions import Reason
from scanpool.models.llm import Provider
from scanpool.models.observation import ProviderState
from scanpool.models.reading import Available, Reading
from scanpool.models.units import Clock
from scanpool.sources.anthropic import ANTHROPIC
from scanpool.sources.azure_openai import AZURE_OPENAI
from scanpool.sources.dialect import ANY_OTHER, Access, Dialect, Meaning, access, failure
from scanpool.sources.error_body import Refusal, body_of, is_refused, refusal_of
from scanpool.sources.failures import reading
from scanpool.sources.gemini import GEMINI
from scanpool.sources.http import Answer, Request, exchange
from scanpool.sources.openai import OPENAI
from scanpool.sources.refusal_end import with_end
from scanpool.sources.refused import over
from scanpool.sources.text import mapping, quoted
from scanpool.sources.ways import Way, is_closed, other_way

SOURCE: Final = "probe"

MOST_TOKENS: Final = 32
"""The bound of what one probe takes from the limit: at most 16 tokens of answer, and a prompt of
one token with its framing, which no provider counts as more than 16."""

DIALECTS: Final[Mapping[Provider, Dialect]] = {
    Provider.OPENAI: OPENAI,
    Provider.AZURE_OPENAI: AZURE_OPENAI,
    Provider.ANTHROPIC: ANTHROPIC,
    Provider.GEMINI: GEMINI,
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
        "{origin} does not accept the probe for '{model}' ({words}); if the model has neither chat "
        "completions nor responses there, set llm.tokensPerMinute and disable llm.probe",
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

    A model that is asked in another way is asked again as its refusal says, each way once, and in
    that way from then on.

    Key and model are the workers', since limits belong to the key's project and to the model, on
    Azure to the deployment. `api_version` is that of Azure's paths that name the deployment; None
    for the v1 API.
    """
    api = access(base_url, api_key, name="API key", ref="llm.apiKeySecretRef")
    asked = _Asked(http, provider, api, api_version, model)
    way = asked.remembered
    exchanged, tried = await _ask(asked, way), [way]
    first = exchanged.refusal
    while (other := _other(way, exchanged, tried)) is not None:
        way = other
        tried.append(way)
        exchanged = await _ask(asked, way)
    now = clock()
    state = _state(DIALECTS[provider], exchanged, now)
    if state is not None:
        asked.remember(way)
        return Available(state, at=now, source=SOURCE)
    names = {"origin": api.origin, "model": quoted(model)}
    if way is not None and is_closed(way, exchanged.refusal):
        # The endpoint that the model was said to have is not there: what is wrong is not its name.
        asked.forget()
        raise failure(first, {ANY_OTHER: FAILURES[ANY_OTHER]}, **names)
    raise failure(exchanged.refusal, FAILURES, **names)


class _Exchanged(NamedTuple):
    answer: Answer
    refusal: Refusal


class _Asked(NamedTuple):
    """Who is asked, and about what."""

    http: httpx.AsyncClient
    provider: Provider
    api: Access
    api_version: str | None
    model: str

    @property
    def remembered(self) -> Way | None:
        """The way in which it answered last, else the usual one."""
        usual = DIALECTS[self.provider].usual(self.api_version)
        return _WAYS.get(self.http, {}).get(self._name, usual)

    def remember(self, way: Way | None) -> None:
        if way is not None:
            _WAYS.setdefault(self.http, {})[self._name] = way

    def forget(self) -> None:
        _WAYS.get(self.http, {}).pop(self._name, None)

    @property
    def _name(self) -> tuple[str, str | None, str]:
        return self.api.base, self.api_version, self.model


_WAYS: Final[WeakKeyDictionary[httpx.AsyncClient, dict[tuple[str, str | None, str], Way]]] = (
    WeakKeyDictionary()
)
"""The way in which each model answered, by its API: as long as the client lives, so the process."""


async def _ask(asked: _Asked, way: Way | None) -> _Exchanged:
    dialect, api = DIALECTS[asked.provider], asked.api
    call = dialect.call(api.base, asked.api_version, api.key, asked.model, way)
    unreachable = Reason.PROVIDER_UNREACHABLE
    request = Request(call.url, api.origin, unreachable, "POST", None, call.headers, call.body)
    answer = await exchange(asked.http, request)
    return _Exchanged(answer, refusal_of(answer, api.key))


def _other(way: Way | None, exchanged: _Exchanged, tried: Sequence[Way | None]) -> Way | None:
    """Return the way to try next, which none has been: there are as many calls as ways at most."""
    if way is None or not is_refused(exchanged.answer):
        return None
    other = other_way(way, exchanged.refusal)
    return None if other in tried else other


def _state(dialect: Dialect, exchanged: _Exchanged, now: float) -> ProviderState | None:
    """Return what the provider says about limits; None if its answer is about something else."""
    answer, refusal = exchanged
    limits = dialect.limits(answer.headers, now)
    if not is_refused(answer):
        body = body_of(answer)
        usage = mapping(body.get("usage") or body.get("usageMetadata"))
        return replace(limits, tokens_spent=dialect.spent(usage))
    if (refused := dialect.refused(refusal)) is not None:
        # The limits of the headers count over those of the message.
        return with_end(over(refused, limits), answer.headers, refusal.text, now)
    if answer.status == httpx.codes.BAD_REQUEST and limits != ProviderState():
        # Some models refuse so small a completion, yet only after they looked at the limits.
        return limits
    return None
