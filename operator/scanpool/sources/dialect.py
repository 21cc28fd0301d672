"""What a provider's dialect is made of: how it is asked, and how its answers are read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import httpx

from scanpool.models.conditions import Reason
from scanpool.models.observation import ProviderState
from scanpool.sources.error_body import Refusal
from scanpool.sources.failures import SourceError
from scanpool.sources.text import HEADER_TOKEN
from scanpool.sources.urls import HTTP_PORTS, parse_address
from scanpool.sources.ways import Way

PROMPT: Final = "1"
"""A single token; the framing of a message adds some ten."""

ANY_OTHER: Final = 0


@dataclass(frozen=True, slots=True)
class Access:
    """Where an API is: origin, base URL without a slash at its end, a key that fits a header."""

    origin: str
    base: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """The request of a probe; the headers hold the key."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: Mapping[str, object]


class Meaning(NamedTuple):
    """Why an API refuses, and what to do: `told` has the names of what is put in."""

    reason: Reason
    told: str


class CallOf(Protocol):
    """How a dialect makes its smallest call."""

    def __call__(
        self, base: str, version: str | None, key: str, model: str, /, way: Way | None = None
    ) -> Call:
        """Return the call; `way` None is the usual one."""
        ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one provider is asked and understood; pure functions.

    call: the smallest call, from base URL (without a slash at its end), api-version, key, model;
        in the way that is usual, or in one that a refusal has pointed to.
    usual: the way that is asked in first, from the api-version; None if there is one way only.
    limits: the limits that headers tell, given the time (seconds since the epoch) of the answer.
    refused: what a refusal says about limits or billing; None if it is about something else.
    spent: the tokens that the `usage` of an answer counts; None if it does not.
    """

    call: CallOf
    usual: Callable[[str | None], Way | None]
    limits: Callable[[Mapping[str, str], float], ProviderState]
    refused: Callable[[Refusal], ProviderState | None]
    spent: Callable[[Mapping[str, object]], int | None]


def access(base_url: str, key: str, *, name: str, ref: str) -> Access:
    """Return how to reach a provider's API, for example https://api.openai.com/v1.

    If something is wrong with the URL or the key, a SourceError is raised. It calls the key `name`;
    `ref` is the field of the spec that names its Secret.
    """
    address = parse_address(base_url, HTTP_PORTS, "llm.baseUrl")
    key = key.strip()
    if not HEADER_TOKEN.fullmatch(key):
        raise SourceError(
            Reason.PROVIDER_AUTHENTICATION_FAILED,
            f"the {name} is empty or has characters that no key has; correct the Secret of {ref}",
        )
    return Access(address.origin, f"{address.origin}{address.path.rstrip('/')}", key)


def failure(refusal: Refusal, meanings: Mapping[int, Meaning], **names: str) -> SourceError:
    """Return what a refusal means by its status, with its words and `names` put in.

    500 stands for all from there on and for an overload, ANY_OTHER for all that are not listed.
    """
    outage = httpx.codes.INTERNAL_SERVER_ERROR
    status = outage if refusal.is_overload else min(refusal.status, outage)
    if refusal.refuses_key:
        status = httpx.codes.UNAUTHORIZED
    reason, told = meanings.get(status, meanings[ANY_OTHER])
    return SourceError(reason, told.format(words=refusal.words, **names))
