"""What a user writes: the `spec` of a ScanWorkerPool."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import Field

from scanpool.models.base import Model, Rule
from scanpool.models.broker import Operation, Pattern
from scanpool.models.fallback import Fallback
from scanpool.models.fields import (
    MOST_REPLICAS,
    HostName,
    ObjectName,
    Percent,
    Replicas,
    SecretKeyRef,
    whole,
)
from scanpool.models.http_access import ClientCertificate
from scanpool.models.llm import MAX_LIMITS, ONLY, LimitName, Llm, NamedLlm
from scanpool.models.schedule import MAX_SCHEDULES, Schedule
from scanpool.models.spend import Spend

# RabbitMQ takes names of up to 255 bytes for queues and virtual hosts.
BrokerName = Annotated[str, Field(min_length=1, max_length=255)]
# As the API server has them: a group is a name in DNS, and the core one has none.
ApiVersion = Annotated[
    str,
    Field(
        max_length=317,
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
        r"[a-z]([-a-z0-9]*[a-z0-9])?$",
    ),
]
Kind = Annotated[str, Field(max_length=63, pattern=r"^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$")]
# More queues than any worker of the field consumes; the API server bounds the cost of the rules
# over a list by its longest length.
MAX_QUEUES = 50
MAX_POLICIES = 10
LONGEST_COOLDOWN_SECONDS = 86_400
# As in autoscaling/v2.
MAX_POLICY_PERIOD_SECONDS = 1800


class Mode(StrEnum):
    """Whether the operator acts on what it decides."""

    ENFORCE = "Enforce"
    OBSERVE = "Observe"


class PolicyType(StrEnum):
    """What a scaling policy's value counts."""

    PODS = "Pods"
    PERCENT = "Percent"


class SelectPolicy(StrEnum):
    """Which of several scaling policies counts."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class ScaleTargetRef(Model):
    """What has its replicas set by the pool: whatever has a /scale, as for an HPA."""

    api_version: ApiVersion = "apps/v1"
    """Group and version of its API, such as argoproj.io/v1alpha1."""
    kind: Kind = "Deployment"
    """A StatefulSet and a Deployment may be scaled as they are; any other kind takes a rule for the
    operator, which the pool's condition names."""
    name: ObjectName
    """Its name, in the pool's namespace."""


class Cost(Model):
    """What one message costs of one of several limits."""

    llm: LimitName
    """The limit's name in spec.llms."""
    per_message: Annotated[int, Field(ge=0, le=10**9)]
    """LLM tokens; where messages differ, on average."""


class Queue(Model):
    """A queue that the workers consume."""

    name: BrokerName
    use_regex: bool = False
    """The name is a regular expression: the pool follows all queues of the virtual host that it
    matches, anywhere in their names and in any case, together as one. Anchor it with ^ and $."""
    operation: Operation = Operation.SUM
    """With useRegex: whether the messages of all these queues count, or the most, or the average
    that any of them has."""
    exclude_unacknowledged: bool = False
    """Leave out messages that workers hold and have not acknowledged, such as tasks with a
    countdown, which wait there for their time."""
    messages_per_replica: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    """Messages, ready and unacked, that one replica is meant to have."""
    activation_messages: Annotated[int, whole(0, 1_000_000)] = 0
    """A pool at 0 replicas starts once a queue has more messages than this."""
    tokens_per_message: Annotated[int, Field(ge=0, le=10**9)] = 0
    """LLM tokens that one message costs; 0 where it calls no LLM."""
    tokens: Annotated[tuple[Cost, ...], Field(max_length=MAX_LIMITS)] = ()
    """What one message costs of which limit, beside spec.llms; of those that are left out,
    nothing."""

    @property
    def asked(self) -> str | Pattern:
        """What the broker is asked for."""
        return Pattern(self.name, self.operation) if self.use_regex else self.name

    @property
    def costs(self) -> Mapping[str, int]:
        """The tokens that one message costs, by the limit's name."""
        return {ONLY: self.tokens_per_message, **{one.llm: one.per_message for one in self.tokens}}

    def only(self, name: str) -> Self:
        """Return the queue as it would be with this limit only."""
        price = self.costs.get(name, 0)
        return self.model_copy(update={"tokens_per_message": price, "tokens": ()})

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.tokens.all(t, self.tokens.exists_one(u, u.llm == t.llm))",
            "a queue's tokens name each limit once",
            lambda m: len({one.llm for one in m.tokens}) == len(m.tokens),
        ),
    )


