"""Google's dialect of a probe: the Gemini API, and Vertex AI, which has it under other addresses.

No header tells a limit, so that limits come from the spec; what is used up, a refusal tells. Both
have an API that is compatible with OpenAI's as well, known by the end of its address: what it
refuses, it says in Google's own words, with a list around them.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from scanpool.models.observation import ProviderState
from scanpool.sources import openai
from scanpool.sources import refused as refusals
from scanpool.sources.buckets import whole_number
from scanpool.sources.dialect import PROMPT, Call, Dialect
from scanpool.sources.error_body import Refusal
from scanpool.sources.ways import Way

MAX_OUTPUT_TOKENS: Final = 16
"""As for OpenAI: models that think count that, too, and then answer nothing, which is fine."""
COMPATIBLE: Final = ("/openai", "/openapi")
"""How the addresses of the API that is compatible end: the Gemini API's, and Vertex AI's."""
ACCESS_TOKEN: Final = "ya29."  # noqa: S105 - how those of Google's OAuth begin, keys do not
RESOURCES: Final = ("models", "tunedModels", "endpoints")
"""What may stand before a model's name; without it, it is one of the models."""


def _call(
    base: str,
    _: str | None,
    api_key: str,
    model: str,
    way: Way | None = None,  # noqa: ARG001 - there is one way only
) -> Call:
    bearer = {"Authorization": f"Bearer {api_key}"}
    if base.endswith(COMPATIBLE):
        body = {"model": model, **openai.smallest(Way.MAX_TOKENS)}
        return Call(f"{base}/{openai.path_of(Way.MAX_TOKENS)}", bearer, body)
    kind, _, name = model.partition("/")
    if kind not in RESOURCES or not name:
        kind, name = RESOURCES[0], model
    return Call(
        url=f"{base}/{kind}/{quote(name, safe='')}:generateContent",
        headers=bearer if api_key.startswith(ACCESS_TOKEN) else {"x-goog-api-key": api_key},
        body={
            "contents": [{"role": "user", "parts": [{"text": PROMPT}]}],
            "generationConfig": {"maxOutputTokens": MAX_OUTPUT_TOKENS},
        },
    )


def _usual(_: str | None) -> None:
    """Return that there is one way only."""


def _refused(refusal: Refusal) -> ProviderState | None:
    # Its limits are told by the quotas' ids, which are read for every provider.
    return refusals.refused(refusal, lambda _: ProviderState())


def _spent(usage: Mapping[str, object]) -> int | None:
    told = whole_number(usage.get("totalTokenCount"))
    return openai.spent(usage) if told is None else told


GEMINI: Final = Dialect(
    call=_call, usual=_usual, limits=openai.limits, refused=_refused, spent=_spent
)
