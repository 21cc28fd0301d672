"""Ask Prometheus what the panels of a dashboard ask, over a span of time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any, NamedTuple

import httpx

REQUEST_SECONDS = 30.0
MOST_POINTS = 300
"""Of a line; a panel is about as many pixels wide."""
RATE_INTERVAL = "15s"
"""What stands for Grafana's $__rate_interval, where Prometheus scrapes every second."""
VARIABLE = re.compile(r"\$(?:__)?[a-z_]+")
PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


class Span(NamedTuple):
    """From when until when, in seconds since the epoch."""

    start: float
    end: float

    @property
    def step(self) -> int:
        """Seconds between two points."""
        return max(1, round((self.end - self.start) / MOST_POINTS))


class Series(NamedTuple):
    """One line: seconds since the start, and values. Where nothing was known there is no point."""

    name: str
    points: tuple[tuple[float, float], ...]
    dashed: bool = False


@dataclass(frozen=True)
class Shown:
    """A panel as the dashboard has it, and what its queries found."""

    panel: Mapping[str, Any]
    series: tuple[Series, ...] = ()


def ask(prometheus_url: str, dashboard: Mapping[str, Any], span: Span) -> list[Shown]:
    """Return all panels of a dashboard with their data; of all namespaces and pools.

    Raises:
        httpx.HTTPError: if Prometheus does not answer, or refuses a query.

    """
    with httpx.Client(base_url=prometheus_url, trust_env=False, timeout=REQUEST_SECONDS) as http:
        return [Shown(panel, _series(http, panel, span)) for panel in dashboard["panels"]]


def _series(http: httpx.Client, panel: Mapping[str, Any], span: Span) -> tuple[Series, ...]:
    dashed = {
        one["matcher"]["options"] for one in panel.get("fieldConfig", {}).get("overrides", ())
    }
    return tuple(
        Series(
            _name(target["legendFormat"], found["metric"]),
            # A share of nothing, as of no ticks, is told as NaN.
            tuple(
                (at - span.start, number)
                for at, value in found["values"]
                if not isnan(number := float(value))
            ),
            target["refId"] in dashed,
        )
        for target in panel.get("targets", ())
        for found in _found(http, target["expr"], span)
    )


def _found(http: httpx.Client, expression: str, span: Span) -> list[dict[str, Any]]:
    query = VARIABLE.sub(
        lambda found: RATE_INTERVAL if found[0] == "$__rate_interval" else ".*", expression
    )
    values: dict[str, str | float] = {
        "query": query, "start": span.start, "end": span.end, "step": span.step,
    }  # fmt: skip
    answer = http.get("/api/v1/query_range", params=values).raise_for_status()
    results: list[dict[str, Any]] = answer.json()["data"]["result"]
    return results


def _name(legend: str, labels: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda found: labels.get(found[1], ""), legend)
