"""The ceilings that the provider's limits set: on tokens, on input and output apart, on requests.

    ceiling = floor(factor x (target x limit - others) / cost of one replica)

in units per minute, and at least one while others leave any room. `others` is what everyone else on
the key uses, `factor` is the back-off after rate-limit 429s. Headroom is limit less *rate*: the
level of the provider's bucket says how much burst is left, not how much of the limit is unused.

Pools on one key and model share what the formula gives them together (budget.py).
"""

from collections.abc import Mapping
from math import inf

from scanpool.decide.budget import Entitlement
from scanpool.decide.cost import Cost
from scanpool.decide.limits import PROBE, Limit
from scanpool.decide.use import SECONDS_PER_MINUTE, Use
from scanpool.models.budget import Need, Unit
from scanpool.models.decision import Ceiling
from scanpool.models.llm import Llm
from scanpool.models.observation import Observation
from scanpool.models.reading import Available

# A level that is older than this many probes may be spent already.
FRESH_PROBES = 2


def need(
    unit: Unit,
    limit: Limit,
    use: Use,
    cost: Cost,
    target_percent: int,
    factor: float,
    burst: float = 0.0,
    most: float = inf,
) -> Need | None:
    """Return what a pool makes of one limit; None while a part of it is unknown.

    Raising goes up to the target. Lowering starts only where the use would pass the middle between
    target and limit: the two edges keep a noisy reading from moving replicas to and fro. `burst` is
    what may be spent per minute on top, out of the provider's bucket; `most` is as far as the
    key's use may grow.
    """
    per_replica, others = cost.of(unit), use.others.of(unit)
    if not per_replica or others is None:
        return None
    # Percent times limit first: what fits exactly is not to be lost to a rounding error.
    plan = factor * (target_percent * limit.value / 100 + burst)
    keep = factor * ((100 + target_percent) * limit.value / 200 + burst)
    return Need(per_replica, use.own.of(unit) or 0.0, plan, keep, others, factor, most)


def unknown(unit: Unit, use: Use, current: int) -> Ceiling:
    """Return the ceiling of a limit for which a number is missing."""
    if use.others.of(unit) is None:
        return Ceiling(None, None, f"what others use of the {unit} limit is unknown")
    # One replica has to run for its cost to be learned; more wait until it is.
    held = max(current, 1)
    return Ceiling(
        held,
        held,
        f"what one replica uses of the {unit} limit is not learned yet: "
        "set llm.tokensPerReplicaMinute to start from a figure of your own",
    )


def ceiling(
    unit: Unit,
    limit: Limit,
    need: Need,
    found: Entitlement,
    target_percent: int,
    burst: float = 0.0,
) -> Ceiling:
    """Return the most replicas that a limit allows, with the numbers in words."""
    there_is = (
        f"{target_percent}% of {limit.value:,} {unit}"
        f"{f' and {burst:,.0f} more from the bucket' if burst else ''}"
        f"{f', by llm.ramp no more than {need.most:,.0f} now' if need.most < need.plan else ''}"
    )
    backed_off = "" if need.factor == 1 else f", times {need.factor:.2f} after 429s"
    cost = f", at {need.per_replica:,.0f} {unit} per replica"
    if found.others:
        reason = (
            f"a share of the {found.total:,.0f} {unit} for {1 + len(found.others)} pools on the "
            f"key ({there_is}, less what others use{backed_off}){cost}"
        )
    else:
        reason = f"{there_is} less {need.others:,.0f} used by others{backed_off}{cost}"
    return Ceiling(found.fits, found.keeps, reason)


def burst(llm: Llm, observation: Observation, limit: Limit | None, now: float) -> float:
    """Return what the provider's bucket adds, in tokens per minute, spread over llm.burstSeconds.

    Nothing where its level is not fresh, after a 429, or where the spec's own limit is the smaller:
    the bucket is then not the pool's to spend.
    """
    provider = observation.provider
    if llm.burst_seconds is None or limit is None or limit.source != PROBE:
        return 0.0
    if not isinstance(provider, Available):
        return 0.0
    stale = now - provider.at > FRESH_PROBES * llm.probe.interval_seconds
    if stale or provider.value.rate_limited:
        return 0.0
    return (provider.value.tokens_remaining or 0) * SECONDS_PER_MINUTE / llm.burst_seconds


def first_replica() -> Ceiling:
    """Return the ceiling of a pool at zero whose key shows no use yet."""
    return Ceiling(1, 1, "no use of the key is measured until one replica calls the provider")


def smallest(ceilings: Mapping[Unit, Ceiling], units: tuple[Unit, ...]) -> Ceiling | None:
    """Return the ceiling that binds among those of some units; one that is unknown binds first."""
    found = [ceilings[unit] for unit in units if unit in ceilings]
    return min(found, key=lambda one: -1 if one.replicas is None else one.replicas, default=None)
