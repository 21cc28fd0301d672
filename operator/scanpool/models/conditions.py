"""The conditions of a pool and their reasons: stable words that people and alerts match on."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from scanpool.models.base import Model
from scanpool.models.figures import Around, Noise


class ConditionType(StrEnum):
    """What a condition is about. Ready, MetricsAvailable and ScalingActive are good when True."""

    READY = "Ready"
    METRICS_AVAILABLE = "MetricsAvailable"
    SCALING_ACTIVE = "ScalingActive"
    SCALING_LIMITED = "ScalingLimited"
    QUOTA_EXHAUSTED = "QuotaExhausted"
    CONTESTED = "Contested"
    KEY_SPLIT = "KeySplit"
    MESSAGES_EXPIRING = "MessagesExpiring"
    TASKS_CUT_OFF = "TasksCutOff"
    BUDGET_EXHAUSTED = "BudgetExhausted"


class Reason(StrEnum):
    """Why a condition has its status. docs/operations.md has the remedy for each."""

    # All is well.
    RECONCILED = "Reconciled"
    WORKERS_RESTARTED = "WorkersRestarted"
    READINGS_AVAILABLE = "ReadingsAvailable"
    SCALING_ENABLED = "ScalingEnabled"
    DESIRED_WITHIN_RANGE = "DesiredWithinRange"
    QUOTA_AVAILABLE = "QuotaAvailable"
    NOT_CONTESTED = "NotContested"
    KEY_IN_ONE_SHARD = "KeyInOneShard"
    MESSAGES_IN_TIME = "MessagesInTime"
    GRACE_SUFFICES = "GraceSuffices"
    BUDGET_AVAILABLE = "BudgetAvailable"
    # A choice of the user's, or a state that passes.
    OBSERVE_MODE = "ObserveMode"
    NOT_MEASURED = "NotMeasured"
    PAUSED = "Paused"
    # The pool or what it names.
    INVALID_SPEC = "InvalidSpec"
    TARGET_NOT_FOUND = "TargetNotFound"
    KIND_NOT_FOUND = "KindNotFound"
    SCALE_NOT_FOUND = "ScaleNotFound"
    SELECTOR_NOT_FOUND = "SelectorNotFound"
    SECRET_NOT_FOUND = "SecretNotFound"
    SECRET_KEY_NOT_FOUND = "SecretKeyNotFound"
    INVALID_URL = "InvalidURL"
    HOST_NOT_ALLOWED = "HostNotAllowed"
    # The Kubernetes API.
    KUBERNETES_FORBIDDEN = "KubernetesForbidden"
    NOT_FOUND = "NotFound"
    KUBERNETES_UNAVAILABLE = "KubernetesUnavailable"
    SCALE_CONFLICT = "ScaleConflict"
    NOT_LEADING = "NotLeading"
    # The operator.
    TICKS_STUCK = "TicksStuck"
    # The broker.
    BROKER_UNREACHABLE = "BrokerUnreachable"
    BROKER_AUTHENTICATION_FAILED = "BrokerAuthenticationFailed"
    BROKER_FORBIDDEN = "BrokerForbidden"
    BROKER_ERROR = "BrokerError"
    VHOST_NOT_FOUND = "VhostNotFound"
    QUEUE_NOT_FOUND = "QueueNotFound"
    QUEUE_DOWN = "QueueDown"
    QUEUE_IN_FLOW = "QueueInFlow"
    QUEUE_UNSUITABLE = "QueueUnsuitable"
    BROKER_RECOVERING = "BrokerRecovering"
    BROKER_ALARM = "BrokerAlarm"
    BROKER_PARTITIONED = "BrokerPartitioned"
    STATISTICS_OFF = "StatisticsOff"
    STATISTICS_NOT_FOUND = "StatisticsNotFound"
    # The provider.
    PROVIDER_UNREACHABLE = "ProviderUnreachable"
    PROVIDER_AUTHENTICATION_FAILED = "ProviderAuthenticationFailed"
    PROVIDER_ERROR = "ProviderError"
    MODEL_NOT_FOUND = "ModelNotFound"
    LIMIT_UNKNOWN = "LimitUnknown"
    QUOTA_EXHAUSTED = "QuotaExhausted"
    QUOTA_RECOVERING = "QuotaRecovering"
    KEY_QUOTA_EXHAUSTED = "KeyQuotaExhausted"
    # Prometheus.
    PROMETHEUS_UNREACHABLE = "PrometheusUnreachable"
    PROMETHEUS_QUERY_FAILED = "PrometheusQueryFailed"
    USAGE_NOT_FOUND = "UsageNotFound"
    USAGE_IMPLAUSIBLE = "UsageImplausible"
    USAGE_PARTIAL = "UsagePartial"
    USAGE_FROZEN = "UsageFrozen"
    OWN_USE_UNKNOWN = "OwnUseUnknown"
    # Any source.
    TLS_FAILED = "TLSFailed"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    # Which limit binds, beside the limits' own names.
    TOO_FEW_REPLICAS = "TooFewReplicas"
    TOO_MANY_REPLICAS = "TooManyReplicas"
    SCALING_POLICY = "ScalingPolicy"
    TOKEN_CEILING = "TokenCeiling"
    REQUEST_CEILING = "RequestCeiling"
    MEMORY_CEILING = "MemoryCeiling"
    WORKER_CEILING = "WorkerCeiling"
    SPEND_CEILING = "SpendCeiling"
    BUDGET_NEAR_ITS_END = "BudgetNearItsEnd"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    FLOOR_ABOVE_CEILING = "FloorAboveCeiling"
    # What waits longer than the broker keeps it.
    BREAKER_OUTLASTS_TTL = "BreakerOutlastsTTL"
    BACKLOG_OUTLASTS_TTL = "BacklogOutlastsTTL"
    # What is killed when replicas are taken away.
    GRACE_TOO_SHORT = "GraceTooShort"
    SIGNAL_NOT_PASSED_ON = "SignalNotPassedOn"
    # Someone else sets the replicas too.
    REPLICAS_CHANGED_ELSEWHERE = "ReplicasChangedElsewhere"
    KEY_IN_OTHER_SHARDS = "KeyInOtherShards"
    CONTESTED_BY_AUTOSCALER = "ContestedByAutoscaler"
    CONTESTED_BY_GITOPS = "ContestedByGitOps"
    CONTESTED_BY_PERSON = "ContestedByPerson"
    CONTESTED_BY_POOL = "ContestedByPool"


class LimitedBy(StrEnum):
    """The rule that kept the pool from what its queues ask for."""

    # The condition's reason that tells it; None where it is no limit that a person could lift.
    reason: Reason | None

    def __new__(cls, value: str, reason: Reason | None = None) -> Self:
        """Make a member of its name in the status and its reason."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.reason = reason
        return member

    NONE = "None"
    HOLD = "Hold"
    STABILIZATION = "Stabilization"
    ACTIVATION = "Activation"
    SCALING_POLICY = "ScalingPolicy", Reason.SCALING_POLICY
    MIN_REPLICAS = "MinReplicas", Reason.TOO_FEW_REPLICAS
    MAX_REPLICAS = "MaxReplicas", Reason.TOO_MANY_REPLICAS
    TOKENS = "Tokens", Reason.TOKEN_CEILING
    REQUESTS = "Requests", Reason.REQUEST_CEILING
    MEMORY = "Memory", Reason.MEMORY_CEILING
    WORKERS = "Workers", Reason.WORKER_CEILING
    QUOTA = "Quota", Reason.QUOTA_EXHAUSTED
    SPEND = "Spend", Reason.SPEND_CEILING
    FALLBACK = "Fallback"
    PAUSED = "Paused", Reason.PAUSED
    CONTESTED = "Contested", Reason.REPLICAS_CHANGED_ELSEWHERE


def _message_is_same(new: str, old: str, around: Around) -> bool:
    """Leave the message that repeats the ladder's figures."""
    return new == old or around.new.type is ConditionType.SCALING_LIMITED


class Condition(Model):
    """One condition, as in meta/v1. Its transition time moves only when its status does."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    observed_generation: int
    last_transition_time: str
    reason: Reason
    message: Annotated[str, Noise(_message_is_same)]
