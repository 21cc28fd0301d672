"""Readings of the simulated world, in the types and with the delays of the product's sources.

Which readings a pool asks for follows from its spec, as in the product.
"""

from typing import TYPE_CHECKING, Any, TypeVar

from scanpool.models.conditions import Reason
from scanpool.models.error_codes import Refusals
from scanpool.models.llm import Usage
from scanpool.models.observation import (
    KeyUsage,
    Node,
    Observation,
    Pod,
    PodTemplate,
    QueueDepth,
    QueueRates,
    Target,
)
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.spec import PoolSpec
from scanpool.models.units import MEBIBYTE
from scanpool_replay.controllers.keda import FIGURES_PER_QUEUE
from scanpool_replay.operator import Operator, epoch
from scanpool_replay.pipeline import Pipeline
from scanpool_replay.pod import Phase
from scanpool_replay.pod import Pod as WorkerPod

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Observer:
    """Reads what one pool asks for; `operator` is the process that it shares reads with."""

    def __init__(self, pipeline: Pipeline, spec: PoolSpec, operator: Operator) -> None:
        self._pipeline = pipeline
        self._spec = spec
        self._operator = operator
        self._window = Usage().window_seconds if spec.llm is None else spec.llm.usage.window_seconds

    def observe(self, probe_age: float) -> Observation:
        """Read what the pool asks for, now. A probe is shared for `probe_age` seconds."""
        readers: dict[str, Callable[[], Reading[Any]]] = {
            "queues": self._depths,
            "nodes": self._nodes,
            "rates": self._rates,
            "usage": self._usage,
            "provider": lambda: self._operator.probe(self._pipeline, probe_age),
        }
        can_read = self._pipeline.outages.can_read
        found: dict[str, Any] = {
            name: read() if can_read(name) else _lost(name)
            for name, read in readers.items()
            if name in self._spec.readings
        }
        return Observation(target=self._target(), **found)

    def _target(self) -> Target:
        worker, cluster = self._pipeline.scenario.worker, self._pipeline.cluster
        template = PodTemplate(
            memory_request=worker.memory_request_mebibytes * MEBIBYTE,
            cpu_request=worker.cpu_request_millicores,
            memory_limit=worker.memory_limit_mebibytes * MEBIBYTE,
        )
        members = cluster.members()
        draining = len(cluster.pods) - len(members)
        pods = tuple(_pod(pod) for pod in members)
        return Target("uid", cluster.desired, "app=scan-worker", template, pods, draining)

    def _depths(self) -> Reading[tuple[QueueDepth, ...]]:
        """Return the totals call's answer: it does not lag."""
        broker = self._pipeline.broker
        depths = []
        for queue in self._spec.rabbitmq.queues:
            stage = self._pipeline.stage(queue.name)
            depths.append(QueueDepth(queue.name, broker.ready(stage), broker.unacked[stage]))
        return self._now(tuple(depths))

    def _rates(self) -> Reading[tuple[QueueRates, ...]]:
        found = self._pipeline.statistics.per_second(self._window)
        if found is None:
            return self._now(())
        at, figures = found
        rates = []
        for queue in self._spec.rabbitmq.queues:
            first = self._pipeline.stage(queue.name) * FIGURES_PER_QUEUE
            _, _, acked = figures[first : first + FIGURES_PER_QUEUE]
            rates.append(QueueRates(queue.name, acked))
        return Available(tuple(rates), epoch(at), "management")

    def _usage(self) -> Reading[KeyUsage]:
        found = self._pipeline.used_per_minute(self._window)
        prometheus = None if self._spec.llm is None else self._spec.llm.usage.prometheus
        if found is None or prometheus is None:
            return Unavailable(Reason.USAGE_NOT_FOUND, "not scraped twice yet: wait")
        at, used = found
        is_told = prometheus.preset is not None  # a query of one's own tells one number
        is_own = bool(prometheus.own_labels)
        refused = prometheus.rate_limited_query is not None or is_told
        usage = KeyUsage(
            used.tokens,
            used.calls if is_told else None,
            used.rate_refusals if refused else None,
            used.own_tokens if is_own else None,
            used.own_calls if is_own else None,
            own_refused_per_minute=used.own_refusals if is_own else None,
            refusals=(
                Refusals("rate_limit_exceeded", used.rate_refusals),
                Refusals("insufficient_quota", used.quota_refusals),
            )
            if is_told
            else (),
        )
        return Available(usage, epoch(at), "prometheus")

    def _nodes(self) -> Reading[tuple[Node, ...]]:
        worker, settings = self._pipeline.scenario.worker, self._pipeline.scenario.nodes
        nodes = []
        for node in self._pipeline.cluster.nodes.values():
            count = len(node.pods)
            nodes.append(
                Node(
                    name=node.name,
                    memory_allocatable=settings.memory_mebibytes * MEBIBYTE,
                    cpu_allocatable=settings.cpu_millicores,
                    pods_allocatable=settings.pods,
                    memory_requested=count * worker.memory_request_mebibytes * MEBIBYTE,
                    cpu_requested=count * worker.cpu_request_millicores,
                    pods_running=count,
                    memory_used=int(node.memory() * MEBIBYTE),
                )
            )
        return self._now(tuple(nodes))

    def _now(self, value: T) -> Available[T]:
        return Available(value, epoch(self._pipeline.engine.now), "replay")


def _pod(pod: WorkerPod) -> Pod:
    return Pod(
        name=pod.name,
        node=pod.node,
        ready=pod.phase is Phase.READY,
        created_at=epoch(pod.created_at),
        ready_at=None if pod.ready_at is None else epoch(pod.ready_at),
        unschedulable="no node has room for its requests" if pod.node is None else None,
        oom_killed_at=None if pod.oom_killed_at is None else epoch(pod.oom_killed_at),
        memory_used=int(pod.memory * MEBIBYTE) or None,
    )


def _lost(name: str) -> Unavailable:
    return Unavailable(Reason.DEADLINE_EXCEEDED, f"the source of {name} does not answer")
