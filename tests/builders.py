"""Specs, observations and memories with usual values: a test names only what it is about."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from scanpool.decide import decide
from scanpool.decide.ceilings import measure
from scanpool.models.conditions import Reason
from scanpool.models.decision import Ceiling, Decision
from scanpool.models.fields import SecretKeyRef
from scanpool.models.llm import Llm, Prometheus, Usage, UsagePreset
from scanpool.models.memory import Memory, Recommendation
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
from scanpool.models.reading import Available, Unavailable
from scanpool.models.spec import MemoryTarget, PoolSpec, Queue, RabbitMQ, ScaleTargetRef

T = TypeVar("T")

# Seconds since the epoch; any moment would do.
NOW = 1_800_000_000.0
MEBIBYTE = 1024 * 1024
VISION = "scan.vision"
ANSWER = "scan.answer"
BROKER = SecretKeyRef(name="scan-secret", key="RABBITMQ_API_URL")
API_KEY = SecretKeyRef(name="scan-secret", key="OPENAI_API_KEY")
WHOLE_KEY = Usage(
    prometheus=Prometheus(url="http://prometheus:9090", preset=UsagePreset.OTEL_GENAI)
)
TEMPLATE = PodTemplate(memory_request=512 * MEBIBYTE, cpu_request=250, memory_limit=1024 * MEBIBYTE)


def queue(name: str = VISION, *, per_replica: int = 10, tokens: int = 3_000) -> Queue:
    """Build a queue; `tokens` per message."""
    return Queue(name=name, messages_per_replica=per_replica, tokens_per_message=tokens)


def llm(**changes: Any) -> Llm:
    """Build the provider's part of a spec: 2 M TPM to 85%, half a million per replica."""
    usual: dict[str, Any] = {
        "model": "gpt-5.2",
        "tokens_per_minute": 2_000_000,
        "tokens_per_replica_minute": 500_000,
    }
    return Llm(**{**usual, **changes})


def pool(*queues: Queue, **changes: Any) -> PoolSpec:
    """Build a pool of 1 to 10 replicas that no ceiling applies to."""
    usual: dict[str, Any] = {
        "scale_target_ref": ScaleTargetRef(name="scan-worker"),
        "min_replicas": 1,
        "max_replicas": 10,
        "rabbitmq": RabbitMQ(management_url_secret_ref=BROKER, queues=queues or (queue(),)),
        "memory": MemoryTarget(enabled=False),
    }
    return PoolSpec(**{**usual, **changes})


def seen(value: T, at: float = NOW) -> Available[T]:
    """Build a reading that succeeded."""
    return Available(value, at, "test")


def unseen(reason: Reason = Reason.BROKER_UNREACHABLE) -> Unavailable:
    """Build a reading that failed."""
    return Unavailable(reason, f"{reason}: look there")


def depth(ready: int = 0, unacked: int | None = 0, name: str = VISION) -> QueueDepth:
    """Build the depth of a queue."""
    return QueueDepth(name, ready, unacked)


def rates(acked_per_second: float, name: str = VISION) -> QueueRates:
    """Build the rates of a queue that is consumed as fast as it is filled."""
    return QueueRates(name, acked_per_second, acked_per_second, consumers=1)


def pods(count: int, **changes: Any) -> tuple[Pod, ...]:
    """Build pods that became ready 30 s after their creation, ten minutes ago."""
    usual: dict[str, Any] = {
        "node": "node-a",
        "ready": True,
        "created_at": NOW - 630,
        "ready_at": NOW - 600,
    }
    return tuple(Pod(name=f"scan-worker-{one}", **{**usual, **changes}) for one in range(count))


def target(
    replicas: int = 1, running: Sequence[Pod] | None = None, template: PodTemplate = TEMPLATE
) -> Target:
    """Build a Deployment whose replicas are all ready, unless told which pods there are."""
    there = pods(replicas) if running is None else tuple(running)
    return Target("uid", replicas, "app=scan-worker", template, there)


def node(name: str = "node-a", **changes: Any) -> Node:
    """Build an empty node with 4096Mi, two cores and 110 pod slots."""
    usual: dict[str, Any] = {
        "memory_allocatable": 4096 * MEBIBYTE,
        "cpu_allocatable": 2_000,
        "pods_allocatable": 110,
        "memory_requested": 0,
        "cpu_requested": 0,
        "pods_running": 0,
    }
    return Node(name=name, **{**usual, **changes})


def observe(replicas: int = 1, messages: int | None = None, **changes: Any) -> Observation:
    """Build what a tick sees: `replicas` ready pods and one queue with `messages` unacked."""
    usual: dict[str, Any] = {
        "target": target(replicas),
        "queues": unseen() if messages is None else seen((depth(unacked=messages),)),
    }
    return Observation(**{**usual, **changes})


def blinded(observation: Observation, *readings: str) -> Observation:
    """Return the observation with these readings failed."""
    failed: dict[str, Any] = {reading: unseen() for reading in readings}
    return replace(observation, **failed)


def settled(replicas: int, at: float = NOW) -> Memory:
    """Build the memory of a pool that has long had these replicas, and wanted no others."""
    return Memory(recommendations=(Recommendation(at - 86_400, replicas),))


def follow(observation: Observation, replicas: int) -> Observation:
    """Return the observation once the Deployment has these replicas, all running and ready."""
    there = target(replicas, template=observation.target.template)
    return replace(observation, target=there)


def decided(spec: PoolSpec, observation: Observation, memory: Memory | None = None) -> Decision:
    """Decide for a pool that has long had its replicas, unless told what it remembers."""
    known = settled(observation.target.replicas) if memory is None else memory
    return decide(spec, observation, known, NOW)[0]


def token_ceiling(
    limit: int | None,
    others: float | None = 0,
    per_replica: float | None = 500_000,
    percent: int = 85,
    factor: float = 1.0,
    current: int = 3,
) -> Ceiling:
    """Return the token ceiling of a pool that is alone; None of a number is unknown."""
    spec = pool(
        llm=llm(
            tokens_per_minute=limit,
            api_key_secret_ref=API_KEY,
            tokens_per_replica_minute=None,
            target_utilization_percent=percent,
            usage=WHOLE_KEY,
        )
    )
    observation = observe(
        current,
        provider=seen(ProviderState()),
        usage=unseen() if others is None else seen(KeyUsage(others, own_tokens_per_minute=0.0)),
    )
    memory = Memory(
        tokens_per_replica=per_replica, rate_limited_at=NOW, backoff_at=NOW, backoff_factor=factor
    )
    found = measure(spec, observation, memory, current, NOW).tokens
    assert found is not None
    return found
