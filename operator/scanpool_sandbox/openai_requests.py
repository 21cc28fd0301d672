"""Read a request to the provider, and what it is charged up front."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from scanpool_sandbox.openai_errors import invalid_request
from scanpool_sandbox.openai_wire import Charge, Endpoint

CHARACTERS_PER_TOKEN = 4
"""The provider's own rule of thumb, also for its estimate before a request runs."""
IMAGE_TOKENS = 85
"""What the provider's documentation charges for an image in low detail."""
DEFAULT_MAX_OUTPUT_TOKENS = 16
LEAST_RESPONSES_OUTPUT_TOKENS = 16
"""The Responses API refuses a smaller `max_output_tokens`."""
OUTPUT_LIMIT_NAMES: Mapping[Endpoint, tuple[str, ...]] = {
    "responses": ("max_output_tokens",),
    "chat/completions": ("max_completion_tokens", "max_tokens"),
}
REASONING_MODEL_PREFIXES = ("gpt-5", "o1", "o3", "o4")
"""Models whose chat completions refuse `max_tokens` in favor of `max_completion_tokens`."""


def parse_request(raw: bytes) -> dict[str, Any]:
    """Return the request's body, an object with a `model`.

    Raises:
        ApiError: 400 if it is neither.

    """
    try:
        body = json.loads(raw)
    except ValueError:
        raise invalid_request("invalid_json", "The body is not valid JSON.") from None
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise invalid_request("missing_required_parameter", "A model is required.", "model")
    return body


def charge(endpoint: Endpoint, body: Mapping[str, Any]) -> Charge:
    """Return what the limiter charges up front: max(output limit, estimate of the input).

    The estimate counts characters. All of it is then reported as used, the estimate as input and
    the rest as output.

    Raises:
        ApiError: 400 if the endpoint or model does not take the request's output limit.

    """
    prompt = body.get("messages" if endpoint == "chat/completions" else "input", "")
    characters, images = _size(prompt)
    estimate = max(1, math.ceil(characters / CHARACTERS_PER_TOKEN) + images * IMAGE_TOKENS)
    total = max(_output_limit(endpoint, body), estimate)
    return Charge(input_tokens=estimate, output_tokens=total - estimate)


def _output_limit(endpoint: Endpoint, body: Mapping[str, Any]) -> int:
    least = LEAST_RESPONSES_OUTPUT_TOKENS if endpoint == "responses" else 1
    for name in OUTPUT_LIMIT_NAMES[endpoint]:
        limit = body.get(name)
        if limit is None:
            continue
        if name == "max_tokens" and str(body["model"]).startswith(REASONING_MODEL_PREFIXES):
            raise invalid_request(
                "unsupported_parameter",
                "'max_tokens' is not supported with this model; use 'max_completion_tokens'.",
                name,
            )
        if not isinstance(limit, int) or isinstance(limit, bool):
            raise invalid_request("invalid_type", f"{name} must be an integer.", name)
        if limit < least:
            raise invalid_request(
                "integer_below_min_value", f"{name} must be at least {least}.", name
            )
        return limit
    return DEFAULT_MAX_OUTPUT_TOKENS


def _size(prompt: object) -> tuple[int, int]:
    """Return the characters of text and the number of images in a prompt of any shape."""
    if isinstance(prompt, str):
        return len(prompt), 0
    if isinstance(prompt, Sequence):
        sizes = [_size(part) for part in prompt]
        return sum(size[0] for size in sizes), sum(size[1] for size in sizes)
    if isinstance(prompt, Mapping):
        if "image_url" in prompt:
            return 0, 1
        return _size(prompt.get("content", prompt.get("text", "")))
    return 0, 0
