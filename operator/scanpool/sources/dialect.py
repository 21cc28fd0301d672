"""What a provider's dialect is made of: how it is asked, and how its answers are read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import httpx

from scanpool.models.conditions import Reason
from scanpool.models.observation import ProviderState
from scanpool.sources.failures import SourceError
from scanpool.sources.http import Answer
from scanpool.sources.text import HEADER_TOKEN, decoded, mapping, quoted, without_secrets
from scanpool.sources.urls import HTTP_PORTS, parse_address

PROMPT: Final = "1"
"""A single token; the framing of a message adds some ten."""

ANY_OTHER: Final = 0

KEY_IN_MESSAGE: Final = re.compile(r"\bsk-[\w*-]+")
"""Providers quote a wrong key in part: its first and last characters, asterisks between them."""


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


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error of an answer, without secrets: each part is empty where there is none."""

    status: int
    code: str
    type: str
    message: str

    @property
    def words(self) -> str:
        """What it says, fit to be shown."""
        return quoted(self.message or self.code or self.type or f"HTTP {self.status}")


class Meaning(NamedTuple):
    """Why an API refuses, and what to do: `told` has the names of what is put in."""

    reason: Reason
    told: str


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one provider is asked and understood; pure functions.

    call: the smallest call, from base URL (without a slash at its end), api-version, key, model.
    limits: the limits that headers tell, given the time (seconds since the epoch) of the answer.
    refused: what a refusal says about limits or billing; None if it is about something else.
    spent: the tokens that the `usage` of an answer counts; None if it does not.
    """

    call: Callable[[str, str | None, str, str], Call]
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


def body_of(answer: Answer) -> Mapping[str, object]:
    """Return the JSON object of an answer; empty if it holds none."""
    return mapping(decoded(answer.body))


def refusal_of(answer: Answer, secret: str) -> Refusal:
    """Return the error of an answer, with `secret` and all that looks like a key blotted out."""
    error = mapping(body_of(answer).get("error"))
    # Anthropic has types instead of codes, and a code in the details for some of them.
    code = error.get("code") or mapping(error.get("details")).get("error_code")

    def clean(text: object) -> str:
        return KEY_IN_MESSAGE.sub("***", without_secrets(str(text or ""), secret))

    kind, message = clean(error.get("type")), clean(error.get("message"))
    return Refusal(answer.status, clean(code), kind, message)


def failure(refusal: Refusal, meanings: Mapping[int, Meaning], **names: str) -> SourceError:
    """Return what a refusal means by its status, with its words and `names` put in.

    500 stands for all from there on, ANY_OTHER for all that are not listed.
    """
    status = min(refusal.status, httpx.codes.INTERNAL_SERVER_ERROR)
    reason, told = meanings.get(status, meanings[ANY_OTHER])
    return SourceError(reason, told.format(words=refusal.words, **names))
