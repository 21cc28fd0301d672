"""Prometheus metrics of the operator: what each pool's status says, and how ticks go."""

from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from platform import python_version
from time import time
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from pydantic import BaseModel

from scanpool.models.figures import Figure, figures, models_in
from scanpool.models.names import RELEASE
from scanpool.models.units import Clock, seconds
from scanpool.report.pool_status import PoolStatus

POOL = ("namespace", "pool")
CONDITION_STATUSES = ("True", "False", "Unknown")


class _Sample(NamedTuple):
    """One value of one metric of a pool; `labels` are those beside the pool's own."""

    metric: str
    value: float
    labels: tuple[str, ...] = ()


class Metrics:
    """The metrics of one process. Figures that are unknown are absent, never zero.

    `clock` tells seconds since the epoch, for the age of figures at the time of a scrape.
    """

    def __init__(self, registry: CollectorRegistry, clock: Clock = time) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"scanpool_pool_{name}", text, (*POOL, *labels), registry=registry)

        self._gauges = {
            figure.metric: gauge(figure.metric, words, *([figure.by] if figure.by else []))
            for figure, words in _described(PoolStatus)
            if figure.metric is not None
        }
        # Beside the figures: a condition is two labels and no number.
        self._gauges["condition"] = gauge(
            "condition", "1 for the status that a condition has.", "type", "status"
        )
        self._age = gauge("figure_age_seconds", "Time since a figure was read.", "figure", "source")
        self._ticks = Counter(
            "scanpool_ticks_total", "Ticks by outcome.", ("outcome",), registry=registry
        )
        self._tick_seconds = Histogram(
            "scanpool_tick_duration_seconds", "Time that a tick took.", registry=registry
        )
        build = Gauge(
            "scanpool_build_info", "1, with what runs as labels.", ("version", "python"),
            registry=registry,
        )  # fmt: skip
        build.labels(RELEASE, python_version()).set(1)
        self._clock = clock
        self._labelled: dict[tuple[str, str], set[tuple[Gauge, tuple[str, ...]]]] = {}

    def record(self, namespace: str, name: str, status: PoolStatus) -> None:
        """Show a pool's status; what it does not say any more disappears."""
        pool = (namespace, name)
        shown: set[tuple[Gauge, tuple[str, ...]]] = set()
        for sample in _samples(status):
            gauge, labels = self._gauges[sample.metric], (*pool, *sample.labels)
            gauge.labels(*labels).set(sample.value)
            shown.add((gauge, labels))
        for told in () if status.llm is None else status.llm.figures:
            # A status that another hand has written may say anything.
            if (at := seconds(told.at)) is not None:
                labels = (*pool, told.name, told.source)
                # Told when asked for: a figure grows old between ticks, and when there are no more.
                self._age.labels(*labels).set_function(partial(self._seconds_since, at))
                shown.add((self._age, labels))
        self._drop(self._labelled.get(pool, set()) - shown)
        self._labelled[pool] = shown

    def forget(self, namespace: str, name: str) -> None:
        """Show nothing of a pool any more: it was deleted."""
        self._drop(self._labelled.pop((namespace, name), set()))

    def ticked(self, outcome: str, seconds: float) -> None:
        """Count a tick; `outcome` is ok, timeout or error."""
        self._ticks.labels(outcome).inc()
        self._tick_seconds.observe(seconds)

    def _seconds_since(self, at: float) -> float:
        return self._clock() - at

    @staticmethod
    def _drop(labelled: set[tuple[Gauge, tuple[str, ...]]]) -> None:
        for metric, labels in labelled:
            metric.remove(*labels)


def _described(model: type[BaseModel]) -> Iterator[tuple[Figure, str]]:
    """Return the figures of a status, and of all that it holds, with their words."""
    for name, figure in figures(model):
        yield figure, model.model_fields[name].description or ""
    for field in model.model_fields.values():
        for part in models_in(field.annotation):
            yield from _described(part)


def _samples(status: PoolStatus) -> Iterator[_Sample]:
    """Return what a status says in numbers."""
    yield from _measured(status)
    for condition in status.conditions:
        for value in CONDITION_STATUSES:
            is_so = float(condition.status == value)
            yield _Sample("condition", is_so, (condition.type, value))


def _measured(part: BaseModel) -> Iterator[_Sample]:
    described = dict(figures(type(part)))
    for name, value in part:
        figure = described.get(name)
        if figure is not None and figure.metric is not None:
            yield from _of_figure(figure, figure.metric, value, part)
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, BaseModel):
                yield from _measured(inner)


def _of_figure(figure: Figure, metric: str, value: object, part: BaseModel) -> Iterator[_Sample]:
    match value:
        case StrEnum():
            # 1 for the state that there is and 0 for the others; nothing where it is unknown.
            for each in type(value):
                yield _Sample(metric, float(each is value), (each,))
        case dict():
            for label, each in value.items():
                yield _Sample(metric, each, (label,))
        case int() | float():
            labels = (getattr(part, figure.by),) if figure.by else ()
            yield _Sample(metric, figure.measured(value), labels)
