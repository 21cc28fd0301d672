"""What everyone on a key uses, by queries to Prometheus.

A reading asks at most three times: for the whole key, for the pool's part of it, and for what the
user's own query finds of refused calls. If any of them fails, the reading fails: a figure that is
missing must not pass for zero.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import requests

from scanpool.models import llm
from scanpool.models.conditions import Reason
from scanpool.models.observation import KeyUsage
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources.prometheus_api import PrometheusApi, Sample
from scanpool.sources.promql import FIGURE_LABEL, Figure, preset_query
from scanpool.sources.refusals import (
    codes,
    rate_limited_per_minute,
    refusals,
    refused_per_minute,
)
from scanpool.sources.text import HEADER_TOKEN, quoted
from scanpool.sources.urls import InvalidUrlError, parse_address

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

ByCode = Sequence[tuple[str, float]]
"""Refused calls per minute, by code."""


def read_usage(
    config: llm.Prometheus,
    model: str,
    window_seconds: int,
    bearer_token: str | None,
    *,
    clock: Callable[[], float],
) -> Reading[KeyUsage]:
    """Read the tokens, requests and refused requests per minute of everyone on the key. Blocks.

    A preset's reading is of the time of the newest sample, a user's query of its evaluation.

    Args:
        config: where Prometheus is, and the preset or queries.
        model: whose use a preset counts.
        window_seconds: length of the window that a preset averages over.
        bearer_token: for a Prometheus that asks for one.
        clock: seconds since the epoch.

    """
    try:
        address = parse_address(config.url, DEFAULT_PORTS)
    except InvalidUrlError as error:
        return Unavailable(Reason.INVALID_URL, f"{error}; correct llm.usage.prometheus.url")
    if bearer_token is not None:
        bearer_token = bearer_token.strip()
        if not HEADER_TOKEN.fullmatch(bearer_token):
            return Unavailable(
                Reason.PROMETHEUS_QUERY_FAILED,
                f"the bearer token for {address.origin} is empty or has characters that no token "
                "has; correct the Secret of llm.usage.prometheus.bearerTokenSecretRef",
            )
    with requests.Session() as session:
        api = PrometheusApi(session, address, bearer_token, window_seconds, clock)
        if config.preset is None:
            usage = _by_query(api, config.query or "")
        else:
            usage = _by_preset(api, config.preset, model, window_seconds, config.own_labels)
        if isinstance(usage, Unavailable) or config.rate_limited_query is None:
            return usage
        return _with_refused(api, usage, config.rate_limited_query)


def _by_query(api: PrometheusApi, query: str) -> Reading[KeyUsage]:
    tokens = api.number(query)
    if isinstance(tokens, Unavailable):
        return tokens
    return Available(KeyUsage(tokens.value), tokens.at, tokens.source)


def _with_refused(api: PrometheusApi, usage: Available[KeyUsage], query: str) -> Reading[KeyUsage]:
    """Put what the user's query finds of refused calls in the place of what the preset found."""
    found = api.ask(query)
    if isinstance(found, Unavailable):
        return found
    # A counter of 429s comes into being with the first of them. Where the query works and finds
    # none, no call was refused: this zero is known.
    by_code = codes([(sample.labels, sample.value) for sample in found.value])
    if by_code is None:
        return api.implausible(query, "several numbers that no code tells apart")
    return replace(usage, value=_refused(usage.value, by_code))


def _by_preset(
    api: PrometheusApi,
    preset: llm.UsagePreset,
    model: str,
    window_seconds: int,
    own_labels: Sequence[llm.Label],
) -> Reading[KeyUsage]:
    whole = _figures(api, preset_query(preset, model, window_seconds))
    if isinstance(whole, Unavailable):
        return whole
    figures = whole.value
    # Ended series of which the search for the newest sample finds none still have one somewhere
    # within the window, or there would be no rate.
    oldest = None if figures.tokens is None else whole.at - window_seconds
    sampled_at = oldest if figures.sampled_at is None else figures.sampled_at
    of = f"of the model '{quoted(model)}' for the preset {preset} at {api.origin}"
    if sampled_at is None:
        return Unavailable(
            Reason.USAGE_NOT_FOUND,
            f"there are no series {of}; they appear with the first call that the exporter counts: "
            "check that it is scraped, and that the preset's metric and the model's name are the "
            "exporter's",
        )
    age = api.age_seconds(sampled_at)
    if not api.is_fresh(sampled_at):
        return Unavailable(
            Reason.USAGE_IMPLAUSIBLE,
            f"the series {of} are stale: their newest sample is {age:.0f} s old; check that the "
            "exporter runs and is scraped, that remote writes arrive, and the clocks",
        )
    if figures.tokens is None:
        return Unavailable(
            Reason.USAGE_NOT_FOUND,
            f"the series {of} have no two samples within {window_seconds} s, the newest is "
            f"{age:.0f} s old; wait for the next scrape, or make llm.usage.windowSeconds at least "
            "twice the scrape interval",
        )
    usage = KeyUsage(
        figures.tokens, figures.requests, output_tokens_per_minute=figures.output_tokens
    )
    if figures.refused is not None:
        usage = _refused(usage, figures.refused)
    if own_labels:
        own = _figures(api, preset_query(preset, model, window_seconds, own_labels))
        if isinstance(own, Unavailable):
            return own
        usage = _with_own(usage, own.value, figures)
    return Available(usage, min(sampled_at, whole.at), whole.source)


def _refused(usage: KeyUsage, by_code: ByCode) -> KeyUsage:
    return replace(
        usage,
        rate_limited_per_minute=rate_limited_per_minute(by_code),
        refusals=refusals(by_code),
    )


def _with_own(usage: KeyUsage, own: "_Figures", whole: "_Figures") -> KeyUsage:
    """Add the pool's part. Where nothing has its labels, it has made no call yet: zero is known.

    Labels that are wrong look the same; all use then counts as others', which lowers the ceiling
    and never raises it. A figure that is counted without these labels, or not at all, is unknown.
    """

    def part(of_all: object, of_pool: float | None) -> float | None:
        if of_all is None:
            return None
        nothing = 0.0 if own.tokens is None else None
        return nothing if of_pool is None else of_pool

    refused = None if own.refused is None else refused_per_minute(own.refused)
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


def _figures(api: PrometheusApi, query: str) -> Reading[_Figures]:
    found = api.ask(query)
    if isinstance(found, Unavailable):
        return found
    numbers: dict[str, float] = {}
    calls: list[Sample] = []
    for sample in found.value:
        figure = sample.labels.get(FIGURE_LABEL)
        if figure == Figure.REFUSED:
            calls.append(sample)
        elif figure is None or figure in numbers:
            return api.implausible(query, "numbers that it was not asked for")
        else:
            numbers[figure] = sample.value
    figures = _Figures(
        tokens=numbers.get(Figure.TOKENS),
        output_tokens=numbers.get(Figure.OUTPUT_TOKENS),
        requests=numbers.get(Figure.REQUESTS),
        sampled_at=numbers.get(Figure.SAMPLED_AT),
        refused=[
            (code, sample.value)
            for sample in calls
            for name, code in sample.labels.items()
            if name != FIGURE_LABEL
        ]
        if calls
        else None,
    )
    return Available(figures, found.at, found.source)
