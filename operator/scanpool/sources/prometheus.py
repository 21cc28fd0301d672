"""What everyone on a key uses, by queries to Prometheus.

A reading asks at most three times: for the whole key, for the pool's part of it, and for what the
user's own query finds of refused calls. If any of them fails, the reading fails: a figure that is
missing must not pass for zero.
"""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from scanpool.models import llm
from scanpool.models.conditions import Reason
from scanpool.models.error_codes import is_rate_limit
from scanpool.models.limit_names import LimitNames
from scanpool.models.observation import KeyUsage
from scanpool.models.reading import Available, Reading
from scanpool.models.units import Clock
from scanpool.sources.exporters import Figure
from scanpool.sources.failures import SourceError, blocking_reading
from scanpool.sources.prometheus_api import PrometheusApi
from scanpool.sources.prometheus_session import Credentials
from scanpool.sources.promql import FIGURE_LABEL, preset_query
from scanpool.sources.refusals import codes, means_refusal, per_minute, refusals
from scanpool.sources.text import quoted
from scanpool.sources.token_parts import counted

ByCode = Sequence[tuple[str, float]]
"""Refused calls per minute, by code."""


@blocking_reading
def read_usage(
    config: llm.Prometheus,
    limit: LimitNames,
    window_seconds: int,
    credentials: Credentials,
    *,
    clock: Clock,
) -> Reading[KeyUsage]:
    """Read the tokens, requests and refused requests per minute of everyone on the key. Blocks.

    A preset counts the use of every model of the limit and averages over the window; its reading is
    of the time of the newest sample, a user's query of its evaluation.
    """
    with closing(PrometheusApi(config, credentials, window_seconds, clock)) as api:
        if config.preset is not None:
            usage = _by_preset(api, config.preset, limit, config.own_labels)
        else:
            tokens = api.number(config.query or "")
            usage = Available(KeyUsage(tokens.value), tokens.at, tokens.source)
        query = config.rate_limited_query
        if query is None:
            return usage
        # A counter of 429s comes into being with the first of them. Where the query works and finds
        # none, no call was refused: this zero is known. It counts instead of what a preset found.
        by_code = codes(api.ask(query).value)
        if by_code is None:
            raise api.implausible(query, "several numbers that no code tells apart")
        return replace(usage, value=_refused(usage.value, by_code))


def _by_preset(
    api: PrometheusApi, preset: llm.UsagePreset, limit: LimitNames, own_labels: Sequence[llm.Label]
) -> Available[KeyUsage]:
    window = api.window_seconds
    whole = _figures(api, limit, preset_query(preset, limit, window))
    figures = whole.value
    # Ended series of which the search for the newest sample finds none still have one somewhere
    # within the window, or there would be no rate.
    oldest = None if figures.tokens is None else whole.at - window
    sampled_at = oldest if figures.sampled_at is None else figures.sampled_at
    models = quoted(" or ".join(f"'{name}'" for name in limit.names))
    of = f"of the model {models} for the preset {preset} at {api.origin}"
    if sampled_at is None:
        raise SourceError(
            Reason.USAGE_NOT_FOUND,
            f"there are no series {of}; they appear with the first call that the exporter counts: "
            "check that it is scraped, and that the preset's metric and the model's name are the "
            "exporter's",
        )
    age = api.age_seconds(sampled_at)
    if not api.is_fresh(sampled_at):
        raise SourceError(
            Reason.USAGE_IMPLAUSIBLE,
            f"the series {of} are stale: their newest sample is {age:.0f} s old; check that the "
            "exporter runs and is scraped, that remote writes arrive, and the clocks",
        )
    if figures.tokens is None:
        raise SourceError(
            Reason.USAGE_NOT_FOUND,
            f"the series {of} have no two samples within {window} s, the newest is "
            f"{age:.0f} s old; wait for the next scrape, or make llm.usage.windowSeconds at least "
            "twice the scrape interval",
        )
    output = figures.output_tokens
    usage = KeyUsage(figures.tokens, figures.requests, output_tokens_per_minute=output)
    if figures.refused is not None:
        usage = _refused(usage, figures.refused)
    if own_labels:
        own = _figures(api, limit, preset_query(preset, limit, window, own_labels))
        usage = _with_own(usage, own.value, figures)
    return Available(usage, min(sampled_at, whole.at), whole.source)


def _refused(usage: KeyUsage, by_code: ByCode) -> KeyUsage:
    limited = per_minute(by_code, is_rate_limit)
    return replace(usage, rate_limited_per_minute=limited, refusals=refusals(by_code))


def _with_own(usage: KeyUsage, own: "_Figures", whole: "_Figures") -> KeyUsage:
    """Add the pool's part. Where nothing has its labels, it has made no call yet: zero is known.

    Labels that are wrong look the same; all use then counts as others', which lowers the ceiling
    and never raises it. A figure that is counted without these labels, or not at all, is unknown.
    """

    def part(of_all: object, of_pool: float | None) -> float | None:
        if of_all is None:
            return None
        return 0.0 if of_pool is None and own.tokens is None else of_pool

    refused = None if own.refused is None else per_minute(own.refused, means_refusal)
    return replace(
        usage,
        own_tokens_per_minute=own.tokens or 0.0,
        own_requests_per_minute=part(whole.requests, own.requests),
        own_output_tokens_per_minute=part(whole.output_tokens, own.output_tokens),
        own_refused_per_minute=part(whole.refused, refused),
    )


@dataclass(frozen=True, slots=True)
class _Figures:
    """What a preset's query finds; None is what it does not find."""

    tokens: float | None
    output_tokens: float | None
    requests: float | None
    sampled_at: float | None
    refused: ByCode | None


def _figures(api: PrometheusApi, limit: LimitNames, query: str) -> Available[_Figures]:
    found = api.ask(query)
    targets: defaultdict[frozenset[tuple[str, str]], dict[Figure, float]] = defaultdict(dict)
    refused: list[tuple[str, float]] | None = None
    for sample in found.value:
        figure = sample.labels.get(FIGURE_LABEL)
        others = {name: text for name, text in sample.labels.items() if name != FIGURE_LABEL}
        parts = targets[frozenset(others.items())]
        if figure == Figure.REFUSED:
            refused = (refused or []) + [(code, sample.value) for code in others.values()]
        elif figure not in set(Figure) or figure in parts:
            raise api.implausible(query, "numbers that it was not asked for")
        else:
            parts[Figure(figure)] = sample.value
    tokens = counted(targets.values(), with_cache_reads=limit.counts_cache_reads)
    requests = [parts[Figure.REQUESTS] for parts in targets.values() if Figure.REQUESTS in parts]
    figures = _Figures(
        tokens=tokens.all,
        output_tokens=tokens.output,
        requests=sum(requests) if requests else None,
        # One number, of no target.
        sampled_at=targets[frozenset()].get(Figure.SAMPLED_AT),
        refused=refused,
    )
    return Available(figures, found.at, found.source)
