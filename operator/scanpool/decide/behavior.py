"""How fast replicas may change: stabilization and scaling policies, as in autoscaling/v2."""

from collections.abc import Sequence
from typing import NamedTuple

from scanpool.models.spec import (
    MAX_POLICY_PERIOD_SECONDS,
    Behavior,
    PolicyType,
    ScalingPolicy,
    ScalingRules,
    SelectPolicy,
)
from scanpool.models.units import WHOLE_PERCENT

# The HPA's defaults.
SCALE_UP_WINDOW_SECONDS = 0
SCALE_DOWN_WINDOW_SECONDS = 300
SCALE_UP_POLICIES = (
    ScalingPolicy(type=PolicyType.PODS, value=4, period_seconds=15),
    ScalingPolicy(type=PolicyType.PERCENT, value=100, period_seconds=15),
)
SCALE_DOWN_POLICIES = (ScalingPolicy(type=PolicyType.PERCENT, value=100, period_seconds=15),)


class Recommendation(NamedTuple):
    """Replicas that were wanted at a time, before stabilization."""

    at: float
    replicas: int


class Scaling(NamedTuple):
    """A change of replicas that was decided at a time."""

    at: float
    change: int


def scale_up_window(behavior: Behavior) -> int:
    """Return the stabilization window for more replicas, in seconds."""
    return _window(behavior.scale_up, SCALE_UP_WINDOW_SECONDS)


def scale_down_window(behavior: Behavior) -> int:
    """Return the stabilization window for fewer replicas, in seconds."""
    return _window(behavior.scale_down, SCALE_DOWN_WINDOW_SECONDS)


def recommend(
    recommendations: Sequence[Recommendation], replicas: int, behavior: Behavior, now: float
) -> tuple[Recommendation, ...]:
    """Add a recommendation, and forget those that no window reaches any more."""
    reach = max(scale_up_window(behavior), scale_down_window(behavior))
    kept = [one for one in recommendations if one.at >= now - reach]
    return (*kept, Recommendation(now, replicas))


def stabilize(
    recommendations: Sequence[Recommendation],
    current: int,
    asked: int,
    behavior: Behavior,
    now: float,
) -> int:
    """Return the replicas that the whole window agrees on.

    Up: no further than the lowest recommendation of the up window. Down: no further than the
    highest of the down window.
    """
    up = min(asked, *_since(recommendations, now - scale_up_window(behavior)))
    down = max(asked, *_since(recommendations, now - scale_down_window(behavior)))
    return min(max(current, up), down)


def apply_policies(
    wanted: int, current: int, behavior: Behavior, scalings: Sequence[Scaling], now: float
) -> int:
    """Return `wanted`, as far as the scaling policies let `current` go in one step.

    Of several policies the one that allows the most counts, unless selectPolicy is Min; Disabled
    allows no change in that direction.
    """
    if wanted > current:
        return min(wanted, _highest(behavior.scale_up, current, scalings, now))
    if wanted < current:
        return max(wanted, _lowest(behavior.scale_down, current, scalings, now))
    return wanted


def forget_scalings(scalings: Sequence[Scaling], now: float) -> tuple[Scaling, ...]:
    """Drop the scalings that no policy's period can reach any more."""
    return tuple(one for one in scalings if one.at > now - MAX_POLICY_PERIOD_SECONDS)


def _window(rules: ScalingRules, default: int) -> int:
    chosen = rules.stabilization_window_seconds
    return default if chosen is None else chosen


def _since(recommendations: Sequence[Recommendation], start: float) -> list[int]:
    return [one.replicas for one in recommendations if one.at >= start]


def _highest(rules: ScalingRules, current: int, scalings: Sequence[Scaling], now: float) -> int:
    if rules.select_policy is SelectPolicy.DISABLED:
        return current
    choose = min if rules.select_policy is SelectPolicy.MIN else max
    reached = (
        _raised(policy, _at_start_of(policy, current, scalings, now))
        for policy in rules.policies or SCALE_UP_POLICIES
    )
    return max(choose(reached), current)


def _lowest(rules: ScalingRules, current: int, scalings: Sequence[Scaling], now: float) -> int:
    if rules.select_policy is SelectPolicy.DISABLED:
        return current
    # The policy that allows the most change is the one that reaches lowest.
    choose = max if rules.select_policy is SelectPolicy.MIN else min
    reached = (
        _lowered(policy, _at_start_of(policy, current, scalings, now))
        for policy in rules.policies or SCALE_DOWN_POLICIES
    )
    return min(choose(reached), current)


def _at_start_of(
    policy: ScalingPolicy, current: int, scalings: Sequence[Scaling], now: float
) -> int:
    """Return the replicas at the start of the policy's period: what changed since is taken back."""
    return current - sum(one.change for one in scalings if one.at > now - policy.period_seconds)


def _raised(policy: ScalingPolicy, start: int) -> int:
    if policy.type is PolicyType.PODS:
        return start + policy.value
    # A percentage of nothing would keep a pool at zero for ever.
    return -(-max(start, 1) * (WHOLE_PERCENT + policy.value) // WHOLE_PERCENT)


def _lowered(policy: ScalingPolicy, start: int) -> int:
    if policy.type is PolicyType.PODS:
        return max(start - policy.value, 0)
    return max(start * (WHOLE_PERCENT - policy.value) // WHOLE_PERCENT, 0)
