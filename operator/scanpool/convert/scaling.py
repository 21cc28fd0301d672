"""How a ScaledObject's replicas move: bounds, intervals, behavior, fallback and pauses."""

from decimal import Decimal, InvalidOperation
from typing import Any

from scanpool.convert.keda import (
    FORCE_ACTIVATION,
    HPA_SYNC_SECONDS,
    PAUSED,
    PAUSED_REPLICAS,
    PAUSED_SCALE_DOWN,
    PAUSED_SCALE_IN,
    PAUSED_SCALE_OUT,
    RABBITMQ,
    Fallback,
    ScaledObject,
    ScaledObjectSpec,
)
from scanpool.convert.notes import Notes, Path, RefusedError, shown
from scanpool.models import pause
from scanpool.models.fallback import FallbackBehavior
from scanpool.models.spec import LONGEST_COOLDOWN_SECONDS

SPEC: Path = ("spec",)
MIN: Path = (*SPEC, "minReplicas")
BEHAVIOR: Path = (*SPEC, "behavior")
FALLBACK: Path = (*SPEC, "fallback")
COOLDOWN: Path = (*SPEC, "cooldownSeconds")
ANNOTATIONS: Path = ("metadata", "annotations")
PAUSES = {
    PAUSED: pause.BOTH_WAYS,
    PAUSED_SCALE_IN: pause.SCALE_IN,
    PAUSED_SCALE_DOWN: pause.SCALE_IN,
    PAUSED_SCALE_OUT: pause.SCALE_OUT,
}
"""KEDA's annotations that are switches, and the pool's."""
RULES = ("stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance")
"""Fields of one direction of a behavior, the same here as there."""
DIRECTIONS = ("scaleUp", "scaleDown")
Json = dict[str, Any]


def pauses(scaled: ScaledObject, notes: Notes) -> dict[str, str]:
    """Return the pool's annotations for what is paused there, which are named as KEDA's are."""
    given, found = scaled.metadata.annotations, dict[str, str]()
    if (count := given.get(PAUSED_REPLICAS)) is not None:
        found[pause.AT_REPLICAS] = count
    found |= {own: "true" for name, own in PAUSES.items() if scaled.metadata.is_on(name)}
    for name in found:
        notes.say(ANNOTATIONS, f"{name} goes on with the pause: remove it to let the pool scale")
    return found


def bounds(scaled: ScaledObject, notes: Notes) -> Json:
    """Return the least and the most replicas."""
    spec = scaled.spec
    least = spec.min_replica_count
    if spec.idle_replica_count is not None:
        notes.warn(
            MIN,
            f"idleReplicaCount is {spec.idle_replica_count}: KEDA goes to that while nothing "
            f"waits, and to {least} at least while something does. The pool always has {least}; "
            "with 0 it would have fewer for a few messages",
        )
    elif least == 0 and scaled.metadata.is_on(FORCE_ACTIVATION):
        notes.say(MIN, f"{FORCE_ACTIVATION} is set: KEDA keeps a replica")
        least = 1
    return {"minReplicas": least, "maxReplicas": spec.max_replica_count}


def polling(spec: ScaledObjectSpec, notes: Notes) -> int:
    """Return the seconds from one look at the queues to the next."""
    is_cached = all(one.use_cached_metrics for one in spec.triggers if one.type == RABBITMQ)
    if is_cached or spec.polling_interval <= HPA_SYNC_SECONDS:
        return spec.polling_interval
    notes.say(
        (*SPEC, "pollingIntervalSeconds"),
        f"pollingInterval is {spec.polling_interval} and counts at 0 replicas only: above that the "
        f"HPA asks every {HPA_SYNC_SECONDS} s",
    )
    return HPA_SYNC_SECONDS


def behavior(scaled: ScaledObject, notes: Notes) -> Json:
    """Return the rules for both directions, as the HPA has them."""
    config = scaled.spec.advanced.horizontal_pod_autoscaler_config
    return {
        direction: _rules(config.behavior[direction], direction, notes)
        for direction in DIRECTIONS
        if direction in config.behavior
    }


def _rules(rules: Json, direction: str, notes: Notes) -> Json:
    path = (*BEHAVIOR, direction)
    for name in rules.keys() - set(RULES):
        notes.say(path, f"{shown(name)} is left out: no field of autoscaling/v2")
    found = {name: rules[name] for name in RULES if rules.get(name) is not None}
    if "tolerance" in found:
        found["tolerance"] = _tolerance(found["tolerance"], direction)
    return found


def _tolerance(quantity: object, direction: str) -> float:
    """Return a tolerance, a Kubernetes quantity such as 0.05 or 50m, as a share."""
    text = str(quantity)
    try:
        number = Decimal(text.removesuffix("m"))
    except InvalidOperation:
        raise RefusedError(
            f"advanced.horizontalPodAutoscalerConfig.behavior.{direction}.tolerance is "
            f"{shown(text)}: it has to be a number such as 0.1 or 100m"
        ) from None
    return float(number / 1000 if text.endswith("m") else number)


def cooldown(scaled: ScaledObject, notes: Notes) -> Json:
    """Return after how long the last replicas go, where they may."""
    spec = scaled.spec
    if spec.min_replica_count > 0 or scaled.metadata.is_on(FORCE_ACTIVATION):
        if "cooldown_period" in spec.model_fields_set and spec.idle_replica_count is None:
            notes.say(
                MIN,
                f"cooldownPeriod {spec.cooldown_period} counts for the way to 0 replicas only",
            )
        return {}
    if spec.cooldown_period > LONGEST_COOLDOWN_SECONDS:
        notes.warn(
            COOLDOWN,
            f"cooldownPeriod is {spec.cooldown_period}, and a pool waits a day at most",
        )
    if spec.initial_cooldown_period > 0:
        notes.say(
            MIN,
            f"initialCooldownPeriod {spec.initial_cooldown_period} is past once the ScaledObject "
            "is older than that; a pool has none",
        )
    return {"cooldownSeconds": min(spec.cooldown_period, LONGEST_COOLDOWN_SECONDS)}


def fallback(given: Fallback | None, notes: Notes) -> Json | None:
    """Return what counts while the depth stays unknown; None where the pool just holds."""
    if given is None:
        return None
    if given.behavior not in tuple(FallbackBehavior):
        notes.warn(
            FALLBACK,
            f"fallback.behavior is {shown(given.behavior)}, which has no counterpart: the pool "
            f"has {given.replicas} replicas at least",
        )
        chosen = FallbackBehavior.CURRENT_REPLICAS_IF_HIGHER
    else:
        chosen = FallbackBehavior(given.behavior)
    notes.say(
        (*FALLBACK, "failureThreshold"),
        f"KEDA waits for more than {given.failure_threshold} failed readings",
    )
    return {
        "failureThreshold": given.failure_threshold + 1,
        "replicas": given.replicas,
        "behavior": chosen.value,
    }
