"""The ways in which models of OpenAI's API are asked, and how a refusal points to another one.

Which way is a model's is told by no list: it depends on its family, on Azure's API version, and on
the gateway in between. The refusal of a call that was made in a wrong way names the right one.
"""

import re
from enum import StrEnum
from typing import Final

import httpx

from scanpool.sources.error_body import Refusal


class Way(StrEnum):
    """An endpoint, told by the field that bounds the answer there."""

    COMPLETION_TOKENS = "max_completion_tokens"
    """Chat completions of reasoning models, and of most others."""
    MAX_TOKENS = "max_tokens"
    """Chat completions of earlier API versions and of other makers' models."""
    RESPONSES = "max_output_tokens"
    """The Responses API, for models that have no chat completions."""


OTHER_FIELD: Final = {
    Way.COMPLETION_TOKENS: Way.MAX_TOKENS,
    Way.MAX_TOKENS: Way.COMPLETION_TOKENS,
}
WRONG_REQUEST: Final = frozenset(
    {
        httpx.codes.BAD_REQUEST,
        httpx.codes.NOT_FOUND,
        httpx.codes.METHOD_NOT_ALLOWED,
        httpx.codes.UNPROCESSABLE_ENTITY,
    }
)
NO_SUCH_ENDPOINT: Final = frozenset({httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED})

UNKNOWN_MODEL: Final = re.compile(
    r"model_?not_?found|deployment_?not_?found|\bdoes ?n[o']t exist\b", re.IGNORECASE
)
"""The model itself is missing, whatever else the sentence says."""
NO_CHAT: Final = re.compile(
    # OpenAI: "only supported in v1/responses", "not a chat model and thus not supported in the
    # v1/chat/completions endpoint"; it then names v1/completions by mistake, too.
    r"\bv1/responses\b|(?<!\w)/responses\b|responses (?:api|endpoint)"
    r"|not a chat(?:[- ]completions?)? model"
    r"|(?:not|n't) (?:\w+ ){0,3}(?:in|by|via|with|through|at|on|for) (?:the )?/?(?:v1/)?"
    r"chat[-_/ ]?completions?"
    r"|not support (?:the )?/?(?:v1/)?chat[-_/ ]?completions?"
    r"|chat[-_/ ]?completions? (?:\w+ )?(?:is |are )?(?:not|un)"
    # Azure, GitHub Copilot.
    r"|chat ?completions? operation does not work|operation_?not_?supported"
    r"|unsupported_(?:api|endpoint|operation)|not_supported_(?:on|for|by)_endpoint",
    re.IGNORECASE,
)
NOT_TAKEN: Final = re.compile(
    r"unsupported|not supported|n't support|not support|unrecogni[sz]ed|unknown|unexpected"
    r"|extra|not permitted|not allowed|not a valid|deprecated|use ['\"`]?max_"
    r"|is only for|can(?:no|')t be used|is invalid for|does not exist|incompatible",
    re.IGNORECASE,
)
"""A refusal of a field, as opposed to one of its value."""


OF_VALUE: Final = re.compile(
    r"at (?:least|most)|m(?:in|ax)imum|too (?:large|small|low|high)|greater|less|between|range"
    r"|integer|exceed|limit|\d",
    re.IGNORECASE,
)
NO_SUCH_FIELD: Final = re.compile(
    r"\b(?:parameter|argument|field|property) ['\"`]?max_\w+['\"`]? does ?n[o']t exist\b",
    re.IGNORECASE,
)
"""It is the field that does not exist, and not the model."""


def other_way(tried: Way, refusal: Refusal) -> Way | None:
    """Return how to ask instead of as `tried`; None if the refusal is about something else."""
    text = refusal.text
    if refusal.status not in WRONG_REQUEST or tried is Way.RESPONSES:
        return None
    is_about_field = re.search(rf"\b{tried}\b", text) is not None
    if UNKNOWN_MODEL.search(text) and not (is_about_field and NO_SUCH_FIELD.search(text)):
        return None
    if NO_CHAT.search(text):
        return Way.RESPONSES
    is_not_taken = NOT_TAKEN.search(text) or _is_named(tried, refusal)
    return OTHER_FIELD[tried] if is_about_field and is_not_taken else None


def _is_named(field: Way, refusal: Refusal) -> bool:
    """Tell whether a refusal names a field, and neither a code nor what is wrong with its value."""
    is_param = re.search(rf"""["']param["']\s*:\s*["']{field}["']""", refusal.text) is not None
    return is_param and not refusal.code and OF_VALUE.search(refusal.message) is None


def is_closed(way: Way, refusal: Refusal) -> bool:
    """Return whether an endpoint is missing where another one had pointed to it."""
    is_missing = refusal.status in NO_SUCH_ENDPOINT and not UNKNOWN_MODEL.search(refusal.text)
    return way is Way.RESPONSES and is_missing
