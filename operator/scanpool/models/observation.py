"""What one tick sees of the world, in plain frozen values.

Units: seconds since the epoch for times, bytes for memory, millicores for CPU, tokens and requests
per minute for LLM rates, messages per second for queue rates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from scanpool.models.claims import Unit
from scanpool.models.error_codes import SLOW_DOWN, Refusals, is_slow_down
from scanpool.models.placement import HostPort, NamespaceRules, Placement
from scanpool.models.reading import Reading, Unavailable
from scanpool.models.resource import DEPLOYMENTS, Resource
from scanpool.models.rivals import Rival, Writer
from scanpool.models.stopping import Ended, Stopping
from scanpool.models.today import Today


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Toleration:
    """A toleration of a pod template; empty strings are wildcards, as in core/v1."""

    key: str
    operator: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """What the scheduler needs of one more replica, and how one is stopped."""

    memory_request: int
    cpu_request: int
    memory_limit: int | None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    placement: Placement = field(default_factory=Placement)
    stopping: Stopping | None = None


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of the target that is not being deleted.

    `restarted_at` is when the kubelet last stopped its containers with a liveness probe, but for
    want of memory, to start them again. `deletion_cost` says how dear it is when replicas are taken
    away, as its annotation has it; a pod `goes_by_cost` where its controller heeds that.
    """

    name: str
    node: str | None
    ready: bool
    created_at: float
    ready_at: float | None = None
    unschedulable: str | None = None
    oom_killed_at: float | None = None
    restarted_at: tuple[float, ...] = ()
    address: str | None = None
    deletion_cost: str | None = None
    memory_used: int | None = None
    goes_by_cost: bool = True


@dataclass(frozen=True, slots=True)
class Target:
    """What the pool scales, as it stands. `draining` are pods told to go and not gone yet.

    `leaving_from` names their nodes, one as often as such a pod is on it.
    `template` is None where neither the object nor a pod of it has told what a replica takes.
    `writers` are those that own its replicas, `ended` the pods that were told to go and have gone.
    `asked` is what its youngest pod takes of a node, with all that was added as it was made, and
    `ports` are those of the node that it has.
    """

    uid: str
    replicas: int
    selector: str
    template: PodTemplate | None
    pods: tuple[Pod, ...]
    draining: int = 0
    writers: tuple[Writer, ...] = ()
    ended: tuple[Ended, ...] = ()
    asked: Mapping[str, int] = field(default_factory=dict)
    resource: Resource = DEPLOYMENTS
    leaving_from: tuple[str, ...] = ()
    ports: tuple[HostPort, ...] = ()

    @property
    def ready_replicas(self) -> int:
        """Pods that report ready."""
        return sum(pod.ready for pod in self.pods)


@dataclass(frozen=True, slots=True)
class Node:
    """A node and what is taken of it, by everyone.

    `extended_free` is what is left of all that is neither memory nor CPU nor a pod's slot, `ports`
    are those of the node that pods on it have.
    """

    name: str
    memory_allocatable: int
    cpu_allocatable: int
    pods_allocatable: int
    memory_requested: int
    cpu_requested: int
    pods_running: int
    ready: bool = True
    schedulable: bool = True
    memory_pressure: bool = False
    memory_used: int | None = None
    extended_free: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    ports: frozenset[HostPort] = frozenset()


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """Messages of one queue; `unacked` is None where the source cannot see it (AMQP)."""

    name: str
    ready: int
    unacked: int | None

    @property
    def messages(self) -> int:
        """Ready and, where visible, unacked messages."""
        return self.ready + (self.unacked or 0)


@dataclass(frozen=True, slots=True)
class QueueRates:
    """What is worked off of one queue, averaged over the usage window."""

    name: str
    acked_per_second: float


@dataclass(frozen=True, slots=True)
class QueuePace:
    """How long messages of a queue may wait for a worker, and how fast it is worked off.

    `message_ttl_seconds` is None where they may wait for ever. `acked_per_second` is the average
    over a window, `delivered` how many were handed out so far; None is unknown.
    """

    name: str
    message_ttl_seconds: float | None = None
    acked_per_second: float | None = None
    delivered: int | None = None


LIMIT_FIELDS = {
    Unit.TOKENS: "tokens_per_minute",
    Unit.INPUT_TOKENS: "input_tokens_per_minute",
    Unit.OUTPUT_TOKENS: "output_tokens_per_minute",
    Unit.REQUESTS: "requests_per_minute",
    Unit.TOKENS_A_DAY: "tokens_per_day",
    Unit.REQUESTS_A_DAY: "requests_per_day",
}
"""Where a limit in a unit is in what the provider said."""


