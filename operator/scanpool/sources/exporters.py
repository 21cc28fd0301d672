"""What known exporters call their counters, and the labels that say what is counted."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from scanpool.models.llm import UsagePreset


class Figure(StrEnum):
    """What a number of a preset's answer is.

    All are per minute but SAMPLED_AT, the time of the newest sample of the tokens' series in
    seconds since the epoch. Those of tokens come once for each target. An exporter counts TOKENS,
    all of them, or INPUT_TOKENS, and OUTPUT_TOKENS. CACHE_READS and CACHE_WRITES are input tokens,
    which most exporters count among the others as well. OTHER is part of something else. REFUSED
    has one number for each code, under the exporter's label, and one without a code for the calls
    that were answered: it shows that calls are counted at all.
    """

    TOKENS = "tokens"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    CACHE_READS = "cache_reads"
    CACHE_WRITES = "cache_writes"
    REQUESTS = "requests"
    REFUSED = "refused"
    SAMPLED_AT = "sampled_at"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Kinds:
    """Which figure a series belongs to by the value of a label; the last that matches counts.

    Values are regular expressions. A series that none of them matches is OTHER.
    """

    label: str
    figures: tuple[tuple[Figure, str], ...]


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter, under every name that it has had, and the labels any of which holds the model.

    Its series are one figure or, by a label, several. Under one of the `utf8_names` it comes with
    the labels of UTF8_LABELS.
    """

    names: tuple[str, ...]
    model_labels: tuple[str, ...]
    figure: Figure | Kinds
    utf8_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exporter:
    """The counters of one kind of exporter.

    The age of a reading is that of the first of its tokens. Of `cache_reads` only the first that a
    target has counts: they are one figure in several generations. `calls` are counted by
    `code_label`, where they are.
    """

    tokens: tuple[Counter, ...]
    requests: tuple[Counter, ...]
    cache_reads: tuple[Counter, ...] = ()
    calls: Counter | None = None
    code_label: str = ""


UTF8_LABELS: Final = {
    "gen_ai_request_model": "gen_ai.request.model",
    "gen_ai_response_model": "gen_ai.response.model",
    "gen_ai_token_type": "gen_ai.token.type",
    "error_type": "error.type",
}
"""What OpenTelemetry calls these labels; a Prometheus that takes any UTF-8 may keep that."""


def _both_names(counter: str) -> tuple[str, str]:
    """Return a counter's name with the suffix of OpenMetrics, and as it was before."""
    return f"{counter}_total", counter


def _in_every_unit(name: str, *ends: str) -> tuple[str, ...]:
    """Return the names of a metric of tokens: its unit is `{token}`, which many exporters drop.

    Those whose unit has no braces append it to the name.
    """
    return tuple(f"{name}{unit}{end}" for end in ends for unit in ("", "_token", "_tokens"))


# OpenTelemetry's GenAI conventions. Every answered call adds one observation of type input and one
# of type output; other types (cached input, reasoning) are parts of these two, though some
# exporters count the cache's beside them. Spring AI counts tokens with a counter, hence `_total`,
# and calls with a timer. What is read from the cache has a name of each exporter's own, as has the
# part of the input that is not. Every call, answered or not, adds one duration; exporters differ in
# whether they append the unit.
_USAGE: Final = "gen_ai_client_token_usage"
_DURATION: Final = "gen_ai_client_operation_duration"
_UTF8_USAGE: Final = "gen_ai.client.token.usage"
_UTF8_DURATION: Final = "gen_ai.client.operation.duration"
_DURATION_ENDS: Final = ("_seconds_count", "_milliseconds_count", "_count")
_OTEL_MODEL: Final = ("gen_ai_request_model", "gen_ai_response_model")
_TYPE: Final = "gen_ai_token_type"
_OTEL_GENAI: Final = Exporter(
    tokens=(
        Counter(
            _in_every_unit(_USAGE, "_sum", "_total"),
            _OTEL_MODEL,
            Kinds(
                _TYPE,
                (
                    (Figure.INPUT_TOKENS, "input"),
                    (Figure.OUTPUT_TOKENS, "output"),
                    (Figure.CACHE_WRITES, ".*[cC]ache.*"),
                    (Figure.CACHE_READS, ".*[cC]ache(d|.?([rR]ead|[hH]it)).*"),
                    (Figure.OTHER, "(.*[^a-z])?([uU]n|[nN]o[nt]?.?)[cC]ached.*"),
                ),
            ),
            _in_every_unit(_UTF8_USAGE, "_sum", "_total"),
        ),
    ),
    requests=(
        Counter(
            _in_every_unit(_USAGE, "_count"),
            _OTEL_MODEL,
            Kinds(_TYPE, ((Figure.REQUESTS, "input"),)),
            _in_every_unit(_UTF8_USAGE, "_count"),
        ),
        Counter(("gen_ai_client_operation_seconds_count",), _OTEL_MODEL, Figure.REQUESTS),
    ),
    calls=Counter(
        tuple(f"{_DURATION}{end}" for end in _DURATION_ENDS),
        _OTEL_MODEL,
        Figure.REFUSED,
        utf8_names=tuple(f"{_UTF8_DURATION}{end}" for end in _DURATION_ENDS),
    ),
    code_label="error_type",
)

# LiteLLM's proxy. `model` is the deployment's, `requested_model` what the caller wrote, which may
# be an alias of several deployments. `deployment` counts each call to a provider, retries too, and
# none that the proxy refuses by its own limits. The exception's status is the provider's; its class
# is one for all 429s and has the provider's name in front in newer versions only. What the provider
# read from its cache is among the input; `litellm_cached_tokens_metric` is of the proxy's cache.
_LITELLM_MODEL: Final = ("model", "requested_model")
_LITELLM_CALLS: Final = (
    *_both_names("litellm_deployment_failure_responses"),
    *_both_names("litellm_deployment_success_responses"),
)
_LITELLM: Final = Exporter(
    tokens=(
        Counter(_both_names("litellm_total_tokens_metric"), _LITELLM_MODEL, Figure.TOKENS),
        Counter(_both_names("litellm_output_tokens_metric"), _LITELLM_MODEL, Figure.OUTPUT_TOKENS),
    ),
    requests=(Counter(_both_names("litellm_requests_metric"), _LITELLM_MODEL, Figure.REQUESTS),),
    cache_reads=tuple(
        Counter(_both_names(name), _LITELLM_MODEL, Figure.CACHE_READS)
        for name in (
            "litellm_input_cached_tokens_metric",
            "litellm_provider_cache_read_input_tokens_metric",
        )
    ),
    calls=Counter(_LITELLM_CALLS, ("litellm_model_name", "requested_model"), Figure.REFUSED),
    code_label="exception_status",
)

# Kong's AI plugins. Tokens of type total are the sum of the others. Its counters by HTTP status
# know no model: what was refused is unknown.
_KONG_MODEL: Final = ("ai_model",)
_KONG: Final = Exporter(
    tokens=(
        Counter(
            ("kong_ai_llm_tokens_total",),
            _KONG_MODEL,
            Kinds(
                "token_type",
                ((Figure.TOKENS, "total_tokens"), (Figure.OUTPUT_TOKENS, "completion_tokens")),
            ),
        ),
    ),
    requests=(Counter(("kong_ai_llm_requests_total",), _KONG_MODEL, Figure.REQUESTS),),
)

EXPORTERS: Final = {
    UsagePreset.OTEL_GENAI: _OTEL_GENAI,
    UsagePreset.LITELLM: _LITELLM,
    UsagePreset.KONG: _KONG,
}
