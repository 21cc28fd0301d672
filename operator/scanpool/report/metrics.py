"""Prometheus metrics of the pools: what each one's status says."""

from collections.abc import Iterator
from enum import StrEnum
from time import time
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel

from scanpool.decide.breaker import Quota
from scanpool.models.figures import Figure, figures, models_in, states_in
from scanpool.models.units import Clock, seconds
from scanpool.report.pool_status import LimitStatus, LlmStatus, PoolStatus

POOL = ("namespace", "pool")
CONDITION_STATUSES = ("True", "False", "Unknown")
# Of several limits, these are told of each; the other figures are those of the one that binds.
OF_EACH_LIMIT = ("tpm_limit", "tpm_used", "tpm_headroom", "tpm_per_replica", "bucket_tokens")


class PoolMetric(NamedTuple):
    """A metric of each pool: its full name, its words, and its labels beside the pool's own.

    `states` are the values of its one label, where it is 1 for one of them and 0 for the others.
    """

    name: str
    words: str
    labels: tuple[str, ...] = ()
    states: tuple[str, ...] = ()


def pool_metrics() -> dict[str, PoolMetric]:
    """Return the metrics that there are of each pool, by their names after `scanpool_pool_`."""
    found = {
        figure.metric: PoolMetric(_full(figure.metric), words, _labels(figure), states)
        for figure, words, states in _described(PoolStatus)
        if figure.metric is not None
    }
    # Beside the figures: these are labels and no number.
    condition = "1 for the status that a condition has, 0 for the other two."
    found["condition"] = PoolMetric(_full("condition"), condition, ("type", "status"))
    key = "1 for the key whose limit the pool uses, by the name of the first pool that uses it."
    found["key"] = PoolMetric(_full("key"), key, ("key",))
    for short in OF_EACH_LIMIT:
        words = f"{found[short].words} Of each of several limits."
        found[f"llm_{short}"] = PoolMetric(_full(f"llm_{short}"), words, ("llm",))
    most = "Most replicas that each of several limits allows."
    found["llm_ceiling_replicas"] = PoolMetric(
        _full("llm_ceiling_replicas"), most, ("llm", "limit")
    )
    is_open = "1 while the provider refuses every call on one of several limits unpaid, else 0."
    found["llm_refused_unpaid"] = PoolMetric(_full("llm_refused_unpaid"), is_open, ("llm",))
    age = "Time since a figure was read."
    found["figure_age_seconds"] = PoolMetric(_full("figure_age_seconds"), age, ("figure", "source"))
    return found


def _full(name: str) -> str:
    return f"scanpool_pool_{name}"


def _labels(figure: Figure) -> tuple[str, ...]:
    return (figure.by,) if figure.by else ()


class _Sample(NamedTuple):
    """One value of one metric of a pool; `labels` are those beside the pool's own."""

    metric: str
    value: float
    labels: tuple[str, ...] = ()


class Metrics(Collector):
    """The metrics of the pools of one process. Figures that are unknown are absent, never zero.

    What is kept of a pool is its status alone: its series are made when somebody asks for them,
    which a scrape does far less often than pools tick. `clock` tells seconds since the epoch, for
    the age of figures at that time.
    """

    def __init__(self, registry: CollectorRegistry, clock: Clock = time) -> None:
        self._metrics = pool_metrics()
        self._clock = clock
        self._statuses: dict[tuple[str, str], PoolStatus] = {}
        registry.register(self)

    def record(self, namespace: str, name: str, status: PoolStatus) -> None:
        """Show a pool's status; what it does not say any more disappears."""
        self._statuses[namespace, name] = status

    def forget(self, namespace: str, name: str) -> None:
        """Show nothing of a pool any more: it was deleted."""
        self._statuses.pop((namespace, name), None)

    def collect(self) -> Iterator[Metric]:
        """Return all series, in the thread of whoever asks, as the client library wants them."""
        found: dict[str, dict[tuple[str, ...], float]] = {short: {} for short in self._metrics}
        now = self._clock()
        for pool, status in self._statuses.copy().items():
            for sample in (*_samples(status), *_key("/".join(pool), status), *_ages(status, now)):
                # A status by another hand may say a thing twice, which nobody could scrape.
                found[sample.metric][*pool, *sample.labels] = sample.value
        for short, one in self._metrics.items():
            family = GaugeMetricFamily(one.name, one.words, labels=(*POOL, *one.labels))
            for labels, value in found[short].items():
                family.add_metric(labels, value)
            yield family


def _described(model: type[BaseModel]) -> Iterator[tuple[Figure, str, tuple[str, ...]]]:
    """Return the figures of a status, and of all that it holds, with their words and states."""
    for name, figure in figures(model):
        field = model.model_fields[name]
        yield figure, field.description or "", states_in(field.annotation)
    for field in model.model_fields.values():
        for part in models_in(field.annotation):
            if part is not LimitStatus:
                yield from _described(part)


def _key(pool: str, status: PoolStatus) -> Iterator[_Sample]:
    """Return what tells pools of one key from those of others; the key itself is never shown."""
    if status.llm is not None:
        budget = status.llm.budget
        first = None if budget is None else budget.first_pool
        yield _Sample("key", 1.0, (first or pool,))


def _ages(status: PoolStatus, now: float) -> Iterator[_Sample]:
    """Return how old figures are: they grow old between ticks, and when there are no more."""
    for told in () if status.llm is None else status.llm.figures:
        # A status that another hand has written may say anything.
        if (at := seconds(told.at)) is not None:
            yield _Sample("figure_age_seconds", now - at, (told.name, told.source))


def _samples(status: PoolStatus) -> Iterator[_Sample]:
    """Return what a status says in numbers."""
    yield from _measured(status)
    for one in status.llms or ():
        yield from _of_limit(one)
    for condition in status.conditions:
        for value in CONDITION_STATUSES:
            is_so = float(condition.status == value)
            yield _Sample("condition", is_so, (condition.type, value))


def _of_limit(one: LimitStatus) -> Iterator[_Sample]:
    """Return what is told of each of several limits."""
    for name, figure in figures(LlmStatus):
        value = getattr(one, name)
        if figure.metric in OF_EACH_LIMIT and value is not None:
            yield _Sample(f"llm_{figure.metric}", value, (one.name,))
    for limit, replicas in one.ceilings.items():
        yield _Sample("llm_ceiling_replicas", replicas, (one.name, limit))
    if one.quota is not None:
        yield _Sample("llm_refused_unpaid", float(one.quota is Quota.OPEN), (one.name,))


def _measured(part: BaseModel) -> Iterator[_Sample]:
    described = dict(figures(type(part)))
    for name, value in part:
        figure = described.get(name)
        if figure is not None and figure.metric is not None:
            yield from _of_figure(figure, figure.metric, value, part)
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, BaseModel) and not isinstance(inner, LimitStatus):
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
        case str() if (at := seconds(value)) is not None:
            yield _Sample(metric, at)
        case int() | float():
            labels = (getattr(part, figure.by),) if figure.by else ()
            yield _Sample(metric, figure.measured(value), labels)
