"""The conditions of a pool and their reasons: stable words that people and alerts match on."""

from enum import StrEnum
from typing import Literal

from scanpool.models.base import Model


class ConditionType(StrEnum):
    """What a condition is about. Ready, MetricsAvailable and ScalingActive are good when True."""

    READY = "Ready"
    METRICS_AVAILABLE = "MetricsAvailable"
    SCALING_ACTIVE = "ScalingActive"
    SCALING_LIMITED = "ScalingLimited"
    QUOTA_EXHAUSTED = "QuotaExhausted"
    CONTESTED = "Contested"


class Reason(StrEnum):
    """Why a condition has its status. docs/operations.md has the remedy for each."""

    # All is well.
    RECONCILED = "Reconciled"
    READINGS_AVAILABLE = "ReadingsAvailable"
    SCALING_ENABLED = "ScalingEnabled"
    DESIRED_WITHIN_RANGE = "DesiredWithinRange"
    QUOTA_AVAILABLE = "QuotaAvailable"
    NOT_CONTESTED = "NotContested"
    # A choice of the user's, or a state that passes.
    OBSERVE_MODE = "ObserveMode"
    NOT_MEASURED = "NotMeasured"
    # The pool or what it names.
    INVALID_SPEC = "InvalidSpec"
    TARGET_NOT_FOUND = "TargetNotFound"
    SECRET_NOT_FOUND = "SecretNotFound"
    SECRET_KEY_NOT_FOUND = "SecretKeyNotFound"
    INVALID_URL = "InvalidURL"
    # The Kubernetes API.
    KUBERNETES_FORBIDDEN = "KubernetesForbidden"
    NOT_FOUND = "NotFound"
    KUBERNETES_UNAVAILABLE = "KubernetesUnavailable"
    SCALE_CONFLICT = "ScaleConflict"
    # The broker.
    BROKER_UNREACHABLE = "BrokerUnreachable"
    BROKER_AUTHENTICATION_FAILED = "BrokerAuthenticationFailed"
    BROKER_FORBIDDEN = "BrokerForbidden"
    BROKER_ERROR = "BrokerError"
    VHOST_NOT_FOUND = "VhostNotFound"
    QUEUE_NOT_FOUND = "QueueNotFound"
    # The provider.
    PROVIDER_UNREACHABLE = "ProviderUnreachable"
    PROVIDER_AUTHENTICATION_FAILED = "ProviderAuthenticationFailed"
    PROVIDER_ERROR = "ProviderError"
    MODEL_NOT_FOUND = "ModelNotFound"
    LIMIT_UNKNOWN = "LimitUnknown"
    QUOTA_EXHAUSTED = "QuotaExhausted"
    QUOTA_RECOVERING = "QuotaRecovering"
    # Prometheus.
    PROMETHEUS_UNREACHABLE = "PrometheusUnreachable"
    PROMETHEUS_QUERY_FAILED = "PrometheusQueryFailed"
    USAGE_NOT_FOUND = "UsageNotFound"
    USAGE_IMPLAUSIBLE = "UsageImplausible"
    USAGE_FROZEN = "UsageFrozen"
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
    FLOOR_ABOVE_CEILING = "FloorAboveCeiling"
    # Someone else sets the replicas too.
    REPLICAS_CHANGED_ELSEWHERE = "ReplicasChangedElsewhere"


class Condition(Model):
    """One condition, as in meta/v1. Its transition time moves only when its status does."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    observed_generation: int
    last_transition_time: str
    reason: Reason
    message: str