@dataclass(frozen=True, slots=True)
class ProviderState:
    """What the provider said to the last probe.

    Limits are None where its headers did not tell a plausible per-minute limit; those of input and
    output tokens are told by providers that count them apart. `tokens_remaining` is the level of
    the token bucket: what may be spent at once, not unused rate. A billing code means that it
    refuses every call until someone pays. `tokens_spent` is what the probe itself took.

    `tokens_per_day` and `requests_per_day` are limits of a day, where its headers tell them;
    `tokens_today` and `requests_today` what is left of them.
    `used_up_quota` is one of a day or longer that is used up, as the provider calls it, and
    `refused_until` when a refusal ends, in seconds since the epoch, where its answer tells.
    """

    tokens_per_minute: int | None = None
    requests_per_minute: int | None = None
    tokens_remaining: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    tokens_spent: int | None = None
    billing_code: str | None = None
    rate_limited: bool = False
    slow_down: bool = False
    tokens_per_day: int | None = None
    requests_per_day: int | None = None
    used_up_quota: str | None = None
    refused_until: float | None = None
    tokens_today: Today | None = None
    requests_today: Today | None = None

    @property
    def refused_with(self) -> str | None:
        """Why calls are refused for longer than a minute: nobody pays, or a quota is used up."""
        return self.billing_code or self.used_up_quota

    def limit(self, unit: Unit) -> int | None:
        """Return the limit that it tells of a unit."""
        told: int | None = getattr(self, LIMIT_FIELDS[unit])
        return told

    @property
    def today(self) -> Mapping[Unit, Today]:
        """What it tells to be left of limits of a day."""
        told = {Unit.TOKENS_A_DAY: self.tokens_today, Unit.REQUESTS_A_DAY: self.requests_today}
        return {unit: one for unit, one in told.items() if one is not None}


@dataclass(frozen=True, slots=True)
class ConfiguredLimits:
    """The limits that the provider's administration says a project has; None is not said."""

    tokens_per_minute: int | None = None
    requests_per_minute: int | None = None

    def limit(self, unit: Unit) -> int | None:
        """Return the limit per minute that it tells of a unit."""
        told = {Unit.TOKENS: self.tokens_per_minute, Unit.REQUESTS: self.requests_per_minute}
        return told.get(unit)


@dataclass(frozen=True, slots=True)
class KeyUsage:
    """What everyone on the key and model uses, averaged over the usage window.

    `own_` is the pool's part of it, where the source can tell it apart. `rate_limited_per_minute`
    are the refusals that say that a limit is reached; `refusals` are all, by code. None: the source
    does not count it.
    """

    tokens_per_minute: float
    requests_per_minute: float | None = None
    rate_limited_per_minute: float | None = None
    own_tokens_per_minute: float | None = None
    own_requests_per_minute: float | None = None
    output_tokens_per_minute: float | None = None
    own_output_tokens_per_minute: float | None = None
    own_refused_per_minute: float | None = None
    refusals: tuple[Refusals, ...] = ()

    @property
    def refused_codes(self) -> frozenset[str]:
        """The codes with which calls are being refused; SLOW_DOWN however it is spelled."""
        met = (one.code for one in self.refusals if one.per_minute > 0)
        return frozenset(SLOW_DOWN if is_slow_down(code) else code for code in met)


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that is read for one tick. None: the pool does not ask for this reading.

    `keys` is what the provider says with each of several keys, by their names, without those that
    are another one's again; `provider` is its word with the only key, or what `keys` come to.

    Beside each of several limits there is an observation of its own (`by_limit`): rates are
    averages over its window. `queue_gaps` are the queues that are missing among `queues`, or may
    have more messages than shown: what they ask for beyond is unknown. `rivals` are others that
    mean to set the replicas of the same target. `rules` are the quotas and limits of its namespace.
    `paces` only warn: nothing waits for them where they are missing.
    """

    target: Target
    queues: Reading[tuple[QueueDepth, ...]]
    rates: Reading[tuple[QueueRates, ...]] | None = None
    provider: Reading[ProviderState] | None = None
    usage: Reading[KeyUsage] | None = None
    nodes: Reading[tuple[Node, ...]] | None = None
    configured: Reading[ConfiguredLimits] | None = None
    queue_gaps: tuple[Unavailable, ...] = ()
    by_limit: Mapping[str, "Observation"] = field(default_factory=dict)
    keys: Reading[Mapping[str, Reading[ProviderState]]] | None = None
    rivals: Reading[tuple[Rival, ...]] | None = None
    rules: Reading[NamespaceRules] | None = None
    paces: Reading[tuple[QueuePace, ...]] | None = None

    def only(self, name: str) -> "Observation":
        """Return what is seen beside one limit."""
        return self.by_limit.get(name, self)


def of_limits(seen: Mapping[str, Observation]) -> Observation:
    """Return what is seen beside all limits of a pool, by their names."""
    first = next(iter(seen.values()))
    if len(seen) == 1:
        return first
    return replace(first, provider=None, keys=None, usage=None, configured=None, by_limit=seen)
