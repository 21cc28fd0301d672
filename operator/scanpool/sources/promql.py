"""The PromQL of the presets: what everyone on one model uses, per minute."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scanpool.models.spec import Label, UsagePreset

SECONDS_PER_MINUTE: Final = 60
"""rate() is per second."""


@dataclass(frozen=True, slots=True)
class UsageQueries:
    """PromQL expressions, each for one number per minute; `requests` is None if not known."""

    tokens: str
    requests: str | None = None


def preset_queries(
    preset: UsagePreset, model: str, window_seconds: int, labels: Sequence[Label] = ()
) -> UsageQueries:
    """Return the queries of a preset for one model, averaged over the window.

    With `labels`, only series that have them count.

    - otel-genai: the histogram of OpenTelemetry's GenAI conventions. Every call adds one
      observation of type input and one of type output; other types (cached input, reasoning) are
      parts of these two.
    - litellm: its proxy's counters; older versions name the tokens' without `_total`.
    - kong: the counters of its AI plugins; tokens of type total are the sum of the others.
    """
    matchers = "".join(f",{label.name}={string_literal(label.value)}" for label in labels)
    model_is = string_literal(model) + matchers
    window = f"[{window_seconds}s]"
    match preset:
        case UsagePreset.OTEL_GENAI:
            usage, of_model = "gen_ai_client_token_usage", f"gen_ai_request_model={model_is}"
            return UsageQueries(
                tokens=_per_minute(
                    f'rate({usage}_sum{{{of_model},gen_ai_token_type=~"input|output"}}{window})'
                ),
                requests=_per_minute(
                    f'rate({usage}_count{{{of_model},gen_ai_token_type="input"}}{window})'
                ),
            )
        case UsagePreset.LITELLM:
            selector = f"{{model={model_is}}}{window}"
            tokens = "litellm_total_tokens_metric"
            return UsageQueries(
                tokens=_per_minute(f"rate({tokens}_total{selector}) or rate({tokens}{selector})"),
                requests=_per_minute(f"rate(litellm_requests_metric_total{selector})"),
            )
        case UsagePreset.KONG:
            of_model = f"ai_model={model_is}"
            return UsageQueries(
                tokens=_per_minute(
                    f'rate(kong_ai_llm_tokens_total{{{of_model},token_type="total_tokens"}}{window})'
                ),
                requests=_per_minute(f"rate(kong_ai_llm_requests_total{{{of_model}}}{window})"),
            )


def string_literal(text: str) -> str:
    """Return `text` as a PromQL string, which is escaped as in Go."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    return f"\\U{ord(character):08x}"


def _per_minute(rates: str) -> str:
    return f"sum({rates}) * {SECONDS_PER_MINUTE}"
