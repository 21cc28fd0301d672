"""What the provider's answers look like: durations, headers, usage."""

from dataclasses import dataclass
from typing import Any, Literal

from scanpool_sandbox.limiter import BucketLevel

Endpoint = Literal["chat/completions", "responses"]


@dataclass(frozen=True, slots=True)
class Charge:
    """Tokens of one request; the limiter is charged with their sum."""

    input_tokens: int
    output_tokens: int

    @property
    def total(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens


def go_duration(seconds: float) -> str:
    """Format as Go does, to the millisecond: 44ms, 9.816s, 6m0s, 23h18m29.144s."""
    all_seconds, milliseconds = divmod(round(seconds * 1000), 1000)
    if all_seconds == 0 and milliseconds > 0:
        return f"{milliseconds}ms"
    minutes, rest = divmod(all_seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{milliseconds:03}".rstrip("0").rstrip(".")
    text = f"{rest}{fraction}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def rate_limit_headers(tokens: BucketLevel, requests: BucketLevel) -> dict[str, str]:
    """Return the x-ratelimit-* headers for the levels of both buckets."""
    headers = {}
    for name, bucket in (("requests", requests), ("tokens", tokens)):
        headers[f"x-ratelimit-limit-{name}"] = str(bucket.limit_per_minute)
        headers[f"x-ratelimit-remaining-{name}"] = str(bucket.remaining)
        headers[f"x-ratelimit-reset-{name}"] = go_duration(bucket.reset_seconds)
    return headers


def completion(
    endpoint: Endpoint, model: str, charged: Charge, number: int, created: int
) -> dict[str, Any]:
    """Return the body of a successful answer with its `usage`.

    Args:
        endpoint: which of the two shapes.
        model: as requested.
        charged: the tokens.
        number: makes the answer's id unique.
        created: seconds since the epoch.

    """
    text = "ok"
    if endpoint == "responses":
        said = {
            "type": "message",
            "id": f"msg_{number}",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        }
        return {
            "id": f"resp_{number}",
            "object": "response",
            "created_at": created,
            "status": "completed",
            "model": model,
            "output": [said],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": charged.input_tokens,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": charged.output_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": charged.total,
            },
        }
    message = {"role": "assistant", "content": text}
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": charged.input_tokens,
            "completion_tokens": charged.output_tokens,
            "total_tokens": charged.total,
        },
    }
