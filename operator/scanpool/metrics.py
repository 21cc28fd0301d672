"""Prometheus metrics of the operator: what each pool's status says, and how ticks go."""

from collections.abc import Callable, Iterator
from datetime import datetime
from enum import StrEnum
from functools import partial
from time import time
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from scanpool.models.decision import LimitedBy, Zone
from scanpool.models.memory import Quota
from scanpool.models.status import LlmStatus, PoolStatus

POOL = ("namespace", "pool")
WHOLE_PERCENT = 100

# Fields of the status, and the metrics that show them, each with its help.
FIGURES = {
    "replicas": ("replicas", "Replicas that the Deployment asks for."),
    "ready_replicas": ("ready_replicas", "Pods that report ready."),
    "desired_replicas": ("desired_replicas", "Replicas decided on."),
    "backlog": ("backlog_messages", "Messages, ready and unacked, in all queues."),
}
LLM_FIGURES = {
    "limit_tokens_per_minute": ("tpm_limit", "Token limit, per minute."),
    "used_tokens_per_minute": ("tpm_used", "Tokens used on the key, per minute."),
    "own_tokens_per_minute": ("tpm_own", "Tokens used by the pool itself, per minute."),
    "others_tokens_per_minute": ("tpm_others", "Tokens used by others on the key, per minute."),
    "headroom_tokens_per_minute": ("tpm_headroom", "Token limit less tokens used, per minute."),
    "tokens_per_replica_minute": (
        "tpm_per_replica",
        "Tokens that one busy replica uses, per minute.",
    ),
    "input_tokens_per_minute_limit": ("tpm_input_limit", "Input token limit, per minute."),
    "output_tokens_per_minute_limit": ("tpm_output_limit", "Output token limit, per minute."),
    "probe_tokens_per_minute": (
        "tpm_probe",
        "Tokens that the operator's probe of the key uses, per minute.",
    ),
    "requests_per_minute_limit": ("rpm_limit", "Request limit, per minute."),
    "requests_per_minute_used": ("rpm_used", "Requests made on the key, per minute."),
    "rate_limited_per_minute": (
        "rate_limited_per_minute",
        "LLM calls refused with a rate-limit 429, per minute.",
    ),
    "calls_per_task": ("calls_per_task", "LLM calls that the workers make for one message."),
}
LLM_PERCENTAGES = {
    "tokens_per_replica_confidence_percent": (
        "tpm_per_replica_confidence",
        "Share, 0 to 1, of the tokens per replica that rests on what was measured.",
    ),
    "backoff_percent": (
        "backoff_factor",
        "Share, 0 to 1, of the token ceiling in force after rate-limit 429s.",
    ),
}
BUDGET_FIGURES = {
    "tokens_per_minute": ("tpm_budget", "Tokens per minute for all pools on the key together."),
    "claim_tokens_per_minute": ("tpm_budget_claim", "What the pool asks of that."),
    "grant_tokens_per_minute": ("tpm_budget_grant", "What it gets of that."),
}
CEILINGS = ("tokens", "requests", "memory")
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

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"scanpool_pool_{name}", text, (*POOL, *labels), registry=registry)

        tables = (FIGURES, LLM_FIGURES, LLM_PERCENTAGES, BUDGET_FIGURES)
        self._gauges = {
            name: gauge(name, text) for table in tables for name, text in table.values()
        }
        self._gauges |= {
            "ceiling_replicas": gauge(
                "ceiling_replicas", "Most replicas that a limit allows.", "limit"
            ),
            "limited_by": gauge("limited_by", "1 for the rule that limits the pool.", "limit"),
            "zone": gauge("zone", "1 for the zone that the use of the limit is in.", "zone"),
            "breaker": gauge("breaker", "1 for the state of the billing breaker.", "state"),
            "refused_per_minute": gauge(
                "refused_per_minute", "LLM calls refused, per minute and code.", "code"
            ),
            "condition": gauge(
                "condition", "1 for the status that a condition has.", "type", "status"
            ),
        }
        self._age = gauge("figure_age_seconds", "Time since a figure was read.", "figure", "source")
        self._ticks = Counter(
            "scanpool_ticks_total", "Ticks by outcome.", ("outcome",), registry=registry
        )
        self._tick_seconds = Histogram(
            "scanpool_tick_duration_seconds", "Time that a tick took.", registry=registry
        )
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
        for at, figure in _times(status.llm):
            labels = (*pool, *figure)
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


def _samples(status: PoolStatus) -> Iterator[_Sample]:
    """Return what a status says in numbers."""
    yield from _of_table(FIGURES, status)
    for limit in CEILINGS:
        replicas = getattr(status.ceilings, limit, None)
        if replicas is not None:
            yield _Sample("ceiling_replicas", replicas, (limit,))
    yield from _one_of("limited_by", LimitedBy, status.limited_by)
    if status.llm is not None:
        yield from _of_llm(status.llm)
    for condition in status.conditions:
        for value in CONDITION_STATUSES:
            labels = (condition.type, value)
            yield _Sample("condition", float(condition.status == value), labels)


def _of_llm(llm: LlmStatus) -> Iterator[_Sample]:
    yield from _of_table(LLM_FIGURES, llm)
    for sample in _of_table(LLM_PERCENTAGES, llm):
        yield sample._replace(value=sample.value / WHOLE_PERCENT)
    yield from _of_table(BUDGET_FIGURES, llm.budget)
    yield from _one_of("zone", Zone, llm.zone)
    yield from _one_of("breaker", Quota, llm.quota)
    for refused in llm.refusals:
        yield _Sample("refused_per_minute", refused.per_minute, (refused.code,))


def _of_table(table: dict[str, tuple[str, str]], of: object) -> Iterator[_Sample]:
    for field, (metric, _) in table.items():
        value = getattr(of, field, None)
        if value is not None:
            yield _Sample(metric, value)


def _one_of(metric: str, states: type[StrEnum], state: StrEnum | None) -> Iterator[_Sample]:
    """Show 1 for the state that there is and 0 for the others; nothing where it is unknown."""
    if state is not None:
        for each in states:
            yield _Sample(metric, float(each is state), (each,))


def _times(llm: LlmStatus | None) -> Iterator[tuple[float, tuple[str, str]]]:
    """Return when each figure was read, in seconds since the epoch, with its name and source."""
    for figure in () if llm is None else llm.figures:
        try:
            at = datetime.fromisoformat(figure.at).timestamp()
        except ValueError:
            # A status that another hand has written may say anything.
            continue
        yield at, (figure.name, figure.source)
