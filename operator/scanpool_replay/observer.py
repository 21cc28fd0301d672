"""Readings of the simulated world, in the types and with the delays of the product's sources.

Which readings a pool asks for follows from its spec, as in the product: rates need the management
API, the provider an API key and its probe, use a Prometheus, nodes the memory ceiling.
"""

from typing import TypeVar

from scanpool.models.conditions import Reason
from scanpool.models.observation import (
    KeyUsage,
    Node,
    Observation,
    Pod,
    PodTemplate,
    ProviderState,
    QueueDepth,
    QueueRates,
    Target,
)
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.spec import Llm, PoolSpec
from scanpool_replay.controllers.keda import FIGURES_PER_QUEUE
from scanpool_replay.pod import Phase
from scanpool_replay.pod import Pod as WorkerPod
from scanpool_replay.provider import Caller
from scanpool_replay.world import World
from scanpool_sandbox.limiter import Rejected

T = TypeVar("T")

MEBIBYTE = 1024 * 1024
SECONDS_PER_MINUTE = 60
# Any moment: decisions count in seconds since the epoch.
EPOCH_SECONDS = 1_800_000_000.0
PROBE_TOKENS = 10


def epoch(time: float) -> float:
    """Return a simulated time in seconds since the epoch."""
    return EPOCH_SECONDS + time


class Observer:
    """Reads what one pool asks for."""

    def __init__(self, world: World, spec: PoolSpec) -> None:
        self._world = world
        self._spec = spec
        self._probed: Available[ProviderState] | None = None

    def observe(self) -> Observation:
        """Read everything, now."""
        spec = self._spec
        observation = Observation(
            target=self._target(),
            queues=self._reading("queues", self._depths()),
            nodes=self._reading("nodes", self._nodes()) if spec.memory.enabled else None,
        )
        if spec.llm is None:
            return observation
        return Observation(
            target=observation.target,
            queues=observation.queues,
            nodes=observation.nodes,
            rates=self._reading("rates", self._rates(spec.llm))
            if spec.rabbitmq.management_url_secret_ref is not None
            else None,
            provider=self._provider(spec.llm)
            if spec.llm.api_key_secret_ref is not None and spec.llm.probe.enabled
            else None,
            usage=self._reading("usage", self._usage(spec.llm))
            if spec.llm.usage.prometheus is not None
            else None,
        )

    def _reading(self, name: str, found: Reading[T]) -> Reading[T]:
        return found if self._world.can_read(name) else _lost(name)

    def _target(self) -> Target:
        worker, cluster = self._world.scenario.worker, self._world.cluster
        template = PodTemplate(
            memory_request=worker.memory_request_mebibytes * MEBIBYTE,
            cpu_request=worker.cpu_request_millicores,
            memory_limit=worker.memory_limit_mebibytes * MEBIBYTE,
        )
        pods = tuple(_pod(pod) for pod in cluster.members())
        return Target("uid", cluster.desired, "app=scan-worker", template, pods)

    def _depths(self) -> Reading[tuple[QueueDepth, ...]]:
        """Return the totals call's answer: it does not lag."""
        broker = self._world.broker
        depths = []
        for queue in self._spec.rabbitmq.queues:
            stage = self._world.stage(queue.name)
            depths.append(QueueDepth(queue.name, broker.ready(stage), broker.unacked[stage]))
        return self._now(tuple(depths))

    def _rates(self, llm: Llm) -> Reading[tuple[QueueRates, ...]]:
        found = self._world.statistics.per_second(llm.usage.window_seconds)
        if found is None:
            return self._now(())
        at, figures = found
        rates = []
        for queue in self._spec.rabbitmq.queues:
            first = self._world.stage(queue.name) * FIGURES_PER_QUEUE
            _, published, acked = figures[first : first + FIGURES_PER_QUEUE]
            consumers = self._world.cluster.ready()
            rates.append(QueueRates(queue.name, published, acked, consumers))
        return Available(tuple(rates), epoch(at), "management")

    def _usage(self, llm: Llm) -> Reading[KeyUsage]:
        found = self._world.scrapes.per_second(llm.usage.window_seconds)
        prometheus = llm.usage.prometheus
        if found is None or prometheus is None:
            return Unavailable(Reason.USAGE_NOT_FOUND, "not scraped twice yet: wait")
        at, per_second = found
        tokens, calls, own_tokens, own_calls, refused = (
            figure * SECONDS_PER_MINUTE for figure in per_second
        )
        return Available(
            KeyUsage(
                tokens,
                calls,
                refused if prometheus.rate_limited_query is not None else None,
                own_tokens if prometheus.own_labels else None,
                own_calls if prometheus.own_labels else None,
            ),
            epoch(at),
            "prometheus",
        )

    def _provider(self, llm: Llm) -> Reading[ProviderState]:
        """Probe, unless the last answer is fresh enough to be shared."""
        if not self._world.can_read("provider"):
            return _lost("provider")
        now = epoch(self._world.engine.now)
        if self._probed is None or now - self._probed.at >= llm.probe.interval_seconds:
            self._probed = Available(self._probe(), now, "probe")
        return self._probed

    def _probe(self) -> ProviderState:
        provider = self._world.provider
        answer = provider.call(Caller.PROBE, PROBE_TOKENS)
        if isinstance(answer, Rejected) and answer.code == "insufficient_quota":
            return ProviderState(billing_code=answer.code)
        limiter, now = provider.limiter, self._world.engine.now
        return ProviderState(
            tokens_per_minute=provider.limit(),
            requests_per_minute=limiter.request_level(now).limit_per_minute,
            tokens_remaining=int(provider.level()),
            rate_limited=isinstance(answer, Rejected),
        )

    def _nodes(self) -> Reading[tuple[Node, ...]]:
        worker, settings = self._world.scenario.worker, self._world.scenario.nodes
        nodes = []
        for node in self._world.cluster.nodes.values():
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
        return Available(value, epoch(self._world.engine.now), "replay")


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
