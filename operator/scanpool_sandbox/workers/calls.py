"""Calls to the LLM provider with OpenAI's SDK, which reads OPENAI_API_KEY and OPENAI_BASE_URL."""

import os

import openai

INPUT_SHARE = 2 / 3
"""How much of a call's tokens is input."""
FOUR_CHARACTERS = "scan"
"""What the provider estimates at one token."""
TIMEOUT_SECONDS = 120.0
"""Longer than any call that was measured (40 s); the SDK itself would wait for ten minutes."""
DEFAULT_MODEL = "gpt-5.2"
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgAB"
    "SK+kcQAAAABJRU5ErkJggg=="
)
"""One gray pixel: what a picture costs does not depend on what is on it."""


class Calls:
    """Calls that cost a given number of tokens, retried by the SDK as it does by default.

    Args:
        consumer: sent as the User-Agent, by which the sandbox's provider tells consumers apart.

    Raises from each call what the SDK raises, an `openai.OpenAIError`.

    """

    def __init__(self, consumer: str) -> None:
        self._model = os.environ.get("OPENAI_MODEL", DEFAULT_MODEL)
        self._client = openai.OpenAI(
            default_headers={"User-Agent": consumer}, timeout=TIMEOUT_SECONDS
        )

    def see(self, tokens: int) -> None:
        """Ask something about a picture."""
        self._client.responses.create(
            model=self._model,
            max_output_tokens=tokens,
            input=[
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": prompt(tokens)},
                        {"type": "input_image", "image_url": PICTURE, "detail": "low"},
                    ],
                }
            ],
        )

    def answer(self, tokens: int) -> None:
        """Ask for an answer in words."""
        self._client.chat.completions.create(
            model=self._model,
            max_completion_tokens=tokens,
            messages=[{"role": "user", "content": prompt(tokens)}],
        )


def prompt(tokens: int) -> str:
    """Return the text for a call that is charged so many tokens."""
    return FOUR_CHARACTERS * int(tokens * INPUT_SHARE)


def code_of(error: openai.OpenAIError) -> str:
    """Return the provider's code of a refusal, or else what went wrong."""
    code = getattr(error, "code", None)
    return str(code) if code else type(error).__name__
