"""Azure OpenAI's dialect of a probe: OpenAI's, but for where and how it is asked.

Azure lowers a deployment's limit for some hours when a region is short of capacity, and tells the
lower one in the same headers: it counts like any other.
"""

from typing import Final
from urllib.parse import quote

from scanpool.sources import openai
from scanpool.sources.dialect import Call, Dialect

FIRST_WITH_MAX_COMPLETION_TOKENS: Final = "2024-12-01"
"""Earlier api-versions, the last stable one (2024-10-21) among them, know `max_tokens` only."""


def _call(base: str, api_version: str | None, api_key: str, model: str) -> Call:
    headers = {"api-key": api_key}
    if api_version is None:
        return Call(
            url=f"{base}/chat/completions",
            headers=headers,
            body={"model": model, **openai.completion("max_completion_tokens")},
        )
    # Versions begin with a date, so that they compare as text.
    is_early = api_version < FIRST_WITH_MAX_COMPLETION_TOKENS
    return Call(
        url=f"{base}/openai/deployments/{quote(model, safe='')}/chat/completions"
        f"?api-version={quote(api_version, safe='')}",
        headers=headers,
        body=openai.completion("max_tokens" if is_early else "max_completion_tokens"),
    )


AZURE_OPENAI: Final = Dialect(
    call=_call, limits=openai.limits, refused=openai.refused, spent=openai.spent
)
