"""How many of the tokens that an exporter counts are counted by the provider's limit."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from scanpool.sources.exporters import Figure

Parts = Mapping[Figure, float]
"""What one target counts, in tokens per minute; what it does not count is missing."""

ROUNDING: Final = 1.0
"""Tokens per minute by which sums of rates may differ that are equal."""


class Tokens(NamedTuple):
    """Tokens per minute against the limit; None is not counted."""

    all: float | None
    output: float | None


def counted(targets: Iterable[Parts], *, with_cache_reads: bool) -> Tokens:
    """Add up what all targets count; `with_cache_reads` says that the limit counts those.

    Cache reads and writes are parts of the input for most exporters: OpenTelemetry's conventions
    want it so, and gateways do it. For an exporter that repeats Anthropic's own figures they stand
    beside it, which shows where there are more reads than input. Writes count for every limit.
    """
    each = [_of_target(parts, with_cache_reads) for parts in targets]
    tokens = [one.all for one in each if one.all is not None]
    output = [one.output for one in each if one.output is not None]
    return Tokens(sum(tokens) if tokens else None, sum(output) if output else None)


def _of_target(parts: Parts, with_cache_reads: bool) -> Tokens:
    output = parts.get(Figure.OUTPUT_TOKENS)
    told = parts.get(Figure.TOKENS)
    if told is None and Figure.INPUT_TOKENS not in parts and output is None:
        return Tokens(None, None)
    in_output = output or 0.0
    in_input = parts.get(Figure.INPUT_TOKENS, 0.0) if told is None else told - in_output
    reads = parts.get(Figure.CACHE_READS, 0.0)
    if reads > in_input + ROUNDING:
        in_input += parts.get(Figure.CACHE_WRITES, 0.0) + reads
    if not with_cache_reads:
        in_input -= reads
    return Tokens(max(in_input, 0.0) + in_output, output)
