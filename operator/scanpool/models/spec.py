"""What a user writes: the `spec` of a ScanWorkerPool."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from scanpool.models.base import Model, Rule

# Kubernetes' own bounds for the names of objects and for the keys of a Secret.
ObjectName = Annotated[
    str,
    Field(
        max_length=253, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
    ),
]
SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
# RabbitMQ takes names of up to 255 bytes for queues and virtual hosts.
BrokerName = Annotated[str, Field(min_length=1, max_length=255)]
HttpUrl = Annotated[str, Field(max_length=2048, pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]
Percent = Annotated[int, Field(ge=1, le=100)]
# More than any Deployment of the field has.
MOST_REPLICAS = 10_000
# The API server counts in 32 bits for replicas and 64 bits for tokens.
Replicas = Annotated[int, Field(ge=0, le=MOST_REPLICAS, json_schema_extra={"format": "int32"})]
PerMinute = Annotated[int, Field(ge=1, le=10**12, json_schema_extra={"format": "int64"})]

# More queues than any worker of the field consumes; the API server bounds the cost of the rules
# over a list by its longest length.
MAX_QUEUES = 50
MAX_POLICIES = 10
# As in autoscaling/v2.
MAX_POLICY_PERIOD_SECONDS = 1800


class Mode(StrEnum):
    """Whether the operator acts on what it decides."""

    ENFORCE = "Enforce"
    OBSERVE = "Observe"


class Provider(StrEnum):
    """Whose limits the pool's workers run into."""

    OPENAI = "openai"
    AZURE_OPENAI = "azure-openai"
    ANTHROPIC = "anthropic"


# Where a provider's API is when the spec names no base URL. Azure's is each customer's own.
BASE_URLS = {
    Provider.OPENAI: "https://api.openai.com/v1",
    Provider.ANTHROPIC: "https://api.anthropic.com/v1",
}


class UsagePreset(StrEnum):
    """Metric families that are known to count the tokens of a key."""

    OTEL_GENAI = "otel-genai"
    LITELLM = "litellm"
    KONG = "kong"


class OnQuotaExhausted(StrEnum):
    """What becomes of the workers while the provider refuses every call for billing reasons."""

    SCALE_TO_MIN = "ScaleToMin"
    SCALE_TO_ZERO = "ScaleToZero"
    HOLD = "Hold"


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
    """The Deployment whose replicas the pool sets."""

    api_version: Annotated[str, Field(pattern=r"^apps/v1$")] = "apps/v1"
    kind: Annotated[str, Field(pattern=r"^Deployment$")] = "Deployment"
    name: ObjectName = Field(description="Name of a Deployment in the pool's namespace.")


class SecretKeyRef(Model):
    """One key of a Secret in the pool's namespace."""

    name: ObjectName
    key: SecretKey


class Queue(Model):
    """A queue that the workers consume."""

    name: BrokerName
    messages_per_replica: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000,
            description="Messages, ready and unacked, that one replica is meant to have.",
        ),
    ] = 10
    tokens_per_message: Annotated[
        int,
        Field(
            ge=0,
            le=10**9,
            description="LLM tokens that one message costs; 0 where it calls no LLM.",
        ),
    ] = 0


class RabbitMQ(Model):
    """The broker and the queues."""

    url_secret_ref: SecretKeyRef | None = Field(
        None,
        description="amqp(s):// URL. On its own it shows only ready messages, not unacked ones.",
    )
    management_url_secret_ref: SecretKeyRef | None = Field(
        None,
        description="http(s):// URL of the management API, with user and password: "
        "shows ready and unacked messages, consumers and rates.",
    )
    vhost: BrokerName | None = Field(
        None, description="Virtual host; without it the one in the URL's path, else '/'."
    )
    ca_secret_ref: SecretKeyRef | None = Field(
        None, description="PEM certificates to trust for amqps:// and https://."
    )
    queues: Annotated[tuple[Queue, ...], Field(min_length=1, max_length=MAX_QUEUES)]

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.urlSecretRef) || has(self.managementUrlSecretRef)",
            "name the broker: set managementUrlSecretRef (ready and unacked messages), "
            "urlSecretRef (ready messages only), or both",
            lambda m: m.url_secret_ref is not None or m.management_url_secret_ref is not None,
        ),
        Rule(
            "self.queues.all(q, self.queues.exists_one(r, r.name == q.name))",
            "queue names must be unique",
            lambda m: len({queue.name for queue in m.queues}) == len(m.queues),
        ),
    )


