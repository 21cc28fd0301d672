"""What is read of KEDA's objects: fields and defaults as of KEDA 2.20.

From the reference of ScaledObject and of the RabbitMQ scaler in KEDA's documentation. Fields that
are not here are kept, so that a conversion can name them.
"""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

PAUSED = "autoscaling.keda.sh/paused"
PAUSED_REPLICAS = "autoscaling.keda.sh/paused-replicas"
PAUSED_SCALE_IN = "autoscaling.keda.sh/paused-scale-in"
PAUSED_SCALE_DOWN = "autoscaling.keda.sh/paused-scale-down"
"""What `PAUSED_SCALE_IN` was called before KEDA 2.18."""
PAUSED_SCALE_OUT = "autoscaling.keda.sh/paused-scale-out"
FORCE_ACTIVATION = "autoscaling.keda.sh/force-activation"

RABBITMQ = "rabbitmq"
CLUSTER_AUTHENTICATION = "ClusterTriggerAuthentication"
HPA_SYNC_SECONDS = 15
"""How often the HPA asks KEDA for a metric, with the default of kube-controller-manager."""


def _text(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else str(value)


# The API server takes only strings; people write 10 and true all the same.
Texts = dict[str, Annotated[str, BeforeValidator(_text)]]
Whole = Annotated[int, Field(strict=True)]


class KedaModel(BaseModel):
    """Part of an object of KEDA's or Kubernetes' API."""

    model_config = ConfigDict(
        frozen=True, extra="allow", alias_generator=to_camel, populate_by_name=True
    )

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the fields that no model here has."""
        return tuple(self.model_extra or ())


class Metadata(KedaModel):
    """Name and annotations."""

    name: str
    namespace: str = "default"
    labels: Texts = {}
    # The one of `kubectl apply` holds the whole object, its URLs included.
    annotations: Annotated[Texts, Field(repr=False)] = {}

    @property
    def has_namespace(self) -> bool:
        """Tell whether the file names the namespace; else kustomize or `kubectl -n` does."""
        return "namespace" in self.model_fields_set

    @property
    def place(self) -> str:
        """The namespace, in words."""
        if self.has_namespace:
            return f"namespace {self.namespace}"
        return "the namespace that the pool is applied to"

    @property
    def full_name(self) -> str:
        """Namespace and name, as far as the file names them."""
        return f"{self.namespace}/{self.name}" if self.has_namespace else self.name

    def is_on(self, annotation: str) -> bool:
        """Tell whether an annotation is there and not false; what is no boolean counts as true."""
        value = self.annotations.get(annotation)
        return value is not None and value not in {"0", "f", "F", "false", "FALSE", "False"}


class ScaleTarget(KedaModel):
    """What is scaled."""

    name: str
    api_version: str = "apps/v1"
    kind: str = "Deployment"
    env_source_container_name: str | None = None


class Fallback(KedaModel):
    """What the triggers are taken to say once they cannot be read."""

    failure_threshold: Whole
    replicas: Whole
    behavior: str = "static"


class HpaConfig(KedaModel):
    """What the HPA gets as it is."""

    name: str | None = None
    behavior: dict[str, dict[str, Any]] = {}


class Advanced(KedaModel):
    """The rarer options."""

    restore_to_original_replica_count: bool = False
    horizontal_pod_autoscaler_config: HpaConfig = HpaConfig()
    scaling_modifiers: dict[str, Any] = {}


class AuthenticationRef(KedaModel):
    """Which object has a trigger's parameters."""

    name: str
    kind: str = "TriggerAuthentication"


class Trigger(KedaModel):
    """One source of a metric."""

    type: str
    name: str = ""
    metadata: Annotated[Texts, Field(repr=False)] = {}
    authentication_ref: AuthenticationRef | None = None
    metric_type: str = "AverageValue"
    use_cached_metrics: bool = False


class ScaledObjectSpec(KedaModel):
    """What a user writes."""

    scale_target_ref: ScaleTarget
    polling_interval: Whole = 30
    cooldown_period: Whole = 300
    initial_cooldown_period: Whole = 0
    idle_replica_count: Whole | None = None
    min_replica_count: Whole = 0
    max_replica_count: Whole = 100
    fallback: Fallback | None = None
    advanced: Advanced = Advanced()
    triggers: Annotated[tuple[Trigger, ...], Field(min_length=1)]


class ScaledObject(KedaModel):
    """An autoscaler of KEDA's."""

    metadata: Metadata
    spec: ScaledObjectSpec


class SecretTarget(KedaModel):
    """A parameter that is one key of a Secret or ConfigMap."""

    parameter: str
    name: str
    key: str


class EnvTarget(KedaModel):
    """A parameter that is an environment variable of the target's container."""

    parameter: str
    name: str
    container_name: str | None = None


class AuthenticationSpec(KedaModel):
    """Where the parameters of a trigger come from."""

    secret_target_ref: tuple[SecretTarget, ...] = ()
    config_map_target_ref: tuple[SecretTarget, ...] = ()
    env: tuple[EnvTarget, ...] = ()
    pod_identity: dict[str, Any] = {}


class Authentication(KedaModel):
    """A TriggerAuthentication or ClusterTriggerAuthentication."""

    metadata: Metadata
    spec: AuthenticationSpec
