"""What one limit of the provider allows: on tokens, on input or output apart, or on requests.

    ceiling = floor(factor x (plan - others) / cost of one replica)

in units per minute, and at least one while others leave any room. `others` is what everyone else on
the key uses, `factor` is the back-off after rate-limit 429s. The plan is the limit as far as the
level of the provider's bucket allows (watermarks.py); where there is none, the target share of it:
headroom is then limit less *rate*.

Pools on one key and model share what the formula gives them together (sharing.py).
"""

from dataclasses import replace
from math import inf
from typing import NamedTuple

from scanpool.decide.cost import Cost
from scanpool.decide.day import Left
from scanpool.decide.decision import Ceiling
from scanpool.decide.llm_signals import Use
from scanpool.decide.sharing import Entitlement
from scanpool.decide.watermarks import NO_LEVEL, Allowance, Level, Replica, State, allowance
from scanpool.models.claims import Need, Unit
from scanpool.models.units import WHOLE_PERCENT

# A rate over a minute has a tenth of noise.
SURELY_USED = 1.1


class Terms(NamedTuple):
    """On which terms a limit may be used, times the back-off's `factor`.

    `allowance` is what everyone may use, by the `level` of the bucket where it decides. The key's
    use may not grow beyond `most`, in units per minute.
    """

    allowance: Allowance
    factor: float
    words: str
    level: Level = NO_LEVEL
    most: float = inf


def by_rate(limit: float, percent: int, factor: float, unit: Unit) -> Terms:
    """Return the terms where no level decides: a share of the limit.

    Raising goes up to the target. Lowering starts only where the use would pass the middle between
    target and limit: the two edges keep a noisy reading from moving replicas to and fro.
    """
    # Percent times limit first: what fits exactly is not to be lost to a rounding error.
    plan = percent * limit / WHOLE_PERCENT
    middle = (WHOLE_PERCENT + percent) * limit / (2 * WHOLE_PERCENT)
    return Terms(Allowance(plan, middle), factor, f"{percent}% of {limit:,} {unit}")


def by_day(limit: int, left: Left, percent: int, factor: float, unit: Unit, now: float) -> Terms:
    """Return the terms of a limit of a day: a share of the pace at which the rest may be used."""
    minutes = left.pace_minutes(now)
    terms = by_rate(left.amount / minutes, percent, factor, unit)
    there_is = f"the {left.amount:,.0f} left of {limit:,} {unit}"
    return terms._replace(words=f"{percent}% of {there_is}, within {minutes:.0f} min")


def by_level(limit: int, level: Level, replica: Replica, factor: float, unit: Unit) -> Terms:
    """Return the terms where the level of the bucket decides, with what a replica costs."""
    allowed = allowance(level, limit, replica)
    share = f"{(level.tokens or 0.0) / limit:.0%}"
    return Terms(allowed, factor, f"{limit:,} {unit} with the bucket {share} full", level)


def need(unit: Unit, use: Use, cost: Cost, terms: Terms, shown: int | None) -> Need | None:
    """Return what a pool makes of one limit; None while a part of it is unknown.

    So many replicas have all been ready for as long as their use takes to show (`shown`). None: it
    has not shown yet, so that what they leave is not known.
    """
    per_replica, others, own = cost.of(unit), use.others.of(unit), use.own.of(unit) or 0.0
    if not per_replica or others is None:
        return None
    factor, allowed = terms.factor, terms.allowance
    return Need(
        per_replica,
        own,
        factor * allowed.plan,
        factor * allowed.keep,
        others,
        factor,
        min(terms.most, allowed.most),
        None if shown is None else max(shown * per_replica - SURELY_USED * own, 0.0),
        is_full=terms.level.state is State.HIGH,
        has_level=terms.level.decides,
        has_spare=terms.level.has_spare and not terms.level.is_taken_at_once,
        beyond=factor * allowed.beyond,
    )


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


def ceiling(unit: Unit, need: Need, found: Entitlement, terms: Terms) -> Ceiling:
    """Return the most replicas that a limit allows, with the numbers in words."""
    capped = need.most if need.most < need.plan and not terms.level.decides else None
    there_is = (
        f"{terms.words}{'' if capped is None else f', by llm.ramp no more than {capped:,.0f} now'}"
    )
    backed_off = "" if need.factor == 1 else f", times {need.factor:.2f} after 429s"
    rate = unit.per_minute
    cost = f", at {need.per_replica:,.0f} {rate} per replica"
    if found.others:
        reason = (
            f"a share of the {found.total:,.0f} {rate} for {found.pools} pools on the "
            f"key ({there_is}, less what others use{backed_off}){cost}"
        )
    else:
        reason = f"{there_is} less {need.others:,.0f} used by others{backed_off}{cost}"
    is_gradual = terms.level.decides and not found.owes
    return Ceiling(found.fits, found.keeps, reason, is_gradual)


def without_growth(ceiling: Ceiling, current: int) -> Ceiling:
    """Return the ceiling, with no room above the current replicas."""
    if ceiling.replicas is None or ceiling.replicas <= current:
        return ceiling
    reason = "the provider asked to slow down: no growth for 15 minutes"
    return replace(ceiling, replicas=current, keeps=current, reason=reason)