class Label(Model):
    """A label of a Prometheus series, and the value that it has to have."""

    name: Annotated[str, Field(max_length=128, pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
    value: Annotated[str, Field(max_length=512)]


class Prometheus(Model):
    """Where the tokens that the whole key uses are counted."""

    url: HttpUrl
    preset: UsagePreset | None = Field(
        None, description="Metric names of a known exporter, filtered by the pool's model."
    )
    query: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        None,
        description="PromQL that returns tokens per minute as one number, instead of a preset.",
    )
    rate_limited_query: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        None,
        description="PromQL that returns the LLM calls refused with a rate-limit 429, per minute.",
    )
    own_labels: Annotated[tuple[Label, ...], Field(max_length=10)] = Field(
        (),
        description="Labels that pick the pool's own workers out of the preset's series. Without "
        "them the own share is taken from acknowledged messages, which lag by some seconds.",
    )
    bearer_token_secret_ref: SecretKeyRef | None = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.preset) != has(self.query)",
            "set exactly one of preset and query",
            lambda m: (m.preset is None) != (m.query is None),
        ),
        Rule(
            "!has(self.query) || self.ownLabels.size() == 0",
            "ownLabels go with a preset: leave them out beside a query",
            lambda m: m.query is None or not m.own_labels,
        ),
    )


class Usage(Model):
    """How the use of the limit is measured."""

    prometheus: Prometheus | None = Field(
        None,
        description="Tokens that everyone on the key uses. Without it only the pool's own use is "
        "seen, as acknowledged messages times tokens per message.",
    )
    window_seconds: Annotated[
        int,
        Field(
            ge=10,
            le=600,
            description="Length of the window over which rates are averaged.",
            json_schema_extra={"format": "int32"},
        ),
    ] = 60


class Probe(Model):
    """The smallest call that shows the provider's limits: one request, a few tokens.

    Pools of one key and model share it.
    """

    enabled: bool = True
    interval_seconds: Annotated[
        int, Field(ge=1, le=3600, json_schema_extra={"format": "int32"})
    ] = 60


class Admin(Model):
    """OpenAI's Admin API, which tells the limits that a project is configured with."""

    api_key_secret_ref: SecretKeyRef = Field(
        description="An admin key, which is not the key that the workers use."
    )
    project_id: Annotated[
        str,
        Field(
            max_length=128,
            pattern=r"^[A-Za-z0-9_-]+$",
            description="The project of the workers' key, such as proj_abc.",
        ),
    ]


class Ramp(Model):
    """How fast the key's use may be planned to grow, as providers ask of traffic that is new."""

    percent: Annotated[
        int,
        Field(
            ge=1,
            le=1000,
            description="Growth that is allowed within the period.",
            json_schema_extra={"format": "int32"},
        ),
    ] = 50
    period_seconds: Annotated[int, Field(ge=60, le=3600, json_schema_extra={"format": "int32"})] = (
        900
    )
    above_tokens_per_minute: PerMinute = Field(
        1_000_000, description="Up to this use growth is free."
    )


class Llm(Model):
    """The provider's limits and how near to them the pool may go."""

    provider: Provider = Provider.OPENAI
    model: Annotated[str, Field(min_length=1, max_length=256)]
    base_url: HttpUrl | None = Field(
        None,
        description="Base URL of the API that the workers call: for Azure, a gateway or a "
        "stand-in. Unset: the provider's own.",
    )
    api_version: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9.-]+$")] | None = Field(
        None,
        description="Azure only: the api-version of paths that name the deployment, such as "
        "2024-10-21. Unset: the v1 API.",
    )
    api_key_secret_ref: SecretKeyRef | None = Field(
        None, description="The key that the workers burn; the probe uses it to read the limits."
    )
    tokens_per_minute: PerMinute | None = Field(
        None,
        description="Token limit (TPM). If the probe sees the provider's too, the smaller counts.",
    )
    requests_per_minute: PerMinute | None = Field(
        None,
        description="Request limit (RPM). If the probe sees the provider's too, the smaller one.",
    )
    target_utilization_percent: Percent = Field(
        85, description="Share of the limit that scaling up may plan to use."
    )
    tokens_per_replica_minute: PerMinute | None = Field(
        None,
        description="Tokens per minute that one busy replica uses, until the pool has learned it.",
    )
    weight: Annotated[
        int,
        Field(
            ge=1,
            le=1000,
            description="Share of the limit beside other pools of the same key and model.",
            json_schema_extra={"format": "int32"},
        ),
    ] = 1
    ramp: Ramp | None = Field(
        None, description="Limit the growth of use. Unset: only a slow_down of the provider does."
    )
    admin: Admin | None = Field(
        None, description="Read the limits where the provider's answers do not tell them."
    )
    burst_seconds: (
        Annotated[int, Field(ge=60, le=3600, json_schema_extra={"format": "int32"})] | None
    ) = Field(
        None,
        description="Plan to spend what the provider's token bucket holds within this time, on top "
        "of the target. Unset: the bucket is left alone.",
    )
    on_quota_exhausted: OnQuotaExhausted = Field(
        OnQuotaExhausted.SCALE_TO_MIN,
        description="ScaleToZero keeps messages waiting in the queue instead of failing.",
    )
    usage: Usage = Usage()
    probe: Probe = Probe()

    @property
    def api_base(self) -> str:
        """The base URL of the API."""
        return self.base_url or BASE_URLS[self.provider]

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.tokensPerMinute) || has(self.admin) || "
            "(has(self.apiKeySecretRef) && self.probe.enabled)",
            "the token limit cannot be known: set tokensPerMinute, "
            "or apiKeySecretRef with the probe enabled",
            lambda m: (
                m.tokens_per_minute is not None
                or m.admin is not None
                or (m.api_key_secret_ref is not None and m.probe.enabled)
            ),
        ),
        Rule(
            "self.provider != 'azure-openai' || has(self.baseUrl)",
            "Azure has no common address: set baseUrl to your resource's, "
            "such as https://NAME.openai.azure.com/openai/v1",
            lambda m: m.provider is not Provider.AZURE_OPENAI or m.base_url is not None,
        ),
        Rule(
            "self.provider == 'azure-openai' || !has(self.apiVersion)",
            "apiVersion goes with provider azure-openai: leave it out",
            lambda m: m.provider is Provider.AZURE_OPENAI or m.api_version is None,
        ),
        Rule(
            "self.provider == 'openai' || !has(self.admin)",
            "admin goes with provider openai: leave it out",
            lambda m: m.provider is Provider.OPENAI or m.admin is None,
        ),
        Rule(
            "!has(self.burstSeconds) || self.burstSeconds >= 2 * self.probe.intervalSeconds",
            "burstSeconds must be at least twice probe.intervalSeconds: a level that is read less "
            "often is spent before it is seen to fall",
            lambda m: m.burst_seconds is None or m.burst_seconds >= 2 * m.probe.interval_seconds,
        ),
    )


