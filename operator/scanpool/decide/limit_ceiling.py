"""What one limit of the provider allows: on tokens, on input or output apart, or on requests.

    ceiling = floor(factor x (target x limit - others) / cost of one replica)

in units per minute, and at least one while others leave any room. `others` is what everyone else on
the key uses, `factor` is the back-off after rate-limit 429s. Headroom is limit less *rate*: the
level of the provider's bucket says how much burst is left, not how much of the limit is unused.

Pools on one key and model share what the formula gives them together (sharing.py).
"""

from dataclasses import dataclass, replace
from math import inf

from scanpool.decide.cost import Cost
from scanpool.decide.decision import Ceiling
from scanpool.decide.limits import PROBE, Limit
from scanpool.decide.llm_signals import Probed, Use
from scanpool.decide.sharing import Entitlement
from scanpool.models.claims import Need, Unit
from scanpool.models.llm import Llm
from scanpool.models.units import SECONDS_PER_MINUTE, WHOLE_PERCENT

# A level that is older than this many probes may be spent already.
FRESH_PROBES = 2


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a limit may be used: `percent` of it, times the back-off's `factor`.

    `burst` is what may be spent per minute on top, out of the provider's bucket; `most` is as far
    as the key's use may grow.
    """

    percent: int
    factor: float
    burst: float = 0.0
    most: float = inf


def need(unit: Unit, limit: Limit, use: Use, cost: Cost, terms: Terms) -> Need | None:
    """Return what a pool makes of one limit; None while a part of it is unknown.

    Raising goes up to the target. Lowering starts only where the use would pass the middle between
    target and limit: the two edges keep a noisy reading from moving replicas to and fro.
    """
    per_replica, others = cost.of(unit), use.others.of(unit)
    if not per_replica or others is None:
        return None
    percent, factor, burst = terms.percent, terms.factor, terms.burst
    # Percent times limit first: what fits exactly is not to be lost to a rounding error.
    plan = factor * (percent * limit.value / WHOLE_PERCENT + burst)
    middle = (WHOLE_PERCENT + percent) * limit.value / (2 * WHOLE_PERCENT)
    keep = factor * (middle + burst)
    return Need(per_replica, use.own.of(unit) or 0.0, plan, keep, others, factor, terms.most)


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


def ceiling(unit: Unit, limit: Limit, need: Need, found: Entitlement, terms: Terms) -> Ceiling:
    """Return the most replicas that a limit allows, with the numbers in words."""
    there_is = (
        f"{terms.percent}% of {limit.value:,} {unit}"
        f"{f' and {terms.burst:,.0f} more from the bucket' if terms.burst else ''}"
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


def burst(llm: Llm, probed: Probed, limit: Limit | None, now: float) -> float:
    """Return what the provider's bucket adds, in tokens per minute, spread over llm.burstSeconds.

    Nothing where its level is not fresh, after a 429, or where the spec's own limit is the smaller:
    the bucket is then not the pool's to spend.
    """
    if llm.burst_seconds is None or limit is None or limit.source != PROBE or probed.at is None:
        return 0.0
    stale = now - probed.at > FRESH_PROBES * llm.probe.interval_seconds
    if stale or probed.rate_limited:
        return 0.0
    return (probed.remaining or 0) * SECONDS_PER_MINUTE / llm.burst_seconds


def without_growth(ceiling: Ceiling, current: int) -> Ceiling:
    """Return the ceiling, with no room above the current replicas."""
    if ceiling.replicas is None or ceiling.replicas <= current:
        return ceiling
    reason = "the provider asked to slow down: no growth for 15 minutes"
    return replace(ceiling, replicas=current, keeps=current, reason=reason)
