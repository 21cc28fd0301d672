"""Tell an answer of Prometheus that is not whole from one with remarks on the query."""

from collections.abc import Mapping
from typing import Final

from scanpool.sources.text import mapping

ANNOTATIONS: Final = (
    "PromQL info:",
    "PromQL warning:",
    # The texts of the same remarks where a server drops what marks them.
    "metric might not be a counter",
    "input to histogram_quantile needed to be fixed",
    "quantile value should be between 0 and 1",
    "bucket label ",
    "encountered a mix of histograms and floats",
    "vector contains a mix of histograms",
    "vector contains histograms with ",
    "this native histogram metric is not a ",
    "ignored histogram",
    "conflicting counter resets",
    "mismatched custom buckets",
    "incompatible sample types encountered",
    "incompatible bucket layout",
)
"""How the remarks of the language on a query begin (Prometheus, util/annotations). They stand in
`infos` or, of older servers and for what is likely to be a mistake, in `warnings`."""


FLAGS: Final = ("isPartial", "partial", "partialResponse")
"""VictoriaMetrics' flag, and what others call it."""
NOT_SET: Final = frozenset({"", "false", "none", "0"})
"""A flag that is not there, or is not set, as text in lower case."""


def missing_part(answer: Mapping[str, object]) -> str | None:
    """Return why an answer is not whole, in the server's words; None if it is.

    Thanos, and others with several stores, answer without those that are away and say so in
    `warnings`; VictoriaMetrics says `isPartial`; either may stand beside the result as well.
    Whatever is no remark on the query counts as that: a warning that nobody knows must not make an
    empty answer a known zero.
    """
    for part in (answer, mapping(answer.get("data"))):
        told = part.get("warnings") or []
        warnings = list(map(str, told)) if isinstance(told, list) else [str(told)]
        for warning in warnings:
            if not warning.strip().startswith(ANNOTATIONS):
                return warning
        for flag in FLAGS:
            if str(part.get(flag)).lower() not in NOT_SET:
                return flag
    return None
