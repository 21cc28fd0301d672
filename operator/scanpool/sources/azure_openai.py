"""Azure OpenAI's dialect of a probe: OpenAI's, but for where and how it is asked.

Azure lowers a deployment's limit for some hours when a region is short of capacity, and tells the
lower one in the same headers: it counts like any other.
"""

from typing import Final
from urllib.parse import quote

from scanpool.sources import openai
from scanpool.sources.dialect import Call, Dialect
from scanpool.sources.ways import Way

FIRST_WITH_MAX_COMPLETION_TOKENS: Final = "2024-12-01"
"""Earlier api-versions, the last stable one (2024-10-21) among them, know `max_tokens` only."""

FIRST_WITH_RESPONSES: Final = "2025-03-01"
"""Where an earlier one is set, the v1 API is asked, which every resource has."""


def _usual(api_version: str | None) -> Way:
    # Versions begin with a date, so that they compare as text.
    is_early = api_version is not None and api_version < FIRST_WITH_MAX_COMPLETION_TOKENS
    return Way.MAX_TOKENS if is_early else Way.COMPLETION_TOKENS


def _call(
    base: str, api_version: str | None, api_key: str, model: str, way: Way | None = None
) -> Call:
    way = way or _usual(api_version)
    path, headers, body = openai.path_of(way), {"api-key": api_key}, openai.smallest(way)
    if api_version is None:
        return Call(f"{base}/{path}", headers, {"model": model, **body})
    version = f"api-version={quote(api_version, safe='')}"
    if way is Way.RESPONSES:
        # The Responses API takes the deployment's name in the body.
        is_early = api_version < FIRST_WITH_RESPONSES
        url = f"{base}/openai/v1/{path}" if is_early else f"{base}/openai/{path}?{version}"
        return Call(url, headers, {"model": model, **body})
    deployment = f"{base}/openai/deployments/{quote(model, safe='')}"
    return Call(f"{deployment}/{path}?{version}", headers, body)


AZURE_OPENAI: Final = Dialect(
    call=_call, usual=_usual, limits=openai.limits, refused=openai.refused, spent=openai.spent
)
