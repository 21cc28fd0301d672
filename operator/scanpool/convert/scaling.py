"""How a ScaledObject's replicas move: bounds, intervals, behavior, fallback and pauses."""

from decimal import Decimal, InvalidOperation
from typing import Any

from scanpool.convert.keda import (
    FORCE_ACTIVATION,
    HPA_DOWN_WINDOW_SECONDS,
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
from scanpool.models.fallback import FallbackBehavior
from scanpool.models.spec import Mode, PolicyType, SelectPolicy
from scanpool.models.units import WHOLE_PERCENT

SPEC: Path = ("spec",)
MIN: Path = (*SPEC, "minReplicas")
BEHAVIOR: Path = (*SPEC, "behavior")
FALLBACK: Path = (*SPEC, "fallback")
MODE: Path = (*SPEC, "mode")
RULES = ("stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance")
"""Fields of one direction of a behavior, the same here as there."""
DIRECTIONS = ("scaleUp", "scaleDown")
Json = dict[str, Any]


def mode(scaled: ScaledObject, notes: Notes) -> Mode:
    """Return Observe for what is paused in both directions, which scales nothing either."""
    count = scaled.metadata.annotations.get(PAUSED_REPLICAS)
    if count is not None:
        notes.say(
            MODE,
            f"{PAUSED_REPLICAS} is {shown(count)}: KEDA has scaled to that and stopped. The pool "
            "stops too, and leaves the replicas as they are",
        )
        return Mode.OBSERVE
    if scaled.metadata.is_on(PAUSED):
        notes.say(MODE, f"{PAUSED} is set: the pool decides and scales nothing")
        return Mode.OBSERVE
    return Mode.ENFORCE


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
    found = {
        direction: _rules(config.behavior[direction], direction, notes)
        for direction in DIRECTIONS
        if direction in config.behavior
    }
    annotations = {
        "scaleDown": (PAUSED_SCALE_IN, PAUSED_SCALE_DOWN),
        "scaleUp": (PAUSED_SCALE_OUT,),
    }
    for direction, names in annotations.items():
        for name in names:
            if scaled.metadata.is_on(name):
                notes.say((*BEHAVIOR, direction), f"{name} is set, which disables this direction")
                found.setdefault(direction, {})["selectPolicy"] = SelectPolicy.DISABLED.value
    return found


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


def to_zero(scaled: ScaledObject, down: Json, notes: Notes) -> None:
    """Compare how the last replicas go: by KEDA's cooldown there, by the behavior here."""
    spec = scaled.spec
    if spec.min_replica_count > 0 or scaled.metadata.is_on(FORCE_ACTIVATION):
        if "cooldown_period" in spec.model_fields_set and spec.idle_replica_count is None:
            notes.say(
                MIN,
                f"cooldownPeriod {spec.cooldown_period} counts for the way to 0 replicas only",
            )
        return
    if scaled.metadata.is_on(PAUSED_SCALE_IN) or scaled.metadata.is_on(PAUSED_SCALE_DOWN):
        return  # nothing goes down, there and here
    window = down.get("stabilizationWindowSeconds", HPA_DOWN_WINDOW_SECONDS)
    if window != spec.cooldown_period:
        notes.warn(
            (*BEHAVIOR, "scaleDown"),
            f"with cooldownPeriod {spec.cooldown_period} KEDA goes to 0 so many seconds after the "
            f"last message; the pool goes down, to 0 too, after {window} s: "
            "stabilizationWindowSeconds, which counts for every step down",
        )
    if not _at_once(down):
        notes.warn(
            (*BEHAVIOR, "scaleDown"),
            "KEDA goes to 0 from any number of replicas at once; in a pool these policies count "
            "for that way, too",
        )
    if spec.initial_cooldown_period > 0:
        notes.say(
            MIN,
            f"initialCooldownPeriod {spec.initial_cooldown_period} is past once the ScaledObject "
            "is older than that; a pool has none",
        )


def _at_once(down: Json) -> bool:
    """Tell whether policies let all replicas go in one step."""
    if down.get("selectPolicy") == SelectPolicy.DISABLED:
        return False
    every = [
        one.get("type") == PolicyType.PERCENT and one.get("value", 0) >= WHOLE_PERCENT
        for one in down.get("policies") or [{"type": PolicyType.PERCENT, "value": WHOLE_PERCENT}]
    ]
    return all(every) if down.get("selectPolicy") == SelectPolicy.MIN else any(every)


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
