"""Which autoscalers a scenario compares, and how each is set."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from scanpool.models.spec import PoolSpec
from scanpool_replay.settings import Part, Positive, Seconds, Tenant

Replicas = Annotated[int, Field(ge=0, le=10_000)]
MostReplicas = Annotated[int, Field(ge=1, le=10_000)]


class Target(Part):
    """Messages of a queue, ready and unacked, that one replica is meant to have."""

    queue: str
    messages_per_replica: Annotated[int, Field(ge=1)]


SCAN_TARGETS = (
    Target(queue="scan.vision", messages_per_replica=10),
    Target(queue="scan.rule", messages_per_replica=20),
    Target(queue="scan.answer", messages_per_replica=10),
)


class Fixed(Part):
    """Replicas that never change, except as `then` says: from a time (seconds) on, so many."""

    kind: Literal["fixed"]
    replicas: Replicas
    then: tuple[tuple[Seconds, Replicas], ...] = ()

    @property
    def label(self) -> str:
        """Name in reports."""
        later = "".join(f", {count} from {at:g} s" for at, count in self.then)
        return f"fixed {self.replicas}{later}"


class Keda(Part):
    """KEDA's RabbitMQ scaler over the management API, with the HPA that it makes."""

    kind: Literal["keda"]
    min_replicas: Replicas = 1
    max_replicas: MostReplicas = 3
    polling_seconds: Positive = 30.0
    cooldown_seconds: Seconds = 300.0
    # When the HPA looks for the first time after the load starts; else at a random phase.
    first_sync_seconds: Seconds | None = None
    targets: Annotated[tuple[Target, ...], Field(min_length=1)] = SCAN_TARGETS

    @property
    def label(self) -> str:
        """Name in reports."""
        return f"keda max {self.max_replicas}"


class Formula(Part):
    """KEDA's scalingModifiers with min(queue / target, headroom / tokens per replica).

    Headroom is the limit less the measured use (`rate`), or what the provider's header says is
    remaining (`remaining`): the level of its bucket.
    """

    kind: Literal["formula"]
    min_replicas: Replicas = 1
    max_replicas: MostReplicas = 10
    tokens_per_replica: Annotated[int, Field(ge=1)] = 500_000
    headroom: Literal["rate", "remaining"] = "rate"
    targets: Annotated[tuple[Target, ...], Field(min_length=1)] = SCAN_TARGETS

    @property
    def label(self) -> str:
        """Name in reports."""
        return f"min(queue, {'headroom' if self.headroom == 'rate' else self.headroom})"


# The sample pool, with the canary told apart by its label.
SAMPLE_POOL: dict[str, Any] = {
    "scaleTargetRef": {"name": "scan-worker"},
    "minReplicas": 2,
    "maxReplicas": 10,
    "rabbitmq": {
        "managementUrlSecretRef": {"name": "scan-secret", "key": "RABBITMQ_API_URL"},
        "queues": [
            {"name": "scan.vision", "messagesPerReplica": 10, "tokensPerMessage": 3_000},
            {"name": "scan.answer", "messagesPerReplica": 10, "tokensPerMessage": 1_500},
            {"name": "scan.rule", "messagesPerReplica": 20},
        ],
    },
    "llm": {
        "model": "gpt-5.2",
        "apiKeySecretRef": {"name": "scan-secret", "key": "OPENAI_API_KEY"},
        "tokensPerReplicaMinute": 550_000,
        "onQuotaExhausted": "ScaleToZero",
        "usage": {
            "prometheus": {
                "url": "http://prometheus.monitoring:9090",
                "preset": "otel-genai",
                "ownLabels": [{"name": "app", "value": "scan-worker"}],
            }
        },
    },
    "fallback": {"failureThreshold": 3, "replicas": 2},
}


class Scanpool(Part):
    """The operator of this project: `pool` is the spec of a ScanWorkerPool.

    `change` is a merge patch (RFC 7386) on it: what a scenario wants otherwise. `min_replicas`
    replaces the pool's minReplicas, to see what it is worth.
    """

    kind: Literal["scanpool"]
    name: str = "scanpool"
    min_replicas: Replicas | None = None
    pool: PoolSpec = PoolSpec.model_validate(SAMPLE_POOL)
    change: dict[str, Any] = Field(default_factory=dict)

    @field_validator("pool", mode="before")
    @classmethod
    def _refuse_unknown_fields(cls, given: object) -> object:
        """Name fields that the API server would prune: in a file they are mistakes."""
        if isinstance(given, dict):
            _parse(given)
        return given

    @model_validator(mode="after")
    def _change_is_valid(self) -> "Scanpool":
        _parse(self._changed())
        return self

    @property
    def label(self) -> str:
        """Name in reports."""
        least = "" if self.min_replicas is None else f" min {self.min_replicas}"
        return f"{self.name}{least}"

    @property
    def spec(self) -> PoolSpec:
        """The pool as it is replayed."""
        pool = PoolSpec.model_validate(self._changed()) if self.change else self.pool
        if self.min_replicas is not None:
            pool = pool.model_copy(update={"min_replicas": self.min_replicas})
        return pool

    def _changed(self) -> dict[str, Any]:
        given = self.pool.model_dump(by_alias=True, mode="json", exclude_unset=True)
        changed: dict[str, Any] = merged(given, self.change)
        return changed


Controller = Annotated[Fixed | Keda | Formula | Scanpool, Field(discriminator="kind")]


def adapted(controller: Controller, tenant: Tenant) -> Controller:
    """Return an autoscaler as one of several pipelines has it."""
    bounds = {"minReplicas": tenant.min_replicas, "maxReplicas": tenant.max_replicas}
    given = {name: value for name, value in bounds.items() if value is not None}
    match controller:
        case Fixed():
            return controller
        case Scanpool():
            told = {"weight": tenant.weight, "priority": tenant.priority}
            llm = {name: value for name, value in told.items() if value is not None}
            own = {**given, **({"llm": llm} if llm else {})}
            change = merged(merged(controller.change, tenant.pool), own)
            return controller.model_copy(update={"change": change})
        case Keda() | Formula():
            changed = {**controller.model_dump(by_alias=True, exclude_unset=True), **given}
            if tenant.stages:
                queues = Scanpool(kind="scanpool", change=tenant.pool).spec.rabbitmq.queues
                changed["targets"] = [
                    {"queue": one.name, "messagesPerReplica": one.messages_per_replica}
                    for one in queues
                ]
            return controller.model_validate(changed)


def merged(target: Any, patch: Any) -> Any:
    """Return `target` with a merge patch applied (RFC 7386): objects merge, null removes."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _parse(given: dict[str, Any]) -> PoolSpec:
    """Read the spec of a pool, in which fields that there are not are mistakes.

    Raises:
        ValueError: if it is not valid.

    """
    spec = PoolSpec.model_validate(given)
    unknown = sorted(_unknown(given, spec.model_dump(by_alias=True, mode="json")))
    if unknown:
        raise ValueError(f"a ScanWorkerPool has no field {', '.join(unknown)}")
    return spec


def _unknown(given: object, known: object, path: str = "") -> list[str]:
    if isinstance(given, dict) and isinstance(known, dict):
        return [
            name
            for key, value in given.items()
            for name in (
                _unknown(value, known[key], f"{path}{key}.") if key in known else [f"{path}{key}"]
            )
        ]
    if isinstance(given, list) and isinstance(known, list):
        return [
            name
            for one, other in zip(given, known, strict=True)
            for name in _unknown(one, other, path)
        ]
    return []