class RabbitMQ(Model):
    """The broker and the queues."""

    url_secret_ref: SecretKeyRef | None = None
    """amqp(s):// URL. On its own it shows only ready messages, not unacked ones."""
    management_url_secret_ref: SecretKeyRef | None = None
    """http(s):// URL of the management API, with user and password: shows ready and unacked
    messages, consumers and rates."""
    vhost: BrokerName | None = None
    """Virtual host; without it the one in the URL's path, else '/'."""
    ca_secret_ref: SecretKeyRef | None = None
    """PEM certificates to trust for amqps:// and https://."""
    client_certificate: ClientCertificate | None = None
    """For a broker that asks for a certificate. With it, an amqps:// URL without a user logs in by
    it (EXTERNAL)."""
    server_name: HostName | None = None
    """The name in the broker's certificate, asked for by SNI, where it is not the URL's host."""
    token_secret_ref: SecretKeyRef | None = None
    """An OAuth 2 access token, in the place of user and password. The Secret is read again every
    few seconds: let whoever renews the token write it there before it ends."""
    queues: Annotated[tuple[Queue, ...], Field(min_length=1, max_length=MAX_QUEUES)]

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.urlSecretRef) || has(self.managementUrlSecretRef)",
            "name the broker: set managementUrlSecretRef (ready and unacked messages), "
            "urlSecretRef (ready messages only), or both",
            lambda m: m.url_secret_ref is not None or m.management_url_secret_ref is not None,
        ),
        Rule(
            "has(self.managementUrlSecretRef) || self.queues.all(q, !q.useRegex)",
            "useRegex takes the management API, since AMQP lists no queues: set "
            "managementUrlSecretRef",
            lambda m: (
                m.management_url_secret_ref is not None
                or not any(queue.use_regex for queue in m.queues)
            ),
        ),
        Rule(
            "self.queues.all(q, self.queues.exists_one(r, r.name == q.name))",
            "queue names must be unique",
            lambda m: len({queue.name for queue in m.queues}) == len(m.queues),
        ),
    )


class Unschedulable(StrEnum):
    """What to do about replicas that no node takes."""

    WAIT = "Wait"
    HOLD = "Hold"


class MemoryTarget(Model):
    """How full the nodes may get."""

    enabled: bool = True
    """Cap replicas by the room on the nodes that exist."""
    target_utilization_percent: Percent = 85
    """Share of a node's allocatable memory that may be requested or used."""
    fallback: Fallback | None = None
    """What counts as the memory ceiling once the nodes stay unknown. Unset: the pool holds."""
    unschedulable: Unschedulable = Unschedulable.HOLD
    """Hold: never more replicas than the nodes have room for. Wait, where a cluster autoscaler adds
    nodes for pending pods: leave them pending, and grow on once they have found a node."""


class ScalingPolicy(Model):
    """The largest change within a period, as in autoscaling/v2."""

    type: PolicyType
    value: Annotated[int, whole(1, 10_000)]
    period_seconds: Annotated[int, whole(1, MAX_POLICY_PERIOD_SECONDS)]


