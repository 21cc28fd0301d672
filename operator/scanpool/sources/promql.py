"""The PromQL of the presets: what everyone on one model uses, per minute.

A preset asks for all its figures in one query: they are of one moment, and Prometheus is asked
once. Each number of the answer carries the label FIGURE_LABEL, which says what it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from scanpool.models.llm import Label, UsagePreset
from scanpool.models.units import SECONDS_PER_MINUTE

FIGURE_LABEL: Final = "figure"
STEPS_PER_WINDOW: Final = 12
"""Of the search for the newest sample of series that have ended: every 5 s in a minute."""


class Figure(StrEnum):
    """What a number of a preset's answer is.

    All are per minute but SAMPLED_AT, the time of the newest sample of the tokens' series in
    seconds since the epoch. REFUSED has one number for each code, under the exporter's label, and
    one without a code for the calls that were answered: it shows that calls are counted at all.
    """

    TOKENS = "tokens"
    OUTPUT_TOKENS = "output_tokens"
    REQUESTS = "requests"
    REFUSED = "refused"
    SAMPLED_AT = "sampled_at"


@dataclass(frozen=True, slots=True)
class _Counter:
    """A counter, under every name that it has had, and the label that holds the model."""

    names: tuple[str, ...]
    model_label: str
    matchers: str = ""

    def selectors(self, model_and_labels: str) -> Iterator[str]:
        for name in self.names:
            yield f"{name}{{{self.model_label}={model_and_labels}{self.matchers}}}"


@dataclass(frozen=True, slots=True)
class _Exporter:
    """The counters of one kind of exporter; `calls` by `code_label`, if they are counted so."""

    tokens: _Counter
    output_tokens: _Counter
    requests: _Counter
    calls: _Counter | None = None
    code_label: str = ""


def _both_names(counter: str) -> tuple[str, str]:
    """Return a counter's name with the suffix of OpenMetrics, and as it was before."""
    return f"{counter}_total", counter


# OpenTelemetry's GenAI conventions. Every answered call adds one observation of type input and one
# of type output; other types (cached input, reasoning) are parts of these two. Every call, answered
# or not, adds one duration. Exporters differ in whether they append the unit.
_USAGE: Final = "gen_ai_client_token_usage"
_DURATION: Final = "gen_ai_client_operation_duration"
_OTEL_MODEL: Final = "gen_ai_request_model"
_OTEL_GENAI: Final = _Exporter(
    tokens=_Counter((f"{_USAGE}_sum",), _OTEL_MODEL, ',gen_ai_token_type=~"input|output"'),
    output_tokens=_Counter((f"{_USAGE}_sum",), _OTEL_MODEL, ',gen_ai_token_type="output"'),
    requests=_Counter((f"{_USAGE}_count",), _OTEL_MODEL, ',gen_ai_token_type="input"'),
    calls=_Counter((f"{_DURATION}_seconds_count", f"{_DURATION}_count"), _OTEL_MODEL),
    code_label="error_type",
)

# LiteLLM's proxy. `deployment` counts each call to a provider, retries too, and none that the proxy
# refuses by its own limits. The exception's status is the provider's; its class is one for all 429s
# and has the provider's name in front in newer versions only.
_LITELLM_CALLS: Final = (
    *_both_names("litellm_deployment_failure_responses"),
    *_both_names("litellm_deployment_success_responses"),
)
_LITELLM: Final = _Exporter(
    tokens=_Counter(_both_names("litellm_total_tokens_metric"), "model"),
    output_tokens=_Counter(_both_names("litellm_output_tokens_metric"), "model"),
    requests=_Counter(("litellm_requests_metric_total",), "model"),
    calls=_Counter(_LITELLM_CALLS, "litellm_model_name"),
    code_label="exception_status",
)

# Kong's AI plugins. Tokens of type total are the sum of the others. Its counters by HTTP status
# know no model: what was refused is unknown.
_KONG_TOKENS: Final = ("kong_ai_llm_tokens_total",)
_KONG: Final = _Exporter(
    tokens=_Counter(_KONG_TOKENS, "ai_model", ',token_type="total_tokens"'),
    output_tokens=_Counter(_KONG_TOKENS, "ai_model", ',token_type="completion_tokens"'),
    requests=_Counter(("kong_ai_llm_requests_total",), "ai_model"),
)

_EXPORTERS: Final = {
    UsagePreset.OTEL_GENAI: _OTEL_GENAI,
    UsagePreset.LITELLM: _LITELLM,
    UsagePreset.KONG: _KONG,
}


def preset_query(
    preset: UsagePreset, model: str, window_seconds: int, labels: Sequence[Label] = ()
) -> str:
    """Return a preset's query for one model, averaged over the window.

    With `labels`, only series that have them count.
    """
    exporter = _EXPORTERS[preset]
    of_model = string_literal(model) + "".join(
        f",{label.name}={string_literal(label.value)}" for label in labels
    )
    window = f"[{window_seconds}s]"

    def per_minute(counter: _Counter, by: str = "") -> str:
        rates = " or ".join(f"rate({one}{window})" for one in counter.selectors(of_model))
        return f"sum{by}({rates}) * {SECONDS_PER_MINUTE}"

    figures = {
        Figure.TOKENS: per_minute(exporter.tokens),
        Figure.OUTPUT_TOKENS: per_minute(exporter.output_tokens),
        Figure.REQUESTS: per_minute(exporter.requests),
        Figure.SAMPLED_AT: _newest(tuple(exporter.tokens.selectors(of_model)), window_seconds),
    }
    if exporter.calls is not None:
        figures[Figure.REFUSED] = per_minute(exporter.calls, f" by ({exporter.code_label}) ")
    return " or ".join(
        f'label_replace({expression}, "{FIGURE_LABEL}", "{figure}", "{FIGURE_LABEL}", "")'
        for figure, expression in figures.items()
    )


def string_literal(text: str) -> str:
    """Return `text` as a PromQL string, which is escaped as in Go."""
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    shown = (one if one.isprintable() else f"\\U{ord(one):08x}" for one in escaped)
    return '"' + "".join(shown) + '"'


def _newest(selectors: Sequence[str], window_seconds: int) -> str:
    """Return the expression for the time of the newest sample.

    A series whose target is gone or fails is over at once for an instant selector, while rate()
    still counts its samples within the window: there its end is searched for.
    """
    steps = f"[{window_seconds}s:{max(window_seconds // STEPS_PER_WINDOW, 1)}s]"
    present = [f"timestamp({one})" for one in selectors]
    ended = [f"max_over_time(timestamp({one}){steps})" for one in selectors]
    return f"max({' or '.join(present + ended)})"
