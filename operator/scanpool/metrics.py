"""Prometheus metrics of the operator: what each pool's status says, and how ticks go."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from scanpool.models.decision import LimitedBy
from scanpool.models.status import PoolStatus

POOL = ("namespace", "pool")


class Metrics:
    """The metrics of one process. Figures that are unknown are absent, never zero."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"scanpool_pool_{name}", text, (*POOL, *labels), registry=registry)

        self._figures = {
            "replicas": gauge("replicas", "Replicas that the Deployment asks for."),
            "ready_replicas": gauge("ready_replicas", "Pods that report ready."),
            "desired_replicas": gauge("desired_replicas", "Replicas decided on."),
            "backlog": gauge("backlog_messages", "Messages, ready and unacked, in all queues."),
        }
        self._llm = {
            "limit_tokens_per_minute": gauge("tpm_limit", "Token limit, per minute."),
            "used_tokens_per_minute": gauge("tpm_used", "Tokens used on the key, per minute."),
            "headroom_tokens_per_minute": gauge(
                "tpm_headroom", "Token limit less tokens used, per minute."
            ),
            "tokens_per_replica_minute": gauge(
                "tpm_per_replica", "Tokens that one busy replica uses, per minute."
            ),
            "rate_limited_per_minute": gauge(
                "rate_limited_per_minute", "LLM calls refused with a rate-limit 429, per minute."
            ),
        }
        self._ceiling = gauge("ceiling_replicas", "Most replicas that a limit allows.", "limit")
        self._limited_by = gauge("limited_by", "1 for the rule that limits the pool.", "limit")
        self._condition = gauge(
            "condition", "1 for the status that a condition has.", "type", "status"
        )
        self._ticks = Counter(
            "scanpool_ticks_total", "Ticks by outcome.", ("outcome",), registry=registry
        )
        self._tick_seconds = Histogram(
            "scanpool_tick_duration_seconds", "Time that a tick took.", registry=registry
        )
        self._labelled: dict[tuple[str, str], set[tuple[Gauge, tuple[str, ...]]]] = {}

    def record(self, namespace: str, name: str, status: PoolStatus) -> None:
        """Show a pool's status; what it does not say any more disappears."""
        pool = (namespace, name)
        shown: set[tuple[Gauge, tuple[str, ...]]] = set()

        def show(metric: Gauge, value: float | None, *labels: str) -> None:
            if value is not None:
                metric.labels(*pool, *labels).set(value)
                shown.add((metric, (*pool, *labels)))

        for field, metric in self._figures.items():
            show(metric, getattr(status, field))
        for field, metric in self._llm.items():
            show(metric, getattr(status.llm, field, None))
        for limit in ("tokens", "requests", "memory"):
            show(self._ceiling, getattr(status.ceilings, limit, None), limit)
        if status.limited_by is not None:
            for limited_by in LimitedBy:
                show(self._limited_by, float(limited_by is status.limited_by), limited_by)
        for condition in status.conditions:
            for value in ("True", "False", "Unknown"):
                show(self._condition, float(condition.status == value), condition.type, value)
        self._drop(self._labelled.get(pool, set()) - shown)
        self._labelled[pool] = shown

    def forget(self, namespace: str, name: str) -> None:
        """Show nothing of a pool any more: it was deleted."""
        self._drop(self._labelled.pop((namespace, name), set()))

    def ticked(self, outcome: str, seconds: float) -> None:
        """Count a tick; `outcome` is ok, timeout or error."""
        self._ticks.labels(outcome).inc()
        self._tick_seconds.observe(seconds)

    @staticmethod
    def _drop(labelled: set[tuple[Gauge, tuple[str, ...]]]) -> None:
        for metric, labels in labelled:
            metric.remove(*labels)