class MemoryTarget(Model):
    """How full the nodes may get."""

    enabled: bool = Field(
        True,
        description="Cap replicas by the room on the nodes that exist. "
        "Switch it off where a cluster autoscaler adds nodes for pending pods.",
    )
    target_utilization_percent: Percent = Field(
        85, description="Share of a node's allocatable memory that may be requested or used."
    )


class Fallback(Model):
    """What to do while the depth of the queues stays unknown. Never lowers the replicas."""

    failure_threshold: Annotated[
        int,
        Field(
            ge=1,
            le=1000,
            description="Failed readings in a row before it applies.",
            json_schema_extra={"format": "int32"},
        ),
    ] = 3
    replicas: Replicas = Field(description="Replicas to have at least.")


class ScalingPolicy(Model):
    """The largest change within a period, as in autoscaling/v2."""

    type: PolicyType
    value: Annotated[int, Field(ge=1, le=10_000, json_schema_extra={"format": "int32"})]
    period_seconds: Annotated[
        int, Field(ge=1, le=MAX_POLICY_PERIOD_SECONDS, json_schema_extra={"format": "int32"})
    ]


class ScalingRules(Model):
    """Rules for one direction, as in autoscaling/v2."""

    stabilization_window_seconds: (
        Annotated[int, Field(ge=0, le=3600, json_schema_extra={"format": "int32"})] | None
    ) = Field(None, description="Default 0 for up, 300 for down.")
    select_policy: SelectPolicy = SelectPolicy.MAX
    policies: Annotated[tuple[ScalingPolicy, ...], Field(max_length=MAX_POLICIES)] = Field(
        (), description="Default up: the larger of 4 pods and 100% per 15 s; down: 100% per 15 s."
    )
    tolerance: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1, description="Relative deviation from the target below which nothing is changed."
    )


class Behavior(Model):
    """How fast replicas may change, as in autoscaling/v2."""

    scale_up: ScalingRules = ScalingRules()
    scale_down: ScalingRules = ScalingRules()


class PoolSpec(Model):
    """What to scale, on which queues, and below which ceilings."""

    scale_target_ref: ScaleTargetRef
    mode: Mode = Field(
        Mode.ENFORCE, description="Observe decides and reports, and changes nothing."
    )
    min_replicas: Replicas = 1
    max_replicas: Annotated[
        int, Field(ge=1, le=MOST_REPLICAS, json_schema_extra={"format": "int32"})
    ]
    polling_interval_seconds: Annotated[
        int, Field(ge=1, le=3600, json_schema_extra={"format": "int32"})
    ] = 10
    rabbitmq: RabbitMQ
    llm: Llm | None = None
    memory: MemoryTarget = MemoryTarget()
    fallback: Fallback | None = None
    behavior: Behavior = Behavior()

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.minReplicas <= self.maxReplicas",
            "minReplicas must not be larger than maxReplicas",
            lambda m: m.min_replicas <= m.max_replicas,
        ),
    )