class ScalingRules(Model):
    """Rules for one direction, as in autoscaling/v2."""

    stabilization_window_seconds: Annotated[int, whole(0, 3600)] | None = None
    """Default 0 for up, 300 for down."""
    select_policy: SelectPolicy = SelectPolicy.MAX
    policies: Annotated[tuple[ScalingPolicy, ...], Field(max_length=MAX_POLICIES)] = ()
    """Default up: the larger of 4 pods and 100% per 15 s; down: 100% per 15 s."""
    tolerance: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Relative deviation from the target below which nothing is changed."""


class Behavior(Model):
    """How fast replicas may change, as in autoscaling/v2."""

    scale_up: ScalingRules = ScalingRules()
    scale_down: ScalingRules = ScalingRules()


class PoolSpec(Model):
    """What to scale, on which queues, and below which ceilings."""

    scale_target_ref: ScaleTargetRef
    mode: Mode = Mode.ENFORCE
    """Observe decides and reports, and changes nothing."""
    min_replicas: Replicas = 1
    max_replicas: Annotated[int, whole(1, MOST_REPLICAS)]
    cooldown_seconds: Annotated[int, whole(0, LONGEST_COOLDOWN_SECONDS)] | None = None
    """With minReplicas 0: seconds for which no queue has had more than its activationMessages until
    the pool goes to 0. Without it the window of behavior.scaleDown decides."""
    schedules: Annotated[tuple[Schedule, ...], Field(max_length=MAX_SCHEDULES)] = ()
    """Other bounds at times; the last one that began counts until it ends."""
    polling_interval_seconds: Annotated[int, whole(1, 3600)] = 10
    rabbitmq: RabbitMQ
    llm: Llm | None = None
    """The provider's limit that the workers run into."""
    llms: Annotated[tuple[NamedLlm, ...], Field(max_length=MAX_LIMITS)] = ()
    """Several limits, by name, where the workers call more than one model or provider: the
    smallest ceiling counts. Beside them a queue says by tokens what a message costs of which."""
    memory: MemoryTarget = MemoryTarget()
    spend: Spend | None = None
    """A budget in money, beside the prices of the limits."""
    fallback: Fallback | None = None
    """What counts as the demand once the depth of the queues stays unknown. Unset: the pool
    holds."""
    behavior: Behavior = Behavior()

    @property
    def limits(self) -> Mapping[str, Llm]:
        """The provider's limits that the pool runs into, by name."""
        return {one.name: one for one in self.llms} if self.llm is None else {ONLY: self.llm}

    def only(self, name: str) -> Self:
        """Return the pool as it would be with this limit only: what is of one limit sees that."""
        if name == ONLY:
            return self
        queues = tuple(queue.only(name) for queue in self.rabbitmq.queues)
        return self.model_copy(
            update={
                "llm": self.limits[name],
                "llms": (),
                "rabbitmq": self.rabbitmq.model_copy(update={"queues": queues}),
            }
        )

    @property
    def readings(self) -> frozenset[str]:
        """What the pool asks for, by the names that the readings have in an Observation.

        Rates and paces need the management API, the provider a key and its probe, or several
        (`keys`), use a Prometheus.
        """
        counts = self.rabbitmq.management_url_secret_ref is not None
        asked = {
            "queues": True,
            "paces": counts,
            "nodes": self.memory.enabled,
            "rules": self.memory.enabled,
        }
        if (llm := self.llm) is not None:
            asked |= {
                "rates": counts,
                "provider": llm.is_probed and not llm.api_key_secret_refs,
                "keys": llm.is_probed and bool(llm.api_key_secret_refs),
                "configured": llm.admin is not None,
                "usage": llm.usage.prometheus is not None,
            }
        return frozenset(name for name, is_asked in asked.items() if is_asked)

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.minReplicas <= self.maxReplicas",
            "minReplicas must not be larger than maxReplicas",
            lambda m: m.min_replicas <= m.max_replicas,
        ),
        Rule(
            "self.schedules.all(s, self.schedules.exists_one(r, r.name == s.name))",
            "schedule names must be unique",
            lambda m: len({one.name for one in m.schedules}) == len(m.schedules),
        ),
        Rule(
            "self.schedules.all(s, (has(s.minReplicas) ? s.minReplicas : self.minReplicas) <= "
            "(has(s.maxReplicas) ? s.maxReplicas : self.maxReplicas))",
            "under a schedule, too, minReplicas must not be larger than maxReplicas: it has the "
            "pool's own where it sets none",
            lambda m: all(
                (m.min_replicas if one.min_replicas is None else one.min_replicas)
                <= (m.max_replicas if one.max_replicas is None else one.max_replicas)
                for one in m.schedules
            ),
        ),
        Rule(
            "!has(self.spend) || (has(self.llm) && has(self.llm.prices)) || "
            "self.llms.exists(l, has(l.prices))",
            "a budget needs prices: set those of llm, or of one of llms",
            # Of the lists as they are written: two limits of one name are another rule's matter.
            lambda m: (
                m.spend is None or any(one.prices for one in (*m.llms, *([m.llm] if m.llm else [])))
            ),
        ),
        Rule(
            "!has(self.llm) || self.llms.size() == 0",
            "set llm for one limit or llms for several, not both",
            lambda m: m.llm is None or not m.llms,
        ),
        Rule(
            "self.llms.all(l, self.llms.exists_one(o, o.name == l.name))",
            "names of llms must be unique",
            lambda m: len({one.name for one in m.llms}) == len(m.llms),
        ),
        Rule(
            "self.rabbitmq.queues.all(q, q.tokens.all(t, self.llms.exists(l, l.name == t.llm)))",
            "a queue's tokens name limits of llms: correct the name, or beside llm set "
            "tokensPerMessage",
            lambda m: (
                {one.llm for queue in m.rabbitmq.queues for one in queue.tokens}
                <= {one.name for one in m.llms}
            ),
        ),
        Rule(
            "self.llms.size() == 0 || self.rabbitmq.queues.all(q, q.tokensPerMessage == 0)",
            "tokensPerMessage goes with llm: beside llms set the queue's tokens, for each limit",
            lambda m: not m.llms or not any(q.tokens_per_message for q in m.rabbitmq.queues),
        ),
    )
