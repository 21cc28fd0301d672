"""Specs, observations and memories with usual values: a test names only what it is about."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from scanpool.decide import Memory, Peers, assess, decide, followed, learn
from scanpool.decide.backoff import Backoff
from scanpool.decide.behavior import Recommendation
from scanpool.decide.belief import Belief
from scanpool.decide.bucket import Bucket
from scanpool.decide.ceilings import measure
from scanpool.decide.cost import Learned
from scanpool.decide.decision import Ceiling, Decision
from scanpool.decide.history import History
from scanpool.decide.limits import KnownLimits
from scanpool.decide.llm_signals import Flow, LlmSignals, Probed, Refused, Use
from scanpool.decide.memory import LlmMemory
from scanpool.decide.signals import Backlog, Demand, Signals, Workers
from scanpool.decide.signals import QueueDepth as QueueSignal
from scanpool.decide.working_sets import WorkingSets
from scanpool.kube.secret import Secret
from scanpool.models.claims import Claim
from scanpool.models.conditions import LimitedBy, Reason
from scanpool.models.fields import SecretKeyRef
from scanpool.models.llm import ONLY, Llm, Prometheus, Usage, UsagePreset
from scanpool.models.observation import (
    Node,
    Observation,
    Pod,
    PodTemplate,
    QueueDepth,
    QueueRates,
    Target,
)
from scanpool.models.pause import NO_PAUSE, Pause
from scanpool.models.reading import Available, Unavailable
from scanpool.models.spec import MemoryTarget, PoolSpec, Queue, RabbitMQ, ScaleTargetRef
from scanpool.models.units import MEBIBYTE

T = TypeVar("T")

# Seconds since the epoch; any moment would do.
NOW = 1_800_000_000.0
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


def secret(texts: Mapping[SecretKeyRef, str], name: str, version: str = "1") -> Available[Secret]:
    """Return a Secret with the texts of its keys."""
    data = {
        ref.key: base64.b64encode(text.encode()).decode()
        for ref, text in texts.items()
        if ref.name == name
    }
    return seen(Secret(f"Secret scan/{name}", version, data))


def unseen(reason: Reason = Reason.BROKER_UNREACHABLE) -> Unavailable:
    """Build a reading that failed."""
    return Unavailable(reason, f"{reason}: look there")


def depth(ready: int = 0, unacked: int | None = 0, name: str = VISION) -> QueueDepth:
    """Build the depth of a queue."""
    return QueueDepth(name, ready, unacked)


def rates(acked_per_second: float, name: str = VISION) -> QueueRates:
    """Build the rates of a queue that is consumed as fast as it is filled."""
    return QueueRates(name, acked_per_second)


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


def memory(
    history: History | None = None, working_sets: WorkingSets | None = None, **llm_parts: Any
) -> Memory:
    """Build a memory of these parts; those of the provider's limit by their names in LlmMemory."""
    llms = {ONLY: LlmMemory(**llm_parts)} if llm_parts else {}
    return Memory(history or History(), working_sets or WorkingSets(), llms)


def settled(replicas: int, at: float = NOW, **llm_parts: Any) -> Memory:
    """Build the memory of a pool that has long had these replicas, and wanted no others."""
    return memory(History((Recommendation(at - 86_400, replicas),)), **llm_parts)


def workers(ready: int = 2, starting: int = 0, **changes: Any) -> Workers:
    """Build the target as it stands: all it asks for is there, and took 30 s to start."""
    usual: dict[str, Any] = {
        "replicas": ready + starting,
        "pods": ready + starting,
        "ready": ready,
        "steady_since": None if starting else NOW - 600,
        "start_seconds": 30.0,
    }
    return Workers(**{**usual, **changes})


def backlog(ready: int = 0, wanted: int = 1, *, near: bool = False) -> Backlog:
    """Build what waits in one queue, and the replicas that it asks for."""
    messages = QueueSignal(VISION, ready, 0, ready * 3_000)
    return Backlog("test", (messages,), ready, ready, Demand(wanted, VISION, ready, 10), near)


def llm_signals(**changes: Any) -> LlmSignals:
    """Build what is known of a limit that nobody uses, with a probe that has been answered."""
    nobody = Flow(0.0, 0.0)
    usual: dict[str, Any] = {
        "use": Use(nobody, nobody, Flow(0.0, 0.0, 0.0), "test", NOW, NOW),
        "told": {},
        "limits": KnownLimits(),
        "probed": Probed(is_asked=True, at=NOW, source="probe"),
        "refused": Refused(per_minute=0.0, source="test", at=NOW),
        "hold_seconds": 90.0,
        "belief": Belief(),
        "bucket": Bucket(),
    }
    return LlmSignals(**{**usual, **changes})


def signals(llm: LlmSignals | None = None, **changes: Any) -> Signals:
    """Build the signals of a pool of two ready replicas for which nothing waits."""
    usual: dict[str, Any] = {
        "now": NOW,
        "workers": workers(),
        "backlog": backlog(),
        "gaps": (),
        "is_first_look": False,
        "working_sets": WorkingSets(),
        "llms": {} if llm is None else {ONLY: llm},
    }
    return Signals(**{**usual, **changes})


class Thought(NamedTuple):
    """What the three strides of a tick make."""

    signals: Signals
    memory: Memory
    decision: Decision


def think(
    spec: PoolSpec,
    observation: Observation,
    memory: Memory,
    now: float = NOW,
    peers: Sequence[Claim] = (),
    pause: Pause = NO_PAUSE,
) -> Thought:
    """Assess, learn and decide, as a tick does."""
    memory = followed(memory, now)
    found = assess(spec, observation, memory, now)
    learned = learn(spec, found, memory)
    claims = {ONLY: {ONLY: tuple(peers)}}
    others = Peers("scan/pool", claims)
    return Thought(found, learned, decide(spec, found, learned, others, pause))


def follow(observation: Observation, replicas: int) -> Observation:
    """Return the observation once the Deployment has these replicas, all running and ready."""
    there = target(replicas, template=observation.target.template)
    return replace(observation, target=there)


def decided(spec: PoolSpec, observation: Observation, memory: Memory | None = None) -> Decision:
    """Decide for a pool that has long had its replicas, unless told what it remembers."""
    known = settled(observation.target.replicas) if memory is None else memory
    return think(spec, observation, known).decision


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
    own = Flow(0.0, 0.0)
    known = LlmMemory(backoff=Backoff(NOW, NOW, factor), cost=Learned(per_replica))
    use = Use(own, own, Flow(others), "test", NOW, NOW)
    seen_now = signals(workers=workers(current), llm=llm_signals(use=use))
    found = measure(spec, seen_now, Memory(llms={ONLY: known}), Peers(), current)
    return found.by_limit[LimitedBy.TOKENS]
