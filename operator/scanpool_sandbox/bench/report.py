"""The figures of a bench as a table and as JSON."""

from typing import Any

from scanpool_sandbox.bench.figures import LAG, grown, nearest, quantile
from scanpool_sandbox.bench.run import Figures, Span

MEBIBYTE = 2**20
MINUTE = 60.0
SOURCES = "scanpool_source_read_duration_seconds_count"
API_REQUESTS = "scanpool_kubernetes_requests_total"
WRITES = frozenset({"patch", "create"})


def as_json(figures: Figures) -> dict[str, Any]:
    """Return all figures by name."""
    plan, delays = figures.plan, figures.delays
    found: dict[str, Any] = {
        "pools": plan.pools,
        "keys": plan.keys,
        "start_to_all_decided_seconds": figures.all_decided_seconds,
        "steady": _span(figures.steady, plan.pools),
        "sigterm_to_end_seconds": figures.stopped_seconds,
    }
    if figures.waves is not None:
        found["waves"] = _span(figures.waves, plan.pools)
        found["change_to_write_seconds"] = {
            "changes": len(delays.seconds),
            "missed": delays.missed,
            "p50": nearest(delays.seconds, 0.5),
            "p99": nearest(delays.seconds, 0.99),
            "max": nearest(delays.seconds, 1.0),
        }
    return found


def _span(span: Span, pools: int) -> dict[str, Any]:
    before, after, seconds = span.before, span.after, span.seconds
    pool_minutes = pools * seconds / MINUTE
    requests = grown(before, after, API_REQUESTS, "verb")
    return {
        "seconds": seconds,
        "ticks_per_second": {
            outcome: count / seconds
            for outcome, count in grown(before, after, "scanpool_ticks_total", "outcome").items()
        },
        "tick_lag_seconds_at_most": {
            name: quantile(before, after, LAG, share)
            for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
        },
        "requests_per_minute": {
            source: count / seconds * MINUTE
            for source, count in grown(before, after, SOURCES, "source").items()
        },
        "api_requests_per_minute": {
            verb: count / seconds * MINUTE for verb, count in requests.items()
        },
        "api_requests_per_pool_minute": sum(requests.values()) / pool_minutes,
        "api_writes_per_pool_in_10_minutes": 10
        * sum(count for verb, count in requests.items() if verb in WRITES)
        / pool_minutes,
        "processes": {
            name: {
                "cores": (last.cpu_seconds - first.cpu_seconds) / seconds,
                "resident_mib": last.resident_bytes / MEBIBYTE,
                "peak_mib": last.peak_bytes / MEBIBYTE,
            }
            for name, (first, last) in span.processes.items()
        },
    }


def table(figures: Figures) -> str:
    """Return the figures as lines of words and numbers."""
    return "\n".join(f"{name:<58} {value}" for name, value in _lines("", as_json(figures)))


def _lines(prefix: str, found: dict[str, Any]) -> list[tuple[str, str]]:
    lines = []
    for name, value in found.items():
        words = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            lines += _lines(f"{words}, ", value)
        else:
            lines.append((words, f"{value:.3g}" if isinstance(value, float) else str(value)))
    return lines
